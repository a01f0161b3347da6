"""Histories of a correct queue raise no alarm; with one known defect they always raise its own."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from harness import checkers as every
from harness.checkers import CHECKERS, Checker, Record, Valid, explain, judge
from harness.history import FinalTask, Operation, Outcome
from tests.harness.queue_model import ModelQueue, Plan

plans = st.builds(
    Plan,
    tasks=st.integers(1, 25),
    producers=st.integers(1, 3),
    workers=st.integers(1, 5),
    crashes=st.sampled_from([0.0, 0.03, 0.15]),
    failures=st.sampled_from([0.0, 0.3]),
    oversleeps=st.sampled_from([0.0, 0.2]),
    heartbeats=st.sampled_from([0.0, 0.6]),
    priorities=st.sampled_from([1, 3]),
    delayed=st.sampled_from([0.0, 0.4]),
    latency_s=st.sampled_from([0.001, 0.02, 0.3]),
    pause_s=st.sampled_from([0.0, 0.05]),
)
seeds = st.integers(0, 2**32)
Mutation = Callable[[Record, random.Random], Record | None]


@settings(max_examples=300, deadline=None)
@given(plans, seeds)
def test_a_correct_queue_never_raises_an_alarm(plan, seed):
    """Whatever overlaps, crashes or oversleeps: no checker says false or fails."""
    for ruling in judge(ModelQueue(plan, seed).run()):
        assert ruling.valid is not Valid.FALSE, "\n".join(explain(ruling))
        assert "the checker failed" not in ruling.reason


def test_the_model_puts_every_checker_to_the_test():
    """Some history of the model gives each checker something to look at; none passes on nothing."""
    plan = Plan(
        tasks=150,
        crashes=0.03,
        failures=0.3,
        oversleeps=0.1,
        heartbeats=0.5,
        priorities=3,
        delayed=0.2,
    )
    budget = every.RecoveryBudget(lease_s=1.0, reclaim_every_s=0.5, work_s=60.0)
    rulings = judge(ModelQueue(plan, 7).run(budget=budget))
    idle = {ruling.name for ruling in rulings if ruling.valid is not Valid.TRUE}
    assert idle == {"handed-out-once"}
    assert every.recoveries(ModelQueue(plan, 7).run())


# -- defects -------------------------------------------------------------------------------------


def _any(choice: random.Random, found: list) -> object | None:
    return choice.choice(found) if found else None


def _with(record: Record, *ops: Operation, final: tuple[FinalTask, ...] | None = None) -> Record:
    """Return the record with these operations in it, numbered anew in the order of the calls."""
    replaced = {op.number: op for op in ops if op.number}
    old = [replaced.get(op.number, op) for op in record.operations]
    merged = sorted([*old, *(op for op in ops if not op.number)], key=lambda op: op.invoked_s)
    numbered = tuple(replace(op, number=number) for number, op in enumerate(merged, 1))
    return replace(record, operations=numbered, final=record.final if final is None else final)


def _final(record: Record, key: object, **changed: object) -> tuple[FinalTask, ...]:
    assert record.final is not None
    return tuple(replace(t, **changed) if t.key == key else t for t in record.final)


def _claims(record: Record) -> list[Operation]:
    return [op for op in record.acknowledged("claim") if op.task_id is not None]


def _end_s(record: Record) -> float:
    return max(op.returned_s or op.invoked_s for op in record.operations) + 1.0


def task_is_lost(record: Record, choice: random.Random) -> Record | None:
    """An acknowledged task is gone."""
    lost = _any(choice, record.acknowledged("enqueue"))
    if lost is None:
        return None
    return replace(record, final=tuple(t for t in record.final or () if t.key != lost.key))


def completion_is_undone(record: Record, choice: random.Random) -> Record | None:
    """A completed task is queued again."""
    done = _any(choice, record.acknowledged("complete"))
    return (
        None if done is None else replace(record, final=_final(record, done.key, status="queued"))
    )


def payload_is_changed(record: Record, choice: random.Random) -> Record | None:
    """A task comes out with what another one had."""
    claim = _any(choice, _claims(record))
    return claim and _with(record, replace(claim, facts={**claim.facts, "digest": "other"}))


def task_from_nowhere(record: Record, choice: random.Random) -> Record | None:
    """A task comes out that nobody put in."""
    claim = _any(choice, _claims(record))
    return claim and _with(record, replace(claim, number=0, key="nobody's", task_id=10_000))


def task_is_done_twice(record: Record, choice: random.Random) -> Record | None:
    """A completion is acknowledged once more."""
    done = _any(choice, record.acknowledged("complete"))
    end_s = _end_s(record)
    return done and _with(record, replace(done, number=0, invoked_s=end_s, returned_s=end_s + 0.1))


def task_is_held_twice(record: Record, choice: random.Random) -> Record | None:
    """While one surely holds a task another one gets it."""
    ends_s = {
        (op.task_id, op.fence): op.invoked_s
        for op in record.operations
        if op.op in ("complete", "fail", "heartbeat")
    }
    held = [
        (claim, until_s)
        for claim in _claims(record)
        for until_s in [ends_s.get((claim.task_id, claim.fence), 0.0)]
        if until_s - claim.returned_s > 0.02 and until_s < claim.invoked_s + 0.9
    ]
    if not held:
        return None
    claim, until_s = choice.choice(held)
    middle_s = (claim.returned_s + until_s) / 2
    step_s = (until_s - claim.returned_s) / 8
    thief = replace(
        claim,
        number=0,
        worker="thief",
        fence="stolen",
        invoked_s=middle_s - step_s,
        returned_s=middle_s,
    )
    return _with(record, thief)


def beaten_task_is_handed_on(record: Record, choice: random.Random) -> Record | None:
    """Right after a heartbeat another one gets the task."""
    beaten = []
    for beat in record.acknowledged("heartbeat"):
        later = [
            op.invoked_s
            for op in record.operations
            if op.fence == beat.fence and op.number > beat.number
        ]
        if (
            min(later, default=beat.returned_s + 1.0) > beat.returned_s + 0.02
            and beat.returned_s < beat.invoked_s + 0.9
        ):
            beaten.append(beat)
    beat = _any(choice, beaten)
    claims = {claim.fence: claim for claim in _claims(record)}
    if beat is None or beat.fence not in claims:
        return None
    thief = replace(
        claims[beat.fence],
        number=0,
        worker="thief",
        fence="stolen",
        invoked_s=beat.returned_s + 0.005,
        returned_s=beat.returned_s + 0.01,
    )
    return _with(record, thief)


def late_holder_is_accepted(record: Record, choice: random.Random) -> Record | None:
    """What was refused, since the task had gone to another one, is accepted."""
    refused = [
        op
        for op in record.operations
        if op.outcome is Outcome.FAILED
        and any(
            claim.task_id == op.task_id
            and claim.fence != op.fence
            and own.returned_s <= claim.invoked_s
            and claim.returned_s <= op.invoked_s
            for own in _claims(record)
            if own.fence == op.fence
            for claim in _claims(record)
        )
    ]
    op = _any(choice, refused)
    return op and _with(record, replace(op, outcome=Outcome.OK, error=""))


def finished_task_runs_again(record: Record, choice: random.Random) -> Record | None:
    """A task is handed out after its completion was acknowledged."""
    done = _any(choice, record.acknowledged("complete"))
    claims = {claim.task_id: claim for claim in _claims(record)}
    if done is None or done.task_id not in claims:
        return None
    end_s = _end_s(record)
    again = replace(
        claims[done.task_id],
        number=0,
        worker="again",
        fence="again",
        invoked_s=end_s,
        returned_s=end_s + 0.1,
    )
    return _with(record, again)


def dead_letter_is_handed_out(record: Record, choice: random.Random) -> Record | None:
    """A task that was given up is handed out again."""
    dead = [op for op in record.acknowledged("fail") if op.facts.get("status") == "dead_letter"]
    fail = _any(choice, dead)
    if fail is None:
        return None
    end_s = _end_s(record)
    claim = next(claim for claim in _claims(record) if claim.fence == fail.fence)
    again = replace(claim, number=0, fence="again", invoked_s=end_s, returned_s=end_s + 0.1)
    return _with(record, again)


def dead_letter_comes_too_early(record: Record, choice: random.Random) -> Record | None:
    """A task is given up with an attempt left."""
    dead = [task.key for task in record.final or () if task.status == "dead_letter"]
    key = _any(choice, dead)
    return key and replace(record, final=_final(record, key, attempts=1))


def attempts_are_not_limited(record: Record, choice: random.Random) -> Record | None:
    """A task is handed out with no attempt left."""
    claim = _any(choice, _claims(record))
    return claim and _with(record, replace(claim, facts={**claim.facts, "attempts": 3}))


def delay_is_ignored(record: Record, choice: random.Random) -> Record | None:
    """A task is handed out before it is due."""
    firsts: dict[object, Operation] = {}
    for claim in _claims(record):
        firsts.setdefault(claim.key, claim)
    puts = [
        op
        for op in record.operations
        if op.op == "enqueue" and op.key in firsts and firsts[op.key].returned_s > op.invoked_s
    ]
    put = _any(choice, puts)
    if put is None:
        return None
    delay_s = firsts[put.key].returned_s - put.invoked_s + 1.0
    return _with(record, replace(put, facts={**put.facts, "delay_s": delay_s}))


def _late_task(record: Record, priority: int) -> tuple[Operation, ...]:
    """A task that is put in before all others and handed out after all others."""
    end_s = _end_s(record)
    about = {"number": 0, "key": "late", "task_id": 20_000, "outcome": Outcome.OK}
    facts = {"lease_s": 1.0, "attempts": 0, "max_attempts": 3, "digest": "late"}
    return (
        Operation(
            worker="producer0",
            op="enqueue",
            invoked_s=-2.0,
            returned_s=-1.0,
            facts={"digest": "late", "priority": priority},
            **about,
        ),
        Operation(
            worker="w",
            op="claim",
            fence="late",
            invoked_s=end_s,
            returned_s=end_s + 0.1,
            facts=facts,
            **about,
        ),
    )


def _with_late_task(record: Record, priority: int) -> Record:
    task = FinalTask(
        id=20_000, key="late", status="leased", attempts=0, max_attempts=3, digest="late"
    )
    return _with(record, *_late_task(record, priority), final=(*(record.final or ()), task))


def rank_is_ignored(record: Record, _choice: random.Random) -> Record | None:
    """A task of the highest rank comes last."""
    surely = not any(op.op == "claim" and not op.ok for op in record.operations)
    return _with_late_task(record, -1) if surely and _judgeable(record) else None


def order_is_ignored(record: Record, choice: random.Random) -> Record | None:
    """A task that came before all others of its priority comes last."""
    surely = not any(op.op == "claim" and not op.ok for op in record.operations)
    put = _any(choice, _judgeable(record))
    return _with_late_task(record, put.facts["priority"]) if surely and put is not None else None


def _judgeable(record: Record) -> list[Operation]:
    claimed = {claim.key for claim in _claims(record)}
    return [op for op in record.operations if op.op == "enqueue" and op.key in claimed]


def task_is_left_behind(record: Record, choice: random.Random) -> Record | None:
    """A task stays held for ever."""
    put = _any(choice, record.acknowledged("enqueue"))
    return None if put is None else replace(record, final=_final(record, put.key, status="leased"))


@dataclass(frozen=True)
class Defect:
    """A defect, and who must see it."""

    mutate: Mutation
    seen_by: tuple[Checker, ...]


DEFECTS = [
    Defect(task_is_lost, (every.nothing_lost,)),
    Defect(completion_is_undone, (every.nothing_lost, every.linearizable)),
    Defect(payload_is_changed, (every.nothing_unexpected,)),
    Defect(task_from_nowhere, (every.nothing_unexpected,)),
    Defect(task_is_done_twice, (every.completed_once, every.linearizable)),
    Defect(task_is_held_twice, (every.one_holder,)),
    Defect(beaten_task_is_handed_on, (every.heartbeats_honoured, every.one_holder)),
    Defect(late_holder_is_accepted, (every.stale_holder_refused, every.linearizable)),
    Defect(finished_task_runs_again, (every.linearizable,)),
    Defect(dead_letter_is_handed_out, (every.dead_letters_whole, every.linearizable)),
    Defect(dead_letter_comes_too_early, (every.dead_letters_whole, every.done_in_the_end)),
    Defect(attempts_are_not_limited, (every.attempts_within_limit,)),
    Defect(delay_is_ignored, (every.delays_honoured,)),
    Defect(rank_is_ignored, (every.priorities_kept,)),
    Defect(order_is_ignored, (every.order_kept,)),
    Defect(task_is_left_behind, (every.done_in_the_end,)),
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.mutate.__name__)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(plan=plans, seed=seeds)
def test_a_defect_is_always_caught(defect, plan, seed):
    """A queue with this defect is red wherever the defect can be seen at all."""
    broken = defect.mutate(ModelQueue(plan, seed).run(), random.Random(seed))
    assume(broken is not None)
    for checker in defect.seen_by:
        ruling = checker(broken)
        assert ruling.valid is Valid.FALSE, str(ruling)
        assert len(explain(ruling)) > 1 or checker is every.nothing_unexpected


def test_every_checker_is_known_to_catch_something():
    """No checker is left without a defect that it must catch, here or by hand."""
    by_hand = {every.handed_out_once, every.workers_fair, every.producers_fair}
    by_hand.add(every.recovered_in_time)
    caught = {checker for defect in DEFECTS for checker in defect.seen_by}
    assert set(CHECKERS) == caught | by_hand
