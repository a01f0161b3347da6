"""``--queue-driver``: which program works the queues, and which checks are not applicable to it."""

import json
import os
import re
import shlex
import sys

import pytest

ASKS = """
    def test_needs_nothing(evidence, queue_capabilities):
        \"\"\"Every queue can do this.\"\"\"
        evidence.measure("leases", float(queue_capabilities.leases), "")

    @pytest.mark.needs("leases")
    def test_needs_leases():
        \"\"\"A queue with leases.\"\"\"

    @pytest.mark.needs("leases", "fencing")
    @pytest.mark.parametrize("number", [1, 2])
    def test_needs_fencing(number):
        \"\"\"A queue with fencing.\"\"\"

    @pytest.mark.needs("clock")
    def test_needs_a_clock():
        \"\"\"A driver whose clock can be set.\"\"\"

    @pytest.mark.needs("core")
    def test_needs_core():
        \"\"\"Our own core.\"\"\"
"""
HELLO = {
    "ok": True,
    "protocol": 1,
    "driver": "tiny",
    "capabilities": {"leases": True, "maintenance": ["backup"]},
}
TINY = """
import json, pathlib, sys
with open("hellos.txt", "a") as stream: stream.write("hello\\n")
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({{"id": request["id"], **{hello}}}), flush=True)
"""
WRONG = """
for line in sys.stdin:
    {does}
"""
AT_WORK = """
    from harness.fixtures import *

    def test_works(crew, queue_path):
        \"\"\"The driver says hello, and then goes wrong.\"\"\"
        crew.start(queue_path, "w").{asks}
"""


@pytest.fixture
def tiny(gate):
    """The command of a driver that does no more than to say hello."""
    path = gate.write("tiny.py", TINY.format(hello=repr(HELLO)))
    return shlex.join([sys.executable, str(path), "{db}"])


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_what_is_not_declared_is_not_applicable_and_no_pass(gate, tiny, processes):
    """A check that needs what the driver does not declare is listed with its reason."""
    gate.scenarios(ASKS)

    ended = gate.run("scenarios", processes, "--queue-driver", tiny)

    assert ended.status == 0, ended.output
    report = ended.report
    left_out = {each["id"].partition("::")[2]: each["reason"] for each in report["not_applicable"]}
    assert left_out == {
        "test_needs_fencing[1]": "the driver does not declare: fencing",
        "test_needs_fencing[2]": "the driver does not declare: fencing",
        "test_needs_a_clock": "the driver's command has no {clock_offset_ms}",
        "test_needs_core": "it judges queuedrill's own core, and another driver was given",
    }
    assert sorted(check["id"].partition("::")[2] for check in report["checks"]) == [
        "test_needs_leases",
        "test_needs_nothing",
    ]
    assert report["reason"] == "All 2 checks passed; 4 are not applicable."
    assert "Not applicable: 2 checks: the driver does not declare: fencing" in ended.output
    assert "Not applicable to this queue" in ended.page
    assert "A queue with fencing [2]" in ended.page
    assert "test_needs_core: it judges" in ended.properties()["not_applicable"]


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_the_driver_is_asked_once_for_the_whole_run(gate, tiny, processes):
    """One hello in the controlling process tells all test processes what is promised."""
    gate.scenarios(ASKS)

    gate.run("scenarios", processes, f"--queue-driver={tiny}")

    assert (gate.folder / "hellos.txt").read_text().count("hello") == 1


def test_the_report_says_by_which_driver_the_queue_was_worked(gate, tiny):
    """What is judged, the environment and the replay command name the driver."""
    gate.scenarios(ASKS)

    report = gate.run("scenarios", "-n0", "--queue-driver", tiny).report

    assert report["judged"] == [f"Queues made for this run, worked by {tiny}"]
    assert report["environment"]["driver"] == tiny
    assert report["environment"]["driver calls itself"] == "tiny"
    declared = "leases, at-least-once, normal durability, backup"
    assert report["environment"]["driver declares"] == declared
    replay = report["checks"][0]["replay"]
    assert f"--queue-driver={tiny}" in shlex.split(replay)


def test_our_core_declares_all_and_nothing_is_left_out(gate):
    """Without the option every check is made, and no word of drivers is said."""
    gate.scenarios(ASKS)

    ended = gate.run("scenarios", "-n0")

    assert ended.report["not_applicable"] == []
    assert len(ended.report["checks"]) == 6
    assert "Not applicable" not in ended.output + ended.page


def test_a_need_that_nobody_can_declare_is_a_usage_error(gate):
    """A typing error in a marker would else leave its check out for ever."""
    gate.scenarios(
        """
        @pytest.mark.needs("fences")
        def test_needs_fences():
            \"\"\"Nobody has these.\"\"\"
        """
    )

    ended = gate.run("scenarios", "-n0")

    assert ended.status == 4
    assert "needs('fences') is nothing that a driver can declare" in ended.output


def test_what_the_machine_cannot_do_is_not_applicable_and_says_why(gate):
    """A check is not passed by doing something weaker, nor left out in silence."""
    gate.scenarios(
        """
        from harness import equipment
        equipment._EQUIPMENT["posix"] = (lambda: False, "it needs a tape drive")

        @pytest.mark.machine("posix")
        def test_needs_a_tape_drive():
            \"\"\"Not here.\"\"\"

        def test_needs_nothing():
            \"\"\"Here.\"\"\"
        """
    )

    ended = gate.run("scenarios", "-n0")

    (left_out,) = ended.report["not_applicable"]
    assert left_out["reason"] == "it needs a tape drive"
    assert len(ended.report["checks"]) == 1


def test_equipment_that_nobody_knows_is_a_usage_error(gate):
    """A typing error in a marker would else leave its check out for ever."""
    gate.scenarios(
        """
        @pytest.mark.machine("tape drive")
        def test_needs_a_tape_drive():
            \"\"\"Nobody has this.\"\"\"
        """
    )

    ended = gate.run("scenarios", "-n0")

    assert ended.status == 4
    assert "machine('tape drive') is nothing that a machine is asked for" in ended.output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("mine", "Put {db} into it"),
        ("'mine {db}", "Check its quotes"),
        ("no-such-program {db}", "cannot be started"),
        (f'"{sys.executable}" -c "print(5)" {{db}}', "said something wrong: .*line 1: 5"),
        (
            f'"{sys.executable}" -c "exit(\'boom\')" {{db}}',
            r"has ended \(exit status 1\); it said: boom\. .*driver check",
        ),
    ],
)
@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_a_driver_that_cannot_be_used_is_a_usage_error(gate, command, message, processes):
    """Status 4, one line that says what is wrong, and no verdict."""
    gate.scenarios(ASKS)

    ended = gate.run("scenarios", processes, "--queue-driver", command)

    assert ended.status == 4, ended.output
    pytest.LineMatcher([" ".join(ended.output.split())]).re_match_lines([f".*{message}"])
    assert "Traceback" not in ended.output
    assert "VERDICT: READY" not in ended.output


def test_a_driver_that_says_something_wrong_makes_its_check_inconclusive(gate, tiny):
    """A wrong line is no word about the queue; it is shown."""
    gate.scenarios(
        """
        from harness.fixtures import *

        def test_asks(crew, queue_path):
            \"\"\"The driver answers everything as if it were hello.\"\"\"
            crew.start(queue_path, "w").driver.request("snapshot")
        """
    )

    ended = gate.run("scenarios", "-n0", "--queue-driver", tiny)

    assert ended.status == 7, ended.output
    message = ended.report["checks"][0]["message"]
    assert "the answer to snapshot lacks the field 'tasks'; line 2: " in message
    assert json.loads(message.partition("line 2: ")[2])["driver"] == "tiny"


@pytest.mark.parametrize(
    ("does", "asks", "message"),
    [
        (
            "print(line, end='', flush=True)",
            "enqueue('k')",
            "the answer lacks the field 'ok'; line 2",
        ),
        ("print('oops', flush=True)", "enqueue('k')", "no JSON object in UTF-8 .*; line 2: oops"),
        pytest.param(
            "sys.exit('boom')",
            "enqueue('k')",
            r"driver w has ended \(exit status 1\); see .*w.stderr",
            # There an exit is told from a kill by nothing, and a kill is a fault.
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows"),
        ),
        ("sys.exit('boom')", "final()", r"driver w has ended \(exit status 1\); see .*w.stderr"),
        ("pass", "driver.request('snapshot', timeout_s=0.1)", "driver w has not answered snapshot"),
    ],
)
def test_a_driver_that_goes_wrong_at_work_makes_its_check_inconclusive(gate, does, asks, message):
    """Whatever a driver does against the protocol says nothing about the queue, and is told."""
    only_hello = TINY.format(hello=repr(HELLO)) + "    break\n"
    gate.write("wrong.py", only_hello + WRONG.format(does=does))
    gate.scenarios(AT_WORK.format(asks=asks))

    ended = gate.run(
        "scenarios", "-n0", "--queue-driver", shlex.join([sys.executable, "wrong.py", "{db}"])
    )

    assert ended.status == 7, ended.output
    assert re.search(message, ended.report["checks"][0]["message"]), ended.report["checks"]


def test_collecting_alone_asks_no_driver(gate, tiny):
    """--collect-only starts no program."""
    gate.scenarios(ASKS)

    ended = gate.run("scenarios", "--collect-only", "-q", "--queue-driver", tiny)

    assert "test_needs_fencing" in ended.output
    assert not (gate.folder / "hellos.txt").exists()
