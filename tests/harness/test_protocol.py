"""The specification, its table, and what is judged by it."""

import re
from pathlib import Path

import driver_document
import pytest

from harness.drivers.client import STDERR_BYTES
from harness.drivers.command import CLOCK, CORE, DB, DURABILITY, NEEDS, CommandError, DriverCommand
from harness.drivers.fields import Field, Kind, problem_of
from harness.drivers.operations import (
    CAPABILITIES,
    MAINTENANCE,
    OPERATIONS,
    OUTCOMES,
    TASK,
    answer_problem,
    request_problem,
)
from harness.drivers.promises import core_capabilities
from harness.drivers.protocol import (
    LINE_BYTES,
    NESTED_LEVELS,
    VERSION,
    Capabilities,
    ErrorCode,
    ProtocolError,
    from_line,
    start_of,
    to_line,
)

DOCUMENT = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text(encoding="utf-8")


# -- the document -----------------------------------------------------------------------------


def section(name):
    """Return the lines of an operation's section."""
    return DOCUMENT.split(f"\n### {name}\n")[1].split("\n#")[0].splitlines()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda each: each.name)
def test_every_operation_is_specified_as_it_is(operation):
    """The document has each operation's meaning, deadline, errors and fields, and no others."""
    lines = section(operation.name)
    wanted = driver_document.section(operation)

    assert [line for line in lines if line in wanted] == wanted
    rows = [line for line in lines if re.match(r"\| (request|answer|each task) ", line)]
    assert rows == [line for line in wanted if line.startswith("| ")]


def test_no_operation_is_specified_that_is_not_there():
    """The operations of the document are those of the table, in its order."""
    assert re.findall(r"^### (.+)$", DOCUMENT, re.M) == list(OPERATIONS)


@pytest.mark.parametrize(
    "rows",
    [
        driver_document.capabilities(),
        driver_document.task(),
        driver_document.errors(),
        [f"| `{place}` |" for place in (DB, CLOCK, DURABILITY)],
        [f"at most {LINE_BYTES} bytes long", f"the version of this protocol: {VERSION}"],
        [f"nested more than {NESTED_LEVELS} levels deep", "It has 64 bits with its sign"],
        [f"said\n  more than {STDERR_BYTES} bytes", f"`has said more than {STDERR_BYTES} bytes on"],
    ],
    ids=["capabilities", "task", "errors", "places", "figures", "limits", "standard-error"],
)
def test_what_is_declared_is_specified(rows):
    """Capabilities, the fields of a task, errors with their outcomes, places and figures."""
    assert [row for row in rows if row not in DOCUMENT] == []


def test_no_scenario_asks_for_maintenance_by_a_driver():
    """As the document says. Where one does from now on, its last section has to say so."""
    scenarios = (Path(__file__).parents[2] / "scenarios").glob("*.py")
    needs = [
        re.findall(r"needs\(([^)]*)\)", path.read_text(encoding="utf-8")) for path in scenarios
    ]
    named = set(re.findall(r'"([\w-]+)"', " ".join(word for words in needs for word in words)))

    assert "leases" in named
    assert named.isdisjoint(MAINTENANCE)
    assert "maintenance are asked by no scenario" in DOCUMENT


def test_the_session_of_the_document_is_right():
    """Every line of the example is what the table asks for, and each request is answered."""
    lines = re.findall(r"^([<>]) (.+)$", DOCUMENT.split("## A session")[1], re.M)
    asked = {}
    for side, text in lines:
        if side == ">":
            request = {"id": None, "op": "junk"} if text[0] != "{" else from_line(text.encode())
            asked[request["id"]] = request["op"]
            wrong = request_problem(request["op"], request) if text[0] == "{" else None
        else:
            answer = from_line(text.encode())
            wrong = answer_problem(asked.pop(answer["id"]), answer)
        assert wrong is None, text

    assert asked == {}
    assert {"hello", "close"} <= {from_line(t.encode())["op"] for s, t in lines if "op" in t}


def test_every_capability_of_the_table_is_one_of_the_class():
    """What hello may declare is what the harness keeps."""
    assert [field.name for field in CAPABILITIES] == list(Capabilities.__dataclass_fields__)
    assert set(OUTCOMES) == set(ErrorCode)
    needed = {operation.needs for operation in OPERATIONS.values()} - {""}
    assert needed <= set(NEEDS)


def test_our_core_promises_everything():
    """Nothing that can be needed is missing from our own core, but the other delivery."""
    promised = core_capabilities()

    assert {need for need in NEEDS if not CORE.offers(need, promised)} == {"at-most-once"}


# -- fields -----------------------------------------------------------------------------------

VALUES = [None, True, 0, -(2**63), 2**63, 1.0, 0.5, "x", [], ["a"], [1], [{}], {}, [["a"]]]
TAKEN = {
    Kind.ANY: VALUES,
    Kind.TEXT: ["x"],
    Kind.INTEGER: [0, -(2**63)],
    Kind.NUMBER: [0, -(2**63), 1.0, 0.5],
    Kind.TRUTH: [True],
    Kind.OBJECT: [{}],
    Kind.TEXTS: [[], ["a"]],
    Kind.OBJECTS: [[], [{}]],
}


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_holds_what_it_says_and_nothing_else(kind):
    """True is no integer, 1.0 is none, nor is one of 65 bits, and null is only itself."""
    field = Field(name="f", kind=kind, meaning="m")

    taken = [value for value in VALUES if problem_of([field], {"f": value}, "m") is None]

    assert repr(taken) == repr(TAKEN[kind])


@pytest.mark.parametrize(
    ("settings", "message", "problem"),
    [
        ({}, {}, "m lacks the field 'f'"),
        ({"needed": False}, {}, None),
        ({"needed": False}, {"f": None}, "m, field 'f': must be an integer, not null"),
        ({"null": True}, {"f": None}, None),
        ({"least": 0}, {"f": -1}, "m, field 'f': must be at least 0, not -1"),
        ({"least": 0}, {"f": 0}, None),
        ({}, {"f": "x" * 99}, 'must be an integer, not "' + "x" * 59 + "..."),
        ({}, {"f": 1, "more": None}, None),
    ],
)
def test_what_is_wrong_with_a_field_is_one_sentence(settings, message, problem):
    """The sentence has the field, what it must hold, and what it holds."""
    found = problem_of([Field(name="f", kind=Kind.INTEGER, meaning="", **settings)], message, "m")

    assert found is None if problem is None else found.endswith(problem)


def test_parts_are_looked_into():
    """An object inside a list inside a message is judged too."""
    task = {field.name: 1 for field in TASK}
    inside = Field(name="tasks", kind=Kind.OBJECTS, meaning="", parts=TASK)

    assert problem_of([inside], {"tasks": [task, task]}, "m") is None
    assert "m, 'tasks' lacks" in problem_of([inside], {"tasks": [task, {}]}, "m")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"ok": True, "task_id": 1}, None),
        ({"ok": True}, "lacks the field 'task_id'"),
        ({"ok": False}, "lacks the field 'error'"),
        ({"ok": False, "error": {"code": "busy", "message": "m"}}, "lacks the field 'outcome'"),
        (("busy", "failed"), None),
        (("busy", "unknown"), "busy goes with outcome 'failed', not 'unknown'"),
        (("commit-unknown", "failed"), "goes with outcome 'unknown'"),
        (("error", "unknown"), None),
        (("lease-lost", "failed"), "enqueue is never refused with lease-lost"),
    ],
)
def test_a_refusal_is_judged_as_an_answer_is(answer, problem):
    """Its code must be one of the operation's, and its outcome one of the code's."""
    if isinstance(answer, tuple):
        error = {"code": answer[0], "message": "m", "outcome": answer[1]}
        answer = {"ok": False, "error": error}

    found = answer_problem("enqueue", answer)

    assert found is None if problem is None else problem in found


# -- lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]\n",
        b"{\n",
        b"\xef\xbb\xbf{}\n",
        b'"\xe4"\n',
        b'{"a":NaN}\n',
        b'{"a":-Infinity}',
        b'{"a":-1e999}',
        b'{"a":1' + b"0" * 5000 + b"}",
        b'{"a":"\0"}\n',
        b"{}\0\n",
        b"{}{}\n",
        b"{}\x85\n",
    ],
)
def test_what_is_no_object_in_utf8_is_no_message(line):
    """Neither half a line nor a byte order mark, nor a number that JSON does not have."""
    with pytest.raises(ProtocolError):
        from_line(line)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \t\r\n", b""])
def test_white_space_around_the_object_is_taken(end):
    """A program whose output is in text mode on Windows ends its lines by CR and LF."""
    assert from_line(b' {"a": 1} ' + end) == {"a": 1}


@pytest.mark.parametrize(
    ("inside", "taken"),
    [
        ("[" * 99 + "]" * 99, True),
        ("[" * 100 + "]" * 100, False),
        ('{"a":' * 100 + "1" + "}" * 100, False),
        ("[" * 900 + "]" * 900, False),
        ("[" + ",".join(["[{}]"] * 500) + "]", True),
    ],
)
def test_a_line_is_nested_no_deeper_than_can_be_walked(inside, taken):
    """A hundred levels are read, and no more; many brackets side by side are no depth."""
    line = f'{{"a":{inside}}}'.encode()
    if taken:
        assert from_line(line)
    else:
        with pytest.raises(ProtocolError, match="nested more than 100 levels deep"):
            from_line(line)


def test_the_start_of_a_line_cannot_steer_a_terminal():
    """Control characters, marks of direction and broken UTF-8 are spelled out."""
    shown = start_of("\x1b[31m\0 \u202e \ufeff".encode() + b"\xff\r\n")

    assert shown == r"\x1b[31m\x00 \u202e \ufeff\xff"


def test_deep_nesting_is_an_error_and_no_crash():
    """A line that would use up the stack is no message."""
    with pytest.raises(ProtocolError):
        from_line(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


def test_a_line_is_ascii_and_comes_back():
    """What the harness writes needs no encoding, and has one line feed."""
    message = {"text": "\u00e4\n\u2028\U0001d11e", "number": 1.5}
    line = to_line(message)

    assert line.isascii()
    assert line.count(b"\n") == 1
    assert from_line(line) == message


# -- the command ------------------------------------------------------------------------------


def test_places_are_filled_word_by_word():
    """A path with spaces stays one word, and is not looked through for places."""
    command = DriverCommand.parse("mine 'a b' --db={db} {clock_offset_ms}{durability} {other}")
    path = Path("/odd {durability} name/q.db")

    words = command.words(path, clock_offset_ms=-5, durability="normal")

    assert words == ["mine", "a b", f"--db={path}", "-5normal", "{other}"]


def test_a_wrong_clock_needs_its_place():
    """A driver that cannot be given a wrong clock is not started with a right one instead."""
    command = DriverCommand.parse("mine {db}")

    assert command.words(Path("q.db"), clock_offset_ms=0) == ["mine", "q.db"]
    assert not command.offers("clock", core_capabilities())
    with pytest.raises(CommandError, match="cannot be wrong"):
        command.words(Path("q.db"), clock_offset_ms=1)
