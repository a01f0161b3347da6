"""The bench: a verb is held until the load has met it, and is seen through where it cannot be."""

import contextlib
from types import SimpleNamespace
from typing import cast

import pytest
from histories import Script

import harness.bench
from core.connection import connect_stdlib
from core.paths import uri
from harness.bench import (
    KEPT_OUT,
    PASSED,
    REFUSED,
    SERVED,
    SERVED_BETWEEN,
    Bench,
    Manner,
    MannerError,
)
from harness.drivers.command import core_command
from harness.errands import errands, told_busy
from harness.history import Outcome
from harness.latency import Window
from harness.load import Load
from harness.meetings import counted, waiting
from harness.outcome import Inconclusive
from harness.waiting import WaitedTooLongError

NAMES = ("producer", "worker0", "worker1")
SHORT_S = 1.0


@pytest.fixture
def load(crew, path):
    """A producer and two workers at work; those who wait for a lock give up soon."""
    with at_work(crew, path) as load:
        yield load


@pytest.fixture
def impatient(monkeypatch):
    """Whoever waits for a meeting gives up soon."""
    monkeypatch.setattr(harness.bench, "_MEETING_TIMEOUT_S", SHORT_S)


def at_work(crew, path):
    """The load that they are."""
    command = [*core_command(path), "--busy-timeout-ms", "150"]
    producer, *workers = crew.start_side_by_side(dict.fromkeys(NAMES, command))
    return Load([producer], workers, prefix="t")


def locking(path):
    """A verb that has the writer lock while it tells of its progress."""

    def run(progress):
        with contextlib.closing(connect_stdlib(uri(path, mode="rw"), timeout_s=5.0)) as connection:
            connection.execute("BEGIN IMMEDIATE").close()
            try:
                progress(0)
            finally:
                connection.execute("ROLLBACK").close()

    return run


def passing(progress):
    """A verb that takes no lock."""
    progress(0)


def runs(load, name):
    """What the history has of the runs of a verb."""
    return [op for op in load.history.operations() if op.op == name]


def test_a_verb_with_the_lock_is_held_until_all_wait(load, path):
    """Every operation is seen to wait while it is held, and is served afterwards."""
    bench = Bench(load, "locking", locking(path), KEPT_OUT)
    bench.hold_until_met(1)
    assert min(counted(bench.met_held()).values()) >= 1
    assert all(op.returned_s > bench.held[0].end_s for op in bench.met_held()[:1])
    assert len(runs(load, "hold")) == len(runs(load, "locking")) == len(bench.held)
    assert bench.free == []


def test_a_verb_without_the_lock_is_held_until_each_is_served(load):
    """Every operation is begun and acknowledged while it is held."""
    bench = Bench(load, "passing", passing, SERVED)
    bench.hold_until_met(2)
    (window, *_more) = bench.held
    assert min(counted(bench.met_held()).values()) >= 2
    assert any(window.start_s < op.invoked_s < window.end_s for op in bench.met_held())


def test_a_verb_that_tells_again_and_again_is_held_once_a_run(load):
    """It goes on when it has been met."""

    def run(progress):
        for number in range(3):
            progress(number)

    bench = Bench(load, "talking", run, SERVED)
    bench.hold_until_met(1)
    assert len(runs(load, "hold")) == len(runs(load, "talking")) == len(bench.held)


def test_who_is_kept_out_for_long_is_told_busy_and_asks_again(crew, path):
    """Every operation is refused once, and none for good."""
    with at_work(crew, path) as load:
        bench = Bench(load, "locking", locking(path), REFUSED)
        bench.hold_until_met(1)
    assert min(counted(bench.met_held()).values()) >= 1
    assert all(told_busy(op) for op in bench.met_held())
    assert all(errand.done for errand in errands(load.operations()))


def test_a_short_verb_runs_until_it_is_met(load):
    """It is not held: there is nothing to hold it by."""
    bench = Bench(load, "short", lambda progress: progress(0), PASSED)
    bench.hold_until_met(1)
    assert (bench.held, bench.free) == ([], [])
    bench.run_until_met(0, runs_least=3)
    assert len(bench.free) == 3
    bench.run_until_met(2)
    assert min(counted(bench.met_free()).values()) >= 2


def test_between_two_runs_everybody_is_served(load):
    """What a verb costs is that of one run, and not of a row of them."""
    bench = Bench(load, "short", lambda _progress: None, PASSED)
    bench.run_until_met(1, runs_least=3)
    answers = [op for op in load.operations() if op.returned_s is not None]
    for before, after in zip(bench.free, bench.free[1:], strict=False):
        between = {op.worker for op in answers if before.end_s < op.returned_s < after.start_s}
        assert between == set(NAMES)


def test_stalls_leave_out_where_the_verb_was_held():
    """What waited for the test's own sake is no cost of the verb's."""
    script = Script().enqueue("free", 9.5, lasted_s=1.0).enqueue("held", 20.5, lasted_s=5.0)
    script.enqueue("apart", 30.0)
    seen = SimpleNamespace(operations=lambda: tuple(script.operations))
    bench = Bench(cast(Load, seen), "verb", passing, PASSED)
    bench.free.append(Window(10.0, 11.0))
    bench.held.append(Window(20.0, 25.0))
    assert bench.stalls_s() == {"enqueue": pytest.approx(1.0)}
    assert bench.otherwise_s() == {"enqueue": pytest.approx(0.1)}
    assert [op.key for op in bench.met_free()] == ["free"]
    assert [op.key for op in bench.met_held()] == ["held"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("manner", [KEPT_OUT, REFUSED], ids=["kept out", "refused"])
def test_a_verb_that_lets_workers_write_and_should_not_is_red(load, manner):
    """What was acknowledged while somebody else had the writer lock cannot be."""
    with pytest.raises(MannerError, match="was acknowledged while the verb had the writer lock"):
        Bench(load, "passing", passing, manner).hold_until_met(10_000)
    assert runs(load, "hold")[-1].outcome is Outcome.FAILED


@pytest.mark.usefixtures("impatient")
def test_a_verb_that_keeps_workers_out_and_should_not_is_red(load, path):
    """That is a broken promise, and no lack of a meeting."""
    with pytest.raises(MannerError, match="keeps workers out"):
        Bench(load, "locking", locking(path), SERVED).hold_until_met(1)


@pytest.mark.parametrize("answer", ["raised", "wrapped", "swallowed"])
def test_that_nobody_comes_is_inconclusive_whatever_the_verb_makes_of_it(load, answer):
    """A verb may turn an error out of its callback into one of its own, or lose it."""

    def nobody_comes(_load, _since_s):
        raise WaitedTooLongError("nobody came")

    def run(progress):
        try:
            progress(0)
        except TimeoutError as error:
            if answer == "raised":
                raise
            if answer == "wrapped":
                raise RuntimeError("it failed") from error

    with pytest.raises(Inconclusive, match="did not meet: nobody came"):
        Bench(load, "lonely", run, Manner(waiting, nobody_comes)).hold_until_met(1)


def test_a_verb_that_is_never_seen_at_work_is_inconclusive(load):
    """It was over before it could be held, each time."""
    bench = Bench(load, "silent", lambda _progress: None, KEPT_OUT)
    with pytest.raises(Inconclusive, match=r"silent was met too seldom.*claim 0 times"):
        bench.hold_until_met(1, timeout_s=SHORT_S)


def test_a_verb_that_nobody_meets_is_inconclusive(load):
    """A verb without steps lets nobody in between."""
    bench = Bench(load, "instant", lambda _progress: None, SERVED_BETWEEN)
    with pytest.raises(Inconclusive, match="instant was met too seldom"):
        bench.run_until_met(1, timeout_s=SHORT_S)


def test_an_error_of_the_verb_is_its_own_and_written_down(load):
    """It is not mistaken for a lack of meetings."""

    def run(_progress):
        raise ZeroDivisionError("no good")

    with pytest.raises(ZeroDivisionError):
        Bench(load, "broken", run, SERVED).hold_until_met(1)
    (operation,) = runs(load, "broken")
    assert (operation.outcome, operation.error) == (Outcome.FAILED, "ZeroDivisionError: no good")
