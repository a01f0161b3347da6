"""What the rest of the harness does with a driver that is wrong: it ends, and tells it."""

import time
from types import SimpleNamespace

import pytest

from harness.crew import Crew
from harness.drivers.check.trial import Trial
from harness.drivers.client import DriverGoneError, DriverWrongError
from harness.drivers.command import CORE
from harness.drivers.last_words import last_words
from harness.drivers.pending import DriverRefusedError, Pending
from harness.drivers.promises import core_capabilities
from harness.introduction import Introduction
from harness.load import Load
from harness.reclaiming import Reclaimer
from harness.worker import InFlight
from harness.workload import work_off

WRONG = DriverWrongError("driver w said something wrong: line 7")


class WrongWorker:
    """A worker whose driver is wrong in everything."""

    name, history = "w", None
    driver = SimpleNamespace(exit_status=None)

    def _is_asked(self, *_asked, **_settings):
        raise WRONG

    claim = enqueue = reclaim = _is_asked


class IdleWorker:
    """A worker that never gets a task."""

    name = "idle"

    driver = SimpleNamespace(exit_status=None)

    def claim(self, **_settings):
        """Get none."""
        return SimpleNamespace(task_id=None, ok=True)


class Written:
    """A ticket that keeps what is written."""

    outcome = ""

    def unknown(self, error):
        """Keep it."""
        self.outcome = error


def test_all_workers_end_where_one_driver_is_wrong():
    """Nobody works on for the rest of the time that was given."""
    began_s = time.monotonic()
    with pytest.raises(DriverWrongError, match="line 7"):
        work_off([IdleWorker(), WrongWorker()], lambda: False, timeout_s=40)
    assert time.monotonic() - began_s < 20


def test_a_load_tells_that_its_driver_is_wrong():
    """A load that nobody waits for tells it at its end, and has not filled the history."""
    with pytest.raises(DriverWrongError, match="line 7"), Load([WrongWorker()], prefix="t"):
        pass


def test_a_reclaimer_tells_that_its_driver_is_wrong():
    """It works in a thread of its own, and tells it at its end."""
    with (
        pytest.raises(DriverWrongError, match="line 7"),
        Reclaimer(WrongWorker(), every_s=0.0) as reclaimer,
    ):
        reclaimer._thread.join(30)


def test_a_reclaimer_hides_no_other_error():
    """What the body says comes first."""
    with pytest.raises(ZeroDivisionError), Reclaimer(WrongWorker(), every_s=0.0) as reclaimer:
        1 / (reclaimer._thread.join(30) or 0)


def test_an_operation_of_a_wrong_driver_is_written_down_before_it_is_told():
    """The history has it with an unknown outcome, and the reason."""
    pending, ticket = Pending("claim"), Written()
    pending.resolve(None, WRONG)
    with pytest.raises(DriverWrongError):
        InFlight(ticket, pending).settle()
    assert ticket.outcome == str(WRONG)


def test_an_operation_of_a_driver_that_was_killed_is_unknown_and_no_error():
    """A kill is a fault; the scenario goes on."""
    pending, ticket = Pending("claim"), Written()
    pending.resolve(None, DriverGoneError("driver w has ended"))
    InFlight(ticket, pending).settle()
    assert ticket.outcome == "driver w has ended"


def test_the_end_of_one_worker_keeps_no_other_alive(tmp_path):
    """Ctrl-C while one worker is ended ends the others all the same."""
    closed = []

    def close(name):
        closed.append(name)
        if name == 1:
            raise KeyboardInterrupt

    crew = Crew(history=None, folder=tmp_path)
    crew._workers = [
        SimpleNamespace(driver=SimpleNamespace(close=lambda name=name: close(name)))
        for name in range(3)
    ]
    with pytest.raises(KeyboardInterrupt):
        crew.close()
    assert sorted(closed) == [0, 1, 2]


def test_ctrl_c_in_a_trial_waits_for_no_driver(tmp_path):
    """All are killed first, so that another Ctrl-C can leave none of them alive."""
    done = []
    trial = Trial(CORE, tmp_path, core_capabilities())
    for name in range(2):
        process = SimpleNamespace(kill=lambda name=name: done.append(("kill", name)))
        trial._drivers.append(SimpleNamespace(process=process))
        trial._closing.callback(done.append, ("close", name))

    with pytest.raises(KeyboardInterrupt):
        interrupt(trial)

    assert done[:2] == [("kill", 0), ("kill", 1)]
    assert sorted(done[2:]) == [("close", 0), ("close", 1)]


def interrupt(trial):
    """Press Ctrl-C in it."""
    with trial:
        raise KeyboardInterrupt


def test_the_last_words_are_the_end_of_the_file_in_one_line(tmp_path):
    """However much was said: the last of it, made harmless."""
    path = tmp_path / "stderr"
    path.write_bytes(b"word \n" * 1_000_000 + b"the\n\tlast \x1b[31m\xff\n")

    said = last_words(path)

    assert said.endswith("word word the last \\x1b[31m\ufffd")
    assert len(said) == 300
    assert last_words(tmp_path / "nothing") == ""


def test_a_refusal_without_end_is_cut_off():
    """A driver's message goes into reports and records, where nobody reads a million letters."""
    error = {"code": "error", "message": "x" * 1_000_000, "outcome": "unknown"}
    assert len(str(DriverRefusedError(error))) < 3000


def test_a_name_that_no_report_can_hold_is_spelled_out():
    """What a driver calls itself goes into files that are UTF-8 and into terminals."""
    facts = Introduction("\ud800\x1b[31m" + "x" * 1000, core_capabilities()).facts()

    assert facts["driver calls itself"].startswith("\\ud800\\x1b[31mx")
    assert len(facts["driver calls itself"]) == 200
