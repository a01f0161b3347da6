"""The knee: each way to give way is seen, and the first one is told; on histories by hand."""

import pytest
from cell_runs import BEGAN_S, BUSY, COUNT, LASTS_S, PER_MINUTE, Load

from harness.checkers import Ruling, Valid
from harness.history import Outcome
from harness.knee import BACKLOG_MOST_S, LATE_MOST_S, Knee, find_knee, first_break


def held():
    """A run in which nothing gave way."""
    return Load().tasks(range(COUNT)).run()


def test_a_rate_that_is_held_breaks_nothing():
    """Every task done at once: there is nothing to tell."""
    assert first_break(held()) is None


def test_a_busy_machine_alone_breaks_nothing():
    """Processors that are all busy are no reason, where everything is done in time."""
    assert first_break(Load().tasks(range(COUNT)).run(effort=BUSY)) is None


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_an_error_is_a_break(outcome):
    """The moment is that of the request, and the break has its words."""
    load = Load().tasks(range(COUNT))
    load.script.add("w1", "heartbeat", 104.0, outcome=outcome, error="busy: locked")

    found = first_break(load.run())

    assert (found.at_s, found.machine) == (104.0, False)
    assert found.what == "an error: heartbeat of w1: busy: locked"


def test_an_enqueue_that_was_sent_late_is_this_machines():
    """Whoever sends on a schedule waits for nobody: late is the harness, and not the queue."""
    load = Load().tasks([n for n in range(COUNT) if n != 3])
    load.task(3, late_s=LATE_MOST_S + 0.2, done_after_s=1.5)

    found = first_break(load.run())

    assert (found.at_s, found.machine) == (pytest.approx(103.7), True)
    assert found.what == "this machine: an enqueue left it 0.7 s late"


def test_an_enqueue_that_was_sent_a_little_late_is_none():
    """So much as it may be late is no break."""
    load = Load().tasks(range(COUNT - 1)).task(9, late_s=LATE_MOST_S - 0.1, done_after_s=1.0)

    assert first_break(load.run()) is None


def test_a_backlog_of_tasks_that_were_taken_in_is_the_workers():
    """More tasks wait than arrive in two seconds: the third one shows it, when it arrives."""
    assert PER_MINUTE * BACKLOG_MOST_S / 60 == 2
    load = Load().tasks(range(4)).tasks(range(4, COUNT), done_after_s=3.5)

    found = first_break(load.run())

    assert (found.at_s, found.machine) == (106.0, False)
    assert found.what == "working tasks off: more than 2 tasks waited"


@pytest.mark.parametrize("asked", [True, False])
def test_a_backlog_of_tasks_that_nobody_took_in_is_not_the_workers(asked):
    """Workers cannot do what the queue has not acknowledged yet, and may well be idle."""
    load = Load().tasks(range(4))
    load.tasks(range(4, COUNT), lasted_s=3.0, done_after_s=3.6)

    found = first_break(load.run(asked=asked))

    assert (found.at_s, found.machine) == (106.0, False)
    assert found.what == "taking tasks in: more than 2 tasks waited"


def test_a_rate_that_was_not_held_is_a_break_at_the_end():
    """Too few were done when the arrivals were over, though never many waited at one time."""
    load = Load().tasks(range(COUNT - 2)).tasks(range(COUNT - 2, COUNT), done_after_s=4.0)

    found = first_break(load.run())

    assert (found.at_s, found.machine) == (BEGAN_S + LASTS_S, False)
    assert found.what == "the rate: 80% of it was held"


def test_tasks_that_never_arrived_are_not_held():
    """A run that was cut off after half of its arrivals held half of the rate."""
    assert Load().tasks(range(COUNT // 2)).run().rate_held() == 0.5
    assert Load().run().rate_held() == 0.0


def test_a_backlog_on_an_exhausted_machine_is_this_machines():
    """Where every processor was busy nobody knows what the queue would have held."""
    load = Load().tasks(range(4)).tasks(range(4, COUNT), done_after_s=3.5)

    found = first_break(load.run(effort=BUSY))

    assert found.machine
    assert found.what.startswith("this machine: all its processors were busy (of 2 the harness")
    assert found.what.endswith("others 1.28), and working tasks off: more than 2 tasks waited")


def test_a_rate_that_an_exhausted_machine_did_not_hold_is_this_machines():
    """As with a backlog, so with the rate."""
    load = Load().tasks(range(COUNT - 2)).tasks(range(COUNT - 2, COUNT), done_after_s=4.0)

    found = first_break(load.run(effort=BUSY))

    assert found.machine
    assert found.what.endswith("and the rate: 80% of it was held")


def test_a_backlog_of_workers_that_nobody_asks_is_this_machines():
    """Tasks wait, and the workers wait too: it is the harness that does not get on."""
    load = Load().tasks(range(4)).tasks(range(4, COUNT), done_after_s=3.5)

    found = first_break(load.run(asked=False))

    assert (found.at_s, found.machine) == (106.0, True)
    assert found.what == (
        "this machine: the harness left its workers unasked for 98% of the time, and working "
        "tasks off: more than 2 tasks waited"
    )


def test_an_error_on_an_exhausted_machine_is_the_queues():
    """A machine without time makes a queue slow; it does not make it refuse or lose anything."""
    load = Load().tasks(range(COUNT))
    load.script.add("w1", "heartbeat", 104.0, outcome=Outcome.FAILED, error="no")

    assert not first_break(load.run(effort=BUSY)).machine


def test_a_promise_that_was_broken_is_a_break():
    """A checker that says false is told, with its figures."""
    load = Load().tasks(range(COUNT))
    load.done.pop()

    found = first_break(load.run())

    assert (found.at_s, found.machine) == (BEGAN_S + LASTS_S, False)
    assert found.what.startswith("a promise: nothing-lost: false")


def test_the_log_of_promises_is_asked_too():
    """What the queue had promised and does not keep is a break, whatever the checkers say."""
    broken = Ruling(name="promises-kept", valid=Valid.FALSE, violations=("k1 is gone",))

    found = first_break(Load().tasks(range(COUNT)).run(kept=broken))

    assert found.what.startswith("a promise: promises-kept: false")


def test_what_nobody_can_judge_is_no_break():
    """Unknown and not applicable are no reason to say that a rate was not held."""
    unknown = Ruling(name="promises-kept", valid=Valid.UNKNOWN)

    assert first_break(Load().tasks(range(COUNT)).run(kept=unknown)) is None


def test_the_first_that_gave_way_is_told():
    """Of several breaks the earliest wins, whatever its kind."""

    def breaking(error_at_s):
        load = Load().tasks(range(4)).tasks(range(4, COUNT), done_after_s=3.5)
        load.script.add("w1", "heartbeat", error_at_s, outcome=Outcome.FAILED, error="no")
        return first_break(load.run()).what

    assert breaking(105.9).startswith("an error")
    assert breaking(106.1).startswith("working tasks off")


def test_a_knee_is_between_the_last_held_and_the_first_broken_rate():
    """The search ends at the first rate that is not held, and says why."""
    asked = []

    def run(rate):
        asked.append(rate)
        return held() if rate < 30 else Load().tasks(range(COUNT - 1)).run()

    knee = find_knee((10, 20, 30, 40), run)

    assert asked == [10, 20, 30]
    assert (knee.held_per_minute, knee.broke_per_minute) == (20, 30)
    assert not knee.of_machine
    assert str(knee) == "at 30 tasks a minute broke first the rate: 90% of it was held"


def test_a_knee_that_was_not_reached_is_no_break():
    """Every rate was held: the knee is beyond the last one."""
    knee = find_knee((10, 20), lambda _rate: held())

    assert knee == Knee(20, None, None)
    assert not knee.of_machine
    assert str(knee) == "every rate that was tried was held"


def test_a_first_rate_that_is_not_held_leaves_nothing():
    """Where nothing was held the knee is zero."""
    assert find_knee((10,), lambda _rate: Load().run()).held_per_minute == 0


def test_a_knee_of_the_machine_says_so():
    """The break's owner is the knee's."""
    load = Load().tasks(range(4)).tasks(range(4, COUNT), done_after_s=3.5)

    assert find_knee((10,), lambda _rate: load.run(effort=BUSY)).of_machine
