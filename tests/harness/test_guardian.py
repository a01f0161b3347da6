"""The guardian: when the controlling process is killed, nothing of the run is left but reports."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from harness import children
from harness.guardian import interrupted
from reports.model import Run, State

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 30
REASON = "The process that controlled the run was killed"
CONTROLLING = """
import os, subprocess, sys
from pathlib import Path
import psutil
from harness import children
from harness.guardian import Guardian
from reports.journal import JOURNAL_NAME, Journal
from reports.model import Check, Outcome, Run

reports, handoff = Path(sys.argv[1]), Path(sys.argv[2])
os.environ[children.CHILDREN_VARIABLE] = str(handoff / children.CHILDREN_NAME)
if "unwritten" not in sys.argv:
    run = Run(started="2026-03-01T12:00:00.000+00:00", seed=5, profile="gate")
    journal = Journal(reports / JOURNAL_NAME, run)
    journal.check(Check(id="s.py::test_ended", title="", seconds=1.0, outcome=Outcome.PASSED))
    journal.begun("s.py::test_under_way")
guardian = Guardian(reports, reports / "junit.xml", handoff)
(watching,) = psutil.Process().children()

def child():
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    process = subprocess.Popen(waits, stdin=subprocess.PIPE)
    children.register(process.pid)
    return process.pid

pids = [watching.pid, child(), child()]
if "fork" in sys.argv:
    # Whoever is forked off holds the guardian's input open.
    forked = os.fork()
    if forked == 0:
        while True:
            os.read(0, 1)
    pids.append(forked)
    children.register(forked)
print(*pids, flush=True)
sys.stdin.readline()
guardian.dismiss()
print("dismissed", flush=True)
sys.stdin.readline()
"""


class Controlled:
    """A controlling process, the guardian that it has started, and its children."""

    def __init__(self, folder, *settings):
        self.reports, self.handoff = folder / "reports", folder / "handoff"
        for each in (self.reports, self.handoff):
            each.mkdir()
        paths = (str(self.reports), str(self.handoff))
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLING, *paths, *settings],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=os.name == "posix",
        )
        self.guardian, self.children = None, []

    def meet(self):
        """Learn who was started."""
        pids = map(int, self.process.stdout.readline().split())
        self.guardian, *self.children = map(psutil.Process, pids)

    def kill(self):
        """Kill it, and return once the guardian has done its work and is gone."""
        self.process.kill()
        self.wait()

    def wait(self):
        """Return once it has ended, and the guardian after it."""
        self.process.wait(TIMEOUT_S)
        _gone, alive = psutil.wait_procs([self.guardian], timeout=TIMEOUT_S)
        assert not alive, "the guardian did not come to its end"

    def close(self):
        """End whatever is left."""
        self.process.kill()
        for each in filter(None, (self.guardian, *self.children)):
            if each.is_running():
                each.kill()
        self.process.communicate(timeout=TIMEOUT_S)


@pytest.fixture
def control(tmp_path):
    """Starts a controlling process; nothing of it outlives the test."""
    started = []

    def control(*settings):
        started.append(Controlled(tmp_path, *settings))
        started[-1].meet()
        return started[-1]

    yield control
    for each in started:
        each.close()


def alive(processes):
    """Those that still run, or stand still."""
    return [
        each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_killed_run_leaves_no_child_and_not_the_suspended_one(control):
    """Every registered process is gone with the run, and so is the folder that they shared."""
    run = control()
    run.children[1].suspend()
    assert alive(run.children) == run.children

    run.kill()

    assert alive(run.children) == []
    assert not run.handoff.exists()


def test_a_killed_run_leaves_reports_that_say_so(control):
    """All three say INCONCLUSIVE and why; what had ended keeps its result, the rest has none."""
    run = control()

    run.kill()

    report = json.loads((run.reports / "report.json").read_text(encoding="ascii"))
    assert (report["verdict"], report["state"]) == ("INCONCLUSIVE", "interrupted")
    assert REASON in report["reason"]
    outcomes = {check["id"]: check["outcome"] for check in report["checks"]}
    assert outcomes == {"s.py::test_ended": "passed", "s.py::test_under_way": "inconclusive"}
    page = (run.reports / "report.html").read_text(encoding="utf-8")
    assert "<h1>INCONCLUSIVE</h1>" in page
    assert REASON in page
    suites = ET.parse(run.reports / "junit.xml").getroot()  # noqa: S314 - our own file
    told = {each.get("name"): each.get("value") for each in suites.iter("property")}
    assert (told["verdict"], told["state"]) == ("INCONCLUSIVE", "interrupted")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can be forked off here")
def test_a_killed_run_is_seen_though_a_fork_holds_its_pipe(control):
    """A process that was forked off keeps the guardian's input open: it looks for itself."""
    run = control("fork")

    run.kill()

    assert alive(run.children) == []
    assert (run.reports / "report.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="there are no groups of processes here")
def test_a_key_that_ends_the_run_does_not_end_the_guardian(control):
    """Ctrl-C goes to the run's whole group; the guardian is in another one, and does its work."""
    run = control()

    os.killpg(run.process.pid, signal.SIGINT)
    run.wait()

    assert alive(run.children) == []
    assert (run.reports / "report.json").exists()


def test_a_run_that_has_written_its_reports_dismisses_the_guardian(control):
    """Then it ends, and touches neither children nor reports."""
    run = control()

    run.process.stdin.write("\n")
    run.process.stdin.flush()
    assert run.process.stdout.readline() == "dismissed\n"

    assert alive([run.guardian]) == []
    assert alive(run.children) == run.children
    assert run.handoff.exists()
    assert not (run.reports / "report.json").exists()


def test_a_guardian_that_cannot_write_leaves_a_note(control):
    """Without a journal there is no report: the folder says why, and no child is left."""
    run = control("unwritten")

    run.kill()

    note = (run.reports / "guardian-error.txt").read_text(encoding="ascii")
    assert note.startswith("FileNotFoundError")
    assert alive(run.children) == []


def test_an_interrupted_run_has_an_end_and_no_status():
    """Whatever it said before, it did not come to its end."""
    started = "2026-03-01T12:00:00.000+00:00"
    before = Run(started=started, seed=5, profile="gate", state=State.FINISHED)

    run = interrupted(before)

    assert (run.state, run.runner_status, run.reason) == (State.INTERRUPTED, None, REASON)
    assert run.ended > before.started
    assert (run.started, run.seed) == (before.started, before.seed)


def test_a_process_is_told_by_its_creation_too():
    """Another process under the controlling one's id by now is not the controlling one."""
    me = children.known_as(os.getpid())

    assert children.is_alive(me)
    assert not children.is_alive(children.ChildProcess(pid=me.pid, created=me.created + 5.0))
