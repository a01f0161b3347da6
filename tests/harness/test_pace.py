"""The pace of a cell: each limit is judged by itself, and only where the machine had time."""

import pytest
from cell_runs import COUNT, IDLE, LASTS_S, PER_MINUTE, Load

from harness.effort import Effort
from harness.history import Outcome
from harness.pace import (
    ACKNOWLEDGED_P99_MS,
    CLAIMED_P99_MS,
    DONE_P99_MS,
    HELD_LEAST,
    broken_limits,
    measure_pace,
    paces,
    unfit,
)

CROWDED = Effort(lasted_s=LASTS_S, processors=2, harness_s=1.0, queue_s=0.2, machine_s=19.9)
GREEDY = Effort(lasted_s=LASTS_S, processors=2, harness_s=1.0, queue_s=17.0, machine_s=19.9)


class Limits(dict):
    """Takes limits as a check's evidence does."""

    def __call__(self, name, observed, limit, _unit, kind):
        """Keep one, and say whether it is kept."""
        kept = observed is not None and (observed <= limit if kind == "max" else observed >= limit)
        self[name] = (observed, limit, kept)
        return kept


def judged(run):
    """The sentences of what was too slow, and every figure beside its limit."""
    limits = Limits()
    return broken_limits(limits, run), limits


def test_a_quick_cell_breaks_no_limit():
    """Every figure is told beside its limit all the same."""
    broken, limits = judged(Load().tasks(range(COUNT)).run())

    assert broken == []
    assert {name: limit for name, (_observed, limit, _kept) in limits.items()} == {
        "acknowledged_after, p99": ACKNOWLEDGED_P99_MS,
        "claimed_after, p99": CLAIMED_P99_MS,
        "done_after, p99": DONE_P99_MS,
        "part of the rate that was held": HELD_LEAST,
    }
    told = {name: observed for name, (observed, _limit, _kept) in limits.items()}
    assert told["acknowledged_after, p99"] == pytest.approx(100.0)
    assert told["claimed_after, p99"] == pytest.approx(250.0)
    assert told["done_after, p99"] == pytest.approx(500.0)


def test_slow_acknowledgements_break_their_limit():
    """A queue that takes tasks in slowly is told by the enqueues, and by nothing else."""
    (broken,) = judged(Load().tasks(range(COUNT), lasted_s=0.3).run())[0]

    assert broken == "acknowledged_after p99 is 300 ms (limit 250 ms)"


def test_slow_claims_break_their_limit():
    """So is one that hands them out slowly."""
    load = Load().tasks(range(COUNT), claimed_after_s=0.55, done_after_s=0.7)

    assert judged(load.run())[0] == ["claimed_after p99 is 550 ms (limit 500 ms)"]


def test_slow_completions_break_their_limit():
    """And one that takes long to take the end of a task."""
    load = Load().tasks(range(COUNT), done_after_s=0.8)

    assert judged(load.run())[0] == ["done_after p99 is 800 ms (limit 750 ms)"]


def test_a_rate_that_is_not_held_breaks_its_limit():
    """A task of ten that is done long afterwards is too many."""
    load = Load().tasks(range(COUNT - 1)).task(COUNT - 1, done_after_s=3.0)

    assert judged(load.run())[0][-1] == "90.0% of the rate was held (at least 99%)"


def test_what_was_never_answered_is_not_fast():
    """No task was claimed at all: the figure is not known, and that keeps no limit."""
    broken, _limits = judged(Load().tasks(range(COUNT), done_after_s=None).run())

    assert broken == [
        "claimed_after p99 is not known (limit 500 ms)",
        "done_after p99 is not known (limit 750 ms)",
        "0.0% of the rate was held (at least 99%)",
    ]


def test_a_latency_counts_from_the_arrival():
    """A queue that makes its producers late does not hide behind that."""
    load = Load().tasks(range(COUNT), late_s=0.2, lasted_s=0.1, done_after_s=0.6)

    assert paces(load.run())["acknowledged_after"].p99_s == pytest.approx(0.3)


def test_a_load_that_came_late_says_nothing():
    """Whatever was seen, it is not what was to be seen."""
    run = Load().tasks(range(COUNT)).run(latest_s=1.2)

    assert unfit(run, []) == "this machine sent a task 1.2 s late"
    assert unfit(Load().tasks(range(COUNT)).run(latest_s=0.9), []) == ""


def test_a_slow_queue_on_a_crowded_machine_is_not_known_to_be_slow():
    """Nobody knows what it had been with time; a queue that was fast enough was fast enough."""
    run = Load().tasks(range(COUNT)).run(effort=CROWDED)

    assert unfit(run, ["slow"]).startswith("this machine had no time for the queue: of 2 the")
    assert unfit(run, []) == ""


@pytest.mark.parametrize("effort", [IDLE, GREEDY])
def test_a_slow_queue_is_slow_where_it_had_time(effort):
    """Also where it is itself who uses every processor."""
    assert unfit(Load().tasks(range(COUNT)).run(effort=effort), ["slow"]) == ""


def test_all_that_was_seen_is_told():
    """Rates, latencies with the longest of each, and who used the processors."""
    measures = {}
    run = Load().tasks(range(COUNT - 1)).task(COUNT - 1, outcome=Outcome.FAILED, done_after_s=None)

    measure_pace(lambda name, value, unit: measures.update({name: (value, unit)}), run.run())

    assert measures["rate_offered"] == (PER_MINUTE, "tasks/min")
    assert measures["rate_held"] == (pytest.approx(0.9 * PER_MINUTE), "tasks/min")
    assert measures["acknowledged_after_max"] == (pytest.approx(100.0), "ms")
    assert measures["done_after_p99"] == (pytest.approx(500.0), "ms")
    assert measures["latest_arrival"] == (0.0, "ms")
    used = {
        name: value for name, (value, _unit) in measures.items() if name.startswith("processors")
    }
    assert used == {
        "processors_used_by_harness": pytest.approx(0.1),
        "processors_used_by_queue": pytest.approx(0.2),
        "processors_used_by_others": pytest.approx(0.2),
    }
