"""Holders that are gone, late, or have a wrong clock."""

import time

from harness.drivers.check.trial import HELD, LONG_S, Check, Trial
from harness.drivers.client import Driver
from harness.drivers.protocol import ErrorCode, Message

_AHEAD_S = 600.0
_POISON_ATTEMPTS = 2
_CLOCK_TOLERANCE_MS = 20_000


def leases(trial: Trial) -> None:
    """A task comes back after its lease, and not before."""
    holder, other = trial.start(), trial.start()
    trial.enqueue(holder, max_attempts=9)
    task = trial.claim(holder, lease_s=LONG_S)
    _nothing_is_taken_away(trial, other, timeout_s=0.0)
    trial.ask(holder, "complete", task=task)
    task_id = trial.enqueue(holder, max_attempts=9)
    trial.claim(holder, lease_s=trial.lease_s)
    holder.kill()
    then = trial.later(trial.lease_s + 1)
    _nothing_is_taken_away(trial, then, timeout_s=1000.0, claims=False)
    again = _take_away(trial, then)
    trial.require(again["id"] == task_id, f"it is task {task_id} that comes back")
    if trial.capabilities.retries:
        trial.require(again["attempts"] == 1, "the attempt of the lost holder is counted")


def heartbeat(trial: Trial) -> None:
    """A lease that is extended in time ends when its holder was told."""
    holder = trial.start()
    task_id = trial.enqueue(holder)
    task = trial.claim(holder, lease_s=trial.lease_s)
    longer_s = 10 * trial.lease_s + LONG_S
    beaten = trial.ask(holder, "heartbeat", task=task, lease_s=longer_s)["task"]
    trial.require(beaten["id"] == task_id, f"the answer is task {task_id}")
    until_ms, before_ms = beaten["lease_until_ms"], task["lease_until_ms"]
    trial.require(
        until_ms is not None and before_ms is not None and until_ms > before_ms,
        f"lease_until_ms grows, and was {before_ms}",
    )
    then = trial.later(trial.lease_s + 1)
    _nothing_is_taken_away(trial, then, timeout_s=0.0)
    trial.ask(holder, "complete", task=beaten)


def fencing(trial: Trial) -> None:
    """Whoever lost a task cannot extend, complete or fail it."""
    holder = trial.start()
    task_id = trial.enqueue(holder, max_attempts=9)
    lost = trial.claim(holder, lease_s=trial.lease_s, worker="w")
    then = trial.later(trial.lease_s + 1)
    if trial.ask(then, "reclaim", timeout_s=0.0)["count"]:
        # Once while it waits, and below once while the same worker has it again.
        _refuse_all(trial, holder, lost)
    task = trial.claim(then, worker="w", lease_s=LONG_S)
    _refuse_all(trial, holder, lost)
    trial.require(trial.snapshot(then)[task_id]["status"] in HELD, "the new holder still has it")
    trial.ask(then, "complete", task=task)
    trial.require(trial.snapshot(then)[task_id]["status"] == "completed", "it is completed")


def poison(trial: Trial) -> None:
    """A task that every holder dies of ends as a dead letter."""
    driver = trial.start()
    task_id = trial.enqueue(driver, max_attempts=_POISON_ATTEMPTS)
    lease_s = trial.lease_s
    trial.claim(driver, lease_s=lease_s)
    then = trial.later(lease_s + 1)
    _take_away(trial, then, lease_s=lease_s)
    last = trial.later(2 * lease_s + 3)
    trial.ask(last, "reclaim", timeout_s=0.0)
    trial.none_is_due(last, "both attempts are used up")
    seen = trial.snapshot(last)[task_id]
    trial.require(seen["status"] == "dead_letter", "its status is dead_letter")
    trial.require(seen["attempts"] == _POISON_ATTEMPTS, "2 attempts have ended")


def at_most_once(trial: Trial) -> None:
    """A task is handed out once, whatever became of its holder."""
    holder = trial.start()
    trial.enqueue(holder)
    trial.claim(holder, lease_s=trial.lease_s)
    holder.kill()
    then = trial.later(trial.lease_s + 1)
    if trial.capabilities.leases:
        trial.ask(then, "reclaim", timeout_s=0.0)
    trial.none_is_due(then, "it was handed out before, and delivery is at-most-once")


def clock(trial: Trial) -> None:
    """The driver's clock is the machine's plus the offset."""
    driver = trial.start(ahead_s=_AHEAD_S)
    trial.enqueue(driver)
    now_ms = time.time_ns() // 1_000_000
    until_ms = trial.claim(driver, lease_s=LONG_S)["lease_until_ms"]
    wanted_ms = now_ms + round((_AHEAD_S + LONG_S) * 1000)
    trial.require(
        until_ms is not None and abs(until_ms - wanted_ms) < _CLOCK_TOLERANCE_MS,
        f"ten minutes ahead, a lease of {LONG_S:g} s ends at about {wanted_ms}",
    )


def _nothing_is_taken_away(
    trial: Trial, driver: Driver, *, timeout_s: float, claims: bool = True
) -> None:
    count = trial.ask(driver, "reclaim", timeout_s=timeout_s)["count"]
    trial.require(count == 0, f"no lease ended more than {timeout_s:g} s ago: count is 0")
    if claims:
        trial.none_is_due(driver, "the only task is held, and its lease has not ended")


def _take_away(trial: Trial, driver: Driver, *, lease_s: float = LONG_S) -> Message:
    count = trial.ask(driver, "reclaim", timeout_s=0.0)["count"]
    # A queue whose claim takes stale tasks by itself says 0.
    trial.require(count <= 1, "one lease has ended: count is at most 1")
    return trial.claim(driver, lease_s=lease_s)


def _refuse_all(trial: Trial, holder: Driver, lost: Message) -> None:
    for op, fields in (
        ("heartbeat", {"lease_s": LONG_S}),
        ("complete", {}),
        ("fail", {"error": "too late"}),
    ):
        trial.refused(holder.send(op, task=lost, **fields), ErrorCode.LEASE_LOST)


CHECKS = (
    Check("leases", "A task comes back after its lease, and not before.", leases, ("leases",)),
    Check("heartbeat", "A lease that was extended lasts.", heartbeat, ("leases",)),
    Check("fencing", "Whoever lost a task is refused.", fencing, ("leases", "fencing")),
    Check(
        "poison",
        "A task that every holder dies of ends as a dead letter.",
        poison,
        ("leases", "retries"),
    ),
    Check("at-most-once", "A task is handed out once.", at_most_once, ("at-most-once",)),
    Check("clock", "The driver's clock is moved by the offset.", clock, ("clock", "leases")),
)
