"""The state machine of a task explains every right history, and no wrong one."""

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.checkers import Valid, explain, linearizable
from harness.checkers.machine import ABSENT, Machine
from harness.checkers.search import Search, World
from harness.checkers.windows import Windows
from harness.drivers.protocol import Capabilities
from harness.history import Operation, Outcome
from tests.harness.histories import Script, final

UNKNOWN, FAILED = Outcome.UNKNOWN, Outcome.FAILED
LOST = {"outcome": FAILED, "error": "lease-lost: somebody else has it"}


def put_in() -> Script:
    """One task, put in."""
    return Script().enqueue("k1")


def taken() -> Script:
    """One task, held by a."""
    return put_in().claim("a", 1, 1.0)


def reclaim(script: Script, at_s: float, count: int = 1, **known) -> Script:
    """A reclaim that took so many tasks away."""
    return script.add("keeper", "reclaim", at_s, facts={"count": count}, **known)


def queued(at_s: float) -> dict:
    """What a fail says that puts the task back."""
    return {"at_s": at_s, "facts": {"status": "queued"}}


GOOD = {
    "done": taken().about("complete", "a", 1, 2.0).record(final(1)),
    "beaten and done": taken()
    .about("heartbeat", "a", 1, 1.5, facts={"lease_s": 60})
    .about("complete", "a", 1, 2.0)
    .record(final(1)),
    "failed and run again": taken()
    .about("fail", "a", 1, **queued(2.0))
    .claim("b", 1, 3.0)
    .record(final(1, "leased")),
    "reclaimed": reclaim(taken(), 2.0).claim("b", 1, 3.0).record(final(1, "leased")),
    "reclaimed at the end": reclaim(taken(), 2.0).record(final(1, "queued")),
    "reclaimed for the last time": reclaim(taken(), 2.0).record(final(1, "dead_letter")),
    "claimed before the producer knew": Script()
    .enqueue("k1", lasted_s=3.0)
    .claim("a", 1, 1.0)
    .record(final(1, "leased")),
    "unanswered enqueue": Script()
    .enqueue("k1", outcome=UNKNOWN)
    .claim("a", 1, 1.0)
    .record(final(1, "leased")),
    "unanswered completion, done": taken()
    .about("complete", "a", 1, 2.0, outcome=UNKNOWN)
    .record(final(1)),
    "unanswered completion, not done": reclaim(
        taken().about("complete", "a", 1, 2.0, outcome=UNKNOWN), 4.0
    )
    .claim("b", 1, 5.0)
    .record(final(1, "leased")),
    "unanswered failure, done late": taken()
    .about("fail", "a", 1, 2.0, outcome=UNKNOWN)
    .claim("b", 1, 9.0)
    .record(final(1, "leased")),
    "unanswered claim": put_in().add("a", "claim", 1.0, outcome=UNKNOWN).record(final(1, "leased")),
    "refused after it was done by itself": taken()
    .about("complete", "a", 1, 2.0, outcome=UNKNOWN)
    .about("complete", "a", 1, 3.0, **LOST)
    .record(final(1)),
    "refused since the lease may have run out": put_in()
    .claim("a", 1, 1.0, lease_s=1.0)
    .about("complete", "a", 1, 3.0, **LOST)
    .record(final(1, "leased")),
    "restored to before the completion": taken()
    .about("complete", "a", 1, 2.0)
    .add("operator", "restore", 3.0)
    .claim("b", 1, 4.0)
    .record(final(1, "leased")),
    "released by hand": taken()
    .add("operator", "release", 2.0, task_id=1)
    .claim("b", 1, 3.0)
    .record(final(1, "leased")),
    "there before the history began": Script().claim("a", 1, 1.0).record(final(1, "leased")),
}
BAD = {
    "held twice": taken().claim("b", 1, 2.0).record(final(1, "leased")),
    "a lease that ran out frees nothing": put_in()
    .claim("a", 1, 1.0, lease_s=0.5)
    .claim("b", 1, 9.0)
    .record(final(1, "leased")),
    "a reclaim that took nothing frees nothing": reclaim(taken(), 2.0, count=0)
    .claim("b", 1, 3.0)
    .record(final(1, "leased")),
    "a reclaim that came too late": reclaim(taken().claim("b", 1, 2.0), 3.0).record(
        final(1, "queued")
    ),
    "handed out before it was put in": Script()
    .claim("a", 1, 0.0)
    .enqueue("k1", 1.0)
    .record(final(1, "leased")),
    "handed out after it was done": taken()
    .about("complete", "a", 1, 2.0)
    .claim("b", 1, 3.0)
    .record(final(1, "leased")),
    "handed out after it was given up": taken()
    .about("fail", "a", 1, 2.0, facts={"status": "dead_letter"})
    .claim("b", 1, 3.0)
    .record(final(1, "leased")),
    "done by a late holder": reclaim(taken(), 2.0)
    .claim("b", 1, 3.0)
    .about("complete", "a", 1, 4.0)
    .record(final(1)),
    "done twice": taken()
    .about("complete", "a", 1, 2.0)
    .about("complete", "a", 1, 3.0)
    .record(final(1)),
    "extended after it was done": taken()
    .about("complete", "a", 1, 2.0)
    .about("heartbeat", "a", 1, 3.0, facts={"lease_s": 60})
    .record(final(1)),
    "its holder refused": taken().about("complete", "a", 1, 2.0, **LOST).record(final(1, "leased")),
    "done by nobody": put_in().record(final(1)),
    "given up by nobody": put_in().record(final(1, "dead_letter")),
    "undone at the end": taken().about("complete", "a", 1, 2.0).record(final(1, "queued")),
    "given up after it was done": taken()
    .about("complete", "a", 1, 2.0)
    .record(final(1, "dead_letter")),
    "queued though nobody took it away": taken().record(final(1, "queued")),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_history_that_some_order_explains_is_right(name):
    """A history is right where one order of its operations explains it."""
    ruling = linearizable(GOOD[name])
    assert ruling.valid is Valid.TRUE, str(ruling)


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_order_explains_is_wrong(name):
    """A history is wrong where no order explains it, and its story has the task's operations."""
    ruling = linearizable(BAD[name])
    assert ruling.valid is Valid.FALSE
    first, *lines = explain(ruling)
    assert "no order explains task k1" in first
    assert 1 <= len(lines) <= 8


def test_without_fencing_a_late_holder_may_still_complete():
    """A queue that promises no fencing is not blamed for what fencing would refuse."""
    late = (reclaim(taken(), 2.0).claim("b", 1, 3.0).about("complete", "a", 1, 4.0)).about(
        "complete", "b", 1, 5.0
    )
    loose = Capabilities(leases=True)
    assert linearizable(late.record(final(1), capabilities=loose)).valid is Valid.TRUE
    doubled = taken().claim("b", 1, 2.0).record(final(1, "leased"), capabilities=loose)
    assert linearizable(doubled).valid is Valid.FALSE


def test_what_overlaps_too_much_is_unknown():
    """A task whose operations overlap beyond what can be searched is never green."""
    script = taken().about("fail", "a", 1, 1.2, outcome=UNKNOWN)
    for number in range(16):
        script.about("fail", f"w{number}", 1, 1.5, outcome=UNKNOWN)
        script.claim(f"w{number}", 1, 1.5, lasted_s=9.0)
    ruling = linearizable(script.record(final(1, "leased")))
    assert ruling.valid is Valid.UNKNOWN
    assert "overlap" in ruling.reason


# -- against every order there is ----------------------------------------------------------------

FENCES = ("x", "y")


@st.composite
def few_operations(draw):
    """Up to five operations on one task, overlapping at will, right or wrong."""
    kinds = draw(
        st.lists(
            st.sampled_from(["enqueue", "claim", "complete", "fail", "heartbeat"]),
            min_size=1,
            max_size=5,
        )
    )
    starts = sorted(draw(st.lists(st.integers(0, 8), min_size=len(kinds), max_size=len(kinds))))
    return [
        Operation(
            number=number,
            worker="w",
            op=kind,
            invoked_s=float(start),
            returned_s=None if unknown else float(start + draw(st.integers(0, 4))),
            outcome=Outcome.UNKNOWN if unknown else Outcome.OK,
            key="k",
            task_id=1,
            fence=None if kind == "enqueue" else draw(st.sampled_from(FENCES)),
            facts={"status": draw(st.sampled_from(["queued", "dead_letter"]))},
        )
        for number, (kind, start) in enumerate(zip(kinds, starts, strict=True))
        for unknown in [kind != "claim" and draw(st.booleans())]
    ]


def some_order_explains(ops, status):
    """Try every order of every choice of the unanswered operations, one after the other."""
    machine = Machine(fenced=True)
    sure = [op for op in ops if op.ok]
    maybe = [op for op in ops if not op.ok]
    return any(
        _explains(machine, order, status)
        for count in range(len(maybe) + 1)
        for chosen in itertools.combinations(maybe, count)
        for order in itertools.permutations([*sure, *chosen])
    )


def _explains(machine, order, status):
    for first, second in itertools.combinations(order, 2):
        if (math.inf if second.returned_s is None else second.returned_s) < first.invoked_s:
            return False
    states = {ABSENT}
    for op in order:
        states = {after for state in states for after in machine.after(state, op)}
    return any(machine.ends_as(state, status) for state in states)


def _op(number, kind, start, returned=None, fence=None):
    return Operation(
        number=number,
        worker="w",
        op=kind,
        invoked_s=start,
        returned_s=returned,
        outcome=Outcome.UNKNOWN if returned is None else Outcome.OK,
        key="k",
        task_id=1,
        fence=fence,
    )


@settings(max_examples=400, deadline=None)
@example(
    [
        _op(0, "complete", 0.0, fence="y"),
        _op(1, "enqueue", 0.0, 0.0),
        _op(2, "enqueue", 0.0),
        _op(3, "claim", 1.0, 1.0, fence="y"),
    ],
    "completed",
)
@given(few_operations(), st.sampled_from(["queued", "leased", "completed", "dead_letter"]))
def test_the_search_agrees_with_trying_every_order(ops, status):
    """The search finds an order exactly where there is one."""
    never = Windows(())
    world = World(Machine(fenced=True), never, never, never, leases=True, clock_error_s=0.0)
    found = Search(world, ops, known=True, status=status).run() is None
    assert found == some_order_explains(ops, status)
    record = Script().record(final(1, status, key="k"))
    short = linearizable(
        type(record)(operations=tuple(ops), final=record.final, capabilities=record.capabilities)
    )
    if any(op.op == "enqueue" for op in ops) and short.seen:
        assert (short.valid is Valid.TRUE) == found, str(short)
