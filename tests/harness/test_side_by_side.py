"""Jobs that run side by side: each once in all processes, and none is waited for in vain."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness import side_by_side
from harness.outcome import Inconclusive
from harness.side_by_side import SideBySide
from harness.waiting import wait_until

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60
PROGRAM = """
import os, sys, threading
from pathlib import Path
from harness.side_by_side import SideBySide

folder, wanted = Path(sys.argv[1]), sys.argv[2:]

def run(folder, turn):
    folder.mkdir()
    turn.wait_for_all()
    with (folder.parents[2] / "runs.txt").open("a") as runs:
        runs.write(folder.name + "\\n")
    (folder / "by.txt").write_text(str(os.getpid()))

def stay(folder, turn):
    (folder.parents[2] / "stays.txt").touch()
    threading.Event().wait()

jobs = {"first": run, "second": run} if "stay" not in wanted else {"stay": stay}
runner = SideBySide(folder / "shared")
for name in wanted:
    print((runner.result("group", name, jobs, timeout_s=60) / "by.txt").read_text())
runner.close()
"""


@pytest.fixture
def runner(tmp_path):
    """What runs jobs in this process; nothing of it outlives the test."""
    runner = SideBySide(tmp_path / "shared")
    yield runner
    runner.close(stop=True)


@pytest.fixture
def start(tmp_path):
    """Starts other processes that ask for jobs; all of them are gone afterwards."""
    started = []

    def start(*names):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), *names],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


def leaves(text):
    """Return a job that leaves a text in its folder."""

    def job(folder, _turn):
        folder.mkdir()
        (folder / "said.txt").write_text(text, encoding="ascii")

    return job


def fails(_folder, _turn):
    """A job that cannot be done."""
    raise ValueError("no luck")


def stays(_folder, turn):
    """A job that ends when it is told to, and not before."""
    turn.stop.wait(DEADLINE_S)


def test_each_job_runs_once_whoever_asks_first(start, tmp_path):
    """Two processes ask for the same two jobs, in another order: both see what one of them did."""
    asked = [start("first", "second"), start("second", "first")]
    answers = [process.communicate(timeout=DEADLINE_S)[0].split() for process in asked]

    assert sorted((tmp_path / "runs.txt").read_text().split()) == ["first", "second"]
    (owner,) = {pid for pids in answers for pid in pids}
    assert [len(pids) for pids in answers] == [2, 2]
    assert int(owner) in {process.pid for process in asked}


def test_a_group_whose_process_was_killed_is_given_up(start, runner, tmp_path):
    """Nobody waits for the job of a dead process, not even of one that nobody has buried."""
    owner = start("stay")
    wait_until((tmp_path / "stays.txt").exists, "the start of the job", timeout_s=DEADLINE_S)
    owner.kill()
    began_s = time.monotonic()

    with pytest.raises(Inconclusive, match="the process that ran stay is gone"):
        runner.result("group", "stay", {"stay": stays}, timeout_s=10 * DEADLINE_S)
    assert time.monotonic() - began_s < DEADLINE_S


def test_a_group_of_a_process_that_stands_still_is_not_given_up(start, runner, tmp_path):
    """A process that lives, were it suspended, may come to its end."""
    owner = start("stay")
    wait_until((tmp_path / "stays.txt").exists, "the start of the job", timeout_s=DEADLINE_S)
    psutil.Process(owner.pid).suspend()
    asking = threading.Thread(
        target=lambda: runner.result("group", "stay", {}, timeout_s=DEADLINE_S), daemon=True
    )
    asking.start()
    asking.join(0.5)

    assert asking.is_alive()
    (tmp_path / "shared" / "group" / "stay-ended.json").write_text('{"error": ""}')
    asking.join(DEADLINE_S)
    assert not asking.is_alive()


def test_what_ended_before_its_process_did_is_there(start, runner):
    """A job's result outlives who ran it."""
    owner = start("first", "second")
    said = owner.communicate(timeout=DEADLINE_S)[0].split()

    folder = runner.result("group", "second", {}, timeout_s=DEADLINE_S)

    assert (folder / "by.txt").read_text() == said[1]


def test_groups_have_nothing_to_do_with_each_other(runner):
    """Jobs of the same name in two groups are two jobs."""
    said = [
        (runner.result(text, "job", {"job": leaves(text)}, timeout_s=DEADLINE_S) / "said.txt")
        for text in ("one", "other")
    ]

    assert [path.read_text() for path in said] == ["one", "other"]


def test_a_job_that_fails_is_told_to_who_waits_for_it(runner):
    """Its error has a name; the others of the group are not held up by it."""

    def waits(folder, turn):
        turn.wait_for_all()
        leaves("went on")(folder, turn)

    jobs = {"bad": fails, "good": waits}
    began_s = time.monotonic()

    with pytest.raises(Inconclusive, match="bad could not be run: ValueError: no luck"):
        runner.result("group", "bad", jobs, timeout_s=DEADLINE_S)
    good = runner.result("group", "good", jobs, timeout_s=DEADLINE_S)
    assert (good / "said.txt").read_text() == "went on"
    assert time.monotonic() - began_s < side_by_side.START_TIMEOUT_S


def test_jobs_begin_when_all_are_ready(runner):
    """Who is ready waits for who is not."""
    ready, seen = [], []
    may_be_ready = threading.Event()

    def slow(_folder, turn):
        may_be_ready.wait(DEADLINE_S)
        ready.append("slow")
        turn.wait_for_all()

    def quick(_folder, turn):
        may_be_ready.set()
        turn.wait_for_all()
        seen.extend(ready)

    runner.result("group", "quick", {"quick": quick, "slow": slow}, timeout_s=DEADLINE_S)

    assert seen == ["slow"]


def test_a_job_that_is_never_ready_holds_nobody_up_for_ever(runner, monkeypatch):
    """After a while who is ready begins without it."""
    monkeypatch.setattr(side_by_side, "START_TIMEOUT_S", 0.1)

    def quick(folder, turn):
        turn.wait_for_all()
        leaves("began")(folder, turn)

    jobs = {"quick": quick, "never": stays}
    folder = runner.result("group", "quick", jobs, timeout_s=DEADLINE_S)

    assert (folder / "said.txt").read_text() == "began"


def test_a_job_that_takes_too_long_is_not_waited_for(runner, monkeypatch):
    """The wait has an end, and says for what it was."""
    monkeypatch.setattr(side_by_side, "START_TIMEOUT_S", 0.05)

    with pytest.raises(Inconclusive, match=r"the end of slow did not happen within 0\.1 s"):
        runner.result("group", "slow", {"slow": stays}, timeout_s=0.05)


def test_a_run_that_is_over_stops_its_jobs(tmp_path):
    """Told to stop, every job that still runs here is told so, and waited for."""
    runner = SideBySide(tmp_path)
    ended, begun = [], threading.Barrier(3)

    def job(_folder, turn):
        begun.wait(DEADLINE_S)
        turn.stop.wait(DEADLINE_S)
        ended.append(turn.stop.is_set())

    jobs = {"one": job, "two": job}
    asking = threading.Thread(
        target=lambda: runner.result("group", "one", jobs, timeout_s=DEADLINE_S)
    )
    asking.start()
    begun.wait(DEADLINE_S)
    runner.close(stop=True)
    asking.join(DEADLINE_S)

    assert ended == [True, True]


def test_closing_without_a_stop_lets_jobs_end(tmp_path):
    """Other processes may wait for what runs here: it comes to its own end."""
    runner = SideBySide(tmp_path)
    may_end, stopped = threading.Event(), []

    def job(folder, turn):
        may_end.wait(DEADLINE_S)
        stopped.append(turn.stop.is_set())
        leaves("whole")(folder, turn)

    runner.result("group", "quick", {"quick": leaves(""), "slow": job}, timeout_s=DEADLINE_S)
    may_end.set()
    runner.close()

    assert stopped == [False]
    assert (tmp_path / "group" / "slow" / "said.txt").read_text() == "whole"
