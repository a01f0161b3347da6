"""The selftest: what counts as caught, what is remembered, and one real trial from end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.inherited import PLANTED_VARIABLE
from harness.planted import DEFECTS, Catch, Change, Defect
from harness.selftest.code import code_digest
from harness.selftest.gaterun import GateRan
from harness.selftest.memory import Clean, Memory
from harness.selftest.trial import State, Trial, asked_of, judge_trial

ROOT = Path(__file__).parents[2]
DEADLINE_S = 180
AT = "2026-03-01T12:00:00+00:00"
DEFECT = Defect(
    name="wrong",
    group="claiming",
    wrong="It is wrong.",
    changes=(Change("core.tasks", "TaskQueue", lambda right: right),),
    catches=(Catch("test_a.py::test_one", "one-holder"), Catch("test_b.py", "was lost")),
)


def ran(*checks, status=1):
    """What a gate left that had these checks: id, outcome, message, limits that were not kept."""
    return GateRan(
        status=status,
        report={
            "checks": [
                {
                    "id": f"scenarios/{name}",
                    "outcome": outcome,
                    "message": message,
                    "limits": [{"name": name, "ok": False} for name in limits],
                }
                for name, outcome, message, limits in checks
            ]
        },
    )


ONE = ("test_a.py::test_one[x]", "failed", "one-holder: false", ())
TWO = ("test_b.py::test_two", "failed", "first line\na task was lost", ())


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (ran(ONE, TWO), State.CAUGHT),
        (ran(ONE, ("test_b.py::test_two", "failed", "3 gone", ("tasks: was lost",))), State.CAUGHT),
        (ran(ONE), State.ELSEWHERE),
        (ran(TWO, ("test_a.py::test_one", "failed", "TypeError", ())), State.ELSEWHERE),
        (ran(TWO, ("test_a.py::test_one", "inconclusive", "one-holder", ())), State.ELSEWHERE),
        (ran(("test_a.py::test_one", "passed", "", ()), status=0), State.MISSED),
        (ran(("test_a.py::test_one", "inconclusive", "one-holder", ()), status=7), State.OPEN),
        (GateRan(status=None, report={}), State.OPEN),
    ],
)
def test_a_defect_is_caught_by_every_check_that_must_see_it(left, state):
    """By each of them, by what it must say, and by a failure: all else is no catch."""
    assert judge_trial(DEFECT, 5, left, whole=False).state is state


def test_it_is_said_who_caught_it_and_what_else_was_red():
    """The checks that had to see it are told apart from those that did too."""
    also = ("test_c.py::test_three", "failed", "x", ())
    trial = judge_trial(DEFECT, 5, ran(ONE, TWO, also), whole=True)
    assert trial.by == ("test_a.py::test_one[x]: one-holder", "test_b.py::test_two: was lost")
    assert trial.failed == (
        "test_a.py::test_one[x]",
        "test_b.py::test_two",
        "test_c.py::test_three",
    )


def test_each_check_is_asked_for_once():
    """A file that is asked for has its own checks in it."""
    catches = (Catch("test_b.py::test_two", "a"), Catch("test_b.py", "b"), Catch("test_b.py", "c"))
    defect = Defect(name="n", group="g", wrong="W.", changes=(), catches=catches)
    assert asked_of(defect) == ["scenarios/test_b.py"]


def trial(seed=1, state=State.CAUGHT, **told):
    """One trial of the defect."""
    facts = {"name": "wrong", "by": ("who: said",), "failed": ("test_a.py::x",), "whole": False}
    return Trial(seed=seed, state=state, **{**facts, **told})


def test_results_add_up_over_runs(tmp_path):
    """Each seed counts once, with its last result; the missed one is named."""
    for entry in (trial(1), trial(2, State.MISSED), trial(3), trial(3, State.MISSED), trial(2)):
        Memory(tmp_path, "now").add(entry, AT)

    (row,) = Memory(tmp_path, "now").detection([DEFECT]).rows

    assert (row.caught, row.tried, row.missed_seeds) == (2, 3, (3,))
    assert row.by == ("who: said",)


def test_results_of_other_sources_count_for_false_alarms_alone(tmp_path):
    """A change of the code begins the score anew; alarms of all times are told beside it."""
    then, now = Memory(tmp_path, "then"), Memory(tmp_path, "now")
    then.add(trial(1), AT)
    then.add(Clean(seed=1, ready=False, failed=("x",)), AT)
    assert not now.detection([DEFECT]).current
    now.add(Clean(seed=2, ready=True, failed=()), AT)

    known = now.detection([DEFECT])

    assert known.current
    assert (known.rows[0].tried, known.clean.runs, known.clean.alarms) == (0, 1, 0)
    assert (known.clean_ever.runs, known.clean_ever.alarms) == (2, 1)


def test_a_line_that_was_cut_off_spoils_nothing(tmp_path):
    """What a killed selftest left half written is passed over."""
    memory = Memory(tmp_path, "now")
    memory.add(trial(1), AT)
    with memory.path.open("ab") as stream:
        stream.write(b'{"kind": "trial", "at')

    assert memory.detection([DEFECT]).rows[0].tried == 1


def test_nothing_tried_is_nothing_known(tmp_path):
    """Without a selftest the report has no score."""
    assert Memory(tmp_path, "now").detection() is None


def test_the_digest_follows_every_source(tmp_path):
    """One changed letter, or another name, is other code."""
    source = tmp_path / "core" / "a.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    first = code_digest(tmp_path)
    source.write_text("x = 2\n")
    second = code_digest(tmp_path)
    source.rename(source.with_name("b.py"))
    assert len({first, second, code_digest(tmp_path)}) == 3


def test_a_real_defect_is_caught_from_the_command_line(tmp_path):
    """The gate runs on a core with a double claim, comes out red as it must, and says by whom.

    What a run around it was told (options of pytest, another defect) has no say in it.
    """
    told = {"PYTEST_ADDOPTS": "--no-such-option", PLANTED_VARIABLE: "no-such-defect"}
    command = [sys.executable, "-m", "harness.cli", "selftest", "double-claim", "--json"]
    done = subprocess.run(
        [*command, "--seed", "5", "--report-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | told,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    (one,) = said["trials"]
    assert one["state"] == "caught"
    assert DEFECTS["double-claim"].catches[0].says in one["by"][0]
    assert said["so_far"].startswith("1 of ")
    assert not (tmp_path / "selftest" / "double-claim-5").exists()
