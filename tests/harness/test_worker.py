"""Workers, crews and load over the real core: what is done is what is written down."""

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness.load
from core.database import BUSY_TIMEOUT_MS
from harness.crew import Crew
from harness.drivers.command import core_command
from harness.errands import errands, told_busy
from harness.faults import RivalWriter
from harness.history import Outcome, digest_of
from harness.latency import Window
from harness.load import Load
from harness.meetings import inside, longest_s, meeting
from harness.waiting import WaitedTooLongError, wait_for, wait_until
from harness.workload import Arrivals, fill, idle_pauses_s, produce, produce_all, work_off

TASKS_COUNT = 24


def test_a_task_goes_through_its_life_as_written_down(crew, path, history):
    """Enqueue, claim, heartbeat and complete leave their id, key, fence and figures behind."""
    worker = crew.start(path, "w")
    put_in = worker.enqueue("k", max_attempts=2)
    claimed = worker.claim(lease_s=30.0)
    assert worker.heartbeat().ok
    assert worker.complete().ok

    assert (put_in.key, put_in.task_id) == ("k", 1)
    assert (claimed.task_id, claimed.key, claimed.facts["max_attempts"]) == (1, "k", 2)
    assert claimed.facts["digest"] == put_in.facts["digest"]
    assert claimed.facts["lease_s"] == 30.0
    assert {op.fence for op in history.operations()[1:]} == {claimed.fence}
    (task,) = worker.final()
    assert (task.status, task.key, task.digest) == ("completed", "k", put_in.facts["digest"])
    assert task.digest == digest_of({"key": "k", "filling": ""})


def test_an_empty_queue_gives_no_task(crew, path):
    """A claim that finds nothing is acknowledged, and has no task."""
    operation = crew.start(path, "w").claim()
    assert (operation.outcome, operation.task_id) == (Outcome.OK, None)


def test_a_failed_task_comes_back_with_another_fence(crew, path):
    """A task that was given back is handed out again, under a fence of its own."""
    worker = crew.start(path, "w")
    worker.enqueue("k")
    first = worker.claim()
    assert worker.fail("no luck").facts["status"] == "queued"
    assert worker.claim().fence != first.fence


def test_what_a_worker_no_longer_holds_is_surely_refused(crew, path):
    """Completing twice is refused, and written down as surely not done."""
    worker = crew.start(path, "w")
    worker.enqueue("k")
    worker.claim()
    worker.complete()
    again = worker.complete()
    assert again.outcome is Outcome.FAILED
    assert "lease-lost" in again.error


def test_what_was_in_flight_at_a_kill_is_unknown(crew, path):
    """A request that a killed worker never answered may have been done."""
    worker = crew.start(path, "w")
    with RivalWriter().inject(path):
        flight = worker.send_enqueue("k")
        worker.driver.kill()
    assert flight.settle().outcome is Outcome.UNKNOWN


def test_a_stale_lease_is_reclaimed_and_counted(crew, path):
    """A worker whose clock is an hour ahead finds the task of a dead one."""
    holder, keeper = crew.start(path, "h"), crew.start(path, "k", clock_offset_ms=3_600_000)
    holder.enqueue("k")
    holder.claim()
    holder.driver.kill()
    assert keeper.reclaim().facts["count"] == 1


def test_arrivals_are_evenly_spaced():
    """A rate of so many a minute is one every so many seconds."""
    arrivals = Arrivals(per_minute=120, count=3)

    assert list(arrivals.moments_s()) == [0.0, 0.5, 1.0]
    assert arrivals.lasts_s == 1.5


def test_an_open_loop_sends_on_time_though_nobody_answers(crew, path):
    """A queue that stands still does not slow down what arrives."""
    worker = crew.start(path, "w")
    arrivals = Arrivals(per_minute=6000, count=20)
    with ThreadPoolExecutor(1) as pool:
        with RivalWriter().inject(path):
            producing = pool.submit(produce, worker, arrivals, prefix="t")
            wait_until(
                lambda: len(crew.history.operations()) == arrivals.count, "arrivals", timeout_s=30
            )
        produced = producing.result(timeout=30)

    assert len(produced.operations) == arrivals.count
    assert all(op.ok for op in produced.operations)
    assert produced.operations[-1].invoked_s < produced.operations[0].returned_s


def test_an_open_loop_has_its_producers_by_turns(crew, path):
    """Each sends every second arrival at its moment; the answers come in the arrivals' order."""
    began_s = crew.history.now_s()
    arrivals = Arrivals(per_minute=2400, count=10)
    produced = produce_all(crew.start_all(path, "p", 2), arrivals, prefix="t")

    assert [op.key for op in produced.operations] == [f"t-{number:05d}" for number in range(10)]
    assert [op.worker for op in produced.operations] == ["p0", "p1"] * 5
    scheduled_s = [op.facts["scheduled_s"] for op in produced.operations]
    assert scheduled_s == pytest.approx([produced.began_s + each for each in arrivals.moments_s()])
    assert produced.began_s > began_s
    late_s = [op.invoked_s - op.facts["scheduled_s"] for op in produced.operations]
    # A wait may end a moment early.
    assert min(late_s) > -0.01
    assert 0.0 <= produced.latest_s <= max(late_s)


def test_an_open_loop_can_be_stopped(crew, path):
    """No more arrivals are sent once it is told to stop."""
    stop = threading.Event()
    stop.set()
    produced = produce(crew.start(path, "w"), Arrivals(60, 100), prefix="t", stop=stop)
    assert produced.operations == ()


def test_a_queue_is_filled_and_worked_off(crew, path):
    """So many tasks are put in by all producers, and all are completed by all workers."""
    producers, workers = crew.start_all(path, "p", 2), crew.start_all(path, "w", 2)
    put_in = fill(producers, TASKS_COUNT)
    assert len({op.key for op in put_in if op.ok}) == TASKS_COUNT
    assert {op.worker for op in put_in} == {"p0", "p1"}
    assert work_off(workers, lambda: True, timeout_s=30)
    assert [task.status for task in workers[0].final()] == ["completed"] * TASKS_COUNT


def test_a_producer_that_dies_sends_no_more(crew, path):
    """Filling ends by itself when its producer is gone."""
    producer = crew.start(path, "p")
    producer.driver.kill()
    (only,) = fill([producer], TASKS_COUNT)
    assert only.outcome is Outcome.UNKNOWN


def test_working_off_gives_up_at_its_deadline(crew, path):
    """An end that never comes is told, in time."""
    began_s = time.monotonic()
    assert not work_off([crew.start(path, "w")], lambda: False, timeout_s=0.2)
    assert time.monotonic() - began_s < 10


def test_working_off_gives_up_where_everything_is_refused(crew, path):
    """Workers that are dead do not fill the history until the deadline."""
    worker = crew.start(path, "w")
    worker.driver.kill()
    assert not work_off([worker], lambda: False, timeout_s=60)
    assert len(crew.history.operations()) < 100


def test_load_runs_for_the_body_and_stops(crew, path, history):
    """Tasks are put in while the body runs and not afterwards; what met it is known."""
    with Load([crew.start(path, "p")], prefix="x") as load:
        began_s = history.now_s()
        acknowledged = load.wait_for_acknowledgement(began_s)
        during = Window(began_s, history.now_s())
    after = len(history.operations())
    assert acknowledged in inside(load.operations(), [during])
    met = meeting(load.operations(), [during])
    assert all(op in met for op in inside(load.operations(), [during]))
    assert all(op.returned_s is not None for op in history.operations())
    assert len(load.operations()) == after


def test_load_of_workers_does_each_task_in_its_order_and_puts_it_down(crew, path):
    """A worker claims, extends the lease and completes, and has no task in hand at the end."""
    producer, worker = crew.start(path, "p"), crew.start(path, "w")
    with Load([producer], [worker], prefix="x") as load:
        load.wait_for_each(("enqueue", "claim", "heartbeat", "complete"))
    theirs = [op for op in load.operations() if op.worker == "w" and op.task_id is not None]
    assert [op.op for op in theirs[:4]] == ["claim", "heartbeat", "complete", "claim"][
        : len(theirs)
    ]
    assert theirs[-1].op == "complete"
    assert {task.status for task in producer.final()} <= {"queued", "completed"}


def test_load_waits_for_each_of_its_processes(crew, path, history):
    """So many answers, and one after a moment, mean those of each."""
    producer, worker = crew.start(path, "p"), crew.start(path, "w")
    with Load([producer], [worker], prefix="x") as load:
        load.wait_for_count(5)
        counts = Counter(op.worker for op in load.operations())
        since_s = history.now_s()
        load.wait_until_all_are_served()
        later = {op.worker for op in load.operations() if op.returned_s > since_s}
    assert counts["p"] >= 5
    assert counts["w"] >= 5
    assert later == {"p", "w"}


def test_load_sees_a_producer_that_has_to_wait(crew, path, history):
    """A producer that waits for a lock is seen to wait."""
    with Load([crew.start(path, "p")], prefix="x") as load:
        load.wait_for_acknowledgement(0.0)
        with RivalWriter().inject(path):
            load.wait_for_stall(0.05)
            assert load.stalled(0.05) == {"p"}
            assert load.stalled(60.0) == set()
    longest = longest_s(errands(history.operations()))
    assert longest["enqueue"] >= 0.05


def test_load_that_is_told_busy_asks_again_for_the_same(crew, path, history):
    """A refusal is seen, and the same task is put in once the lock is free."""
    command = [*core_command(path), "--busy-timeout-ms", "20"]
    with Load([crew.start_program(command, "p")], prefix="x") as load:
        load.wait_for_acknowledgement(0.0)
        with RivalWriter().inject(path):
            load.wait_for_refusal(history.now_s())
    refused = [op for op in load.operations() if told_busy(op)]
    assert refused
    assert min(op.returned_s - op.invoked_s for op in refused) < BUSY_TIMEOUT_MS / 1000
    assert {op.key for op in refused} <= {op.key for op in load.operations() if op.ok}


def test_load_does_not_take_a_refusal_for_service(crew, path, history, monkeypatch):
    """Who is answered that the queue is busy was not served."""
    command = [*core_command(path), "--busy-timeout-ms", "20"]
    with Load([crew.start_program(command, "p")], prefix="x") as load:
        load.wait_until_all_are_served()
        monkeypatch.setattr(harness.load, "_TIMEOUT_S", 0.5)
        with RivalWriter().inject(path):
            load.wait_for_refusal(history.now_s())
            with pytest.raises(WaitedTooLongError, match="an acknowledgement to all"):
                load.wait_until_all_are_served()


def test_load_does_not_take_an_empty_queue_for_a_task(crew, path):
    """A claim that found nothing is no acknowledgement to wait for."""
    with Load([crew.start(path, "p")], [crew.start(path, "w")], prefix="x") as load:
        claimed = load.wait_for_acknowledgement(0.0, "claim")
    assert claimed.task_id is not None


def test_load_ends_with_its_producer(crew, path):
    """A producer that was killed puts nothing in any more."""
    producer = crew.start(path, "p")
    with Load([producer], prefix="x") as load:
        load.wait_for_acknowledgement(0.0)
        producer.driver.kill()
    assert load.operations()[-1].outcome is Outcome.UNKNOWN


def test_workers_that_start_side_by_side_have_their_names_and_commands(crew, path):
    """Each is the one that was asked for, in the order that was asked for."""
    names = ("a", "b", "c")
    workers = crew.start_side_by_side(dict.fromkeys(names, core_command(path)))
    assert tuple(worker.name for worker in workers) == names
    assert len({worker.driver.pid for worker in workers}) == 3


def test_a_crew_leaves_nobody_behind(history, path, tmp_path):
    """All workers are gone at the end, the suspended ones too."""
    with Crew(history, tmp_path) as crew:
        workers = crew.start_all(path, "w", 2)
        workers[0].driver.suspend()
    assert all(worker.driver.exit_status is not None for worker in workers)


def test_waiting_ends_at_its_deadline():
    """What never happens is an error that names it."""
    with pytest.raises(WaitedTooLongError, match=r"the moon did not happen within 0\.01 s"):
        wait_until(lambda: None, "the moon", timeout_s=0.01)
    with pytest.raises(WaitedTooLongError, match="the moon"):
        wait_for(threading.Event(), "the moon", timeout_s=0.01)
    assert wait_until(lambda: 7, "at once", timeout_s=0) == 7


def test_idle_workers_do_not_fall_into_step():
    """Pauses keep to their bounds and their mean, are repeatable, and differ by worker."""
    first, again, other = (
        list(itertools.islice(idle_pauses_s(name, 0.1), 500)) for name in ("a", "a", "b")
    )
    assert first == again
    assert first != other
    assert all(0.05 <= pause_s <= 0.15 for pause_s in first)
    assert sum(first) / len(first) == pytest.approx(0.1, abs=0.005)
