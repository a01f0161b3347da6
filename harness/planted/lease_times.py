"""Defects of the time of leases: they run out too early, too late, or never."""

from datetime import datetime, timedelta
from typing import Any

from core.clock import ManualClock
from core.connection import Connection
from core.leases import StaleLeases
from core.task import Task
from core.tasks import TaskQueue
from core.timestamps import to_text
from harness.planted.defect import Catch, Change, Defect
from harness.planted.leases import all_held

Right = Any
"""The right part, which the wrong one may call."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the wrong clock knows of no zone
_WHOLE_SECONDS = 19


def _compare_as_text(right: Right) -> Right:
    def stale_leases(connection: Connection, now_ms: int, timeout_seconds: float) -> StaleLeases:
        limit = to_text(now_ms - round(timeout_seconds * 1000))
        held = all_held(right(connection, now_ms, timeout_seconds))
        stale = tuple(
            task for task in held if task.lease_until is not None and task.lease_until < limit
        )
        return StaleLeases(stale, tuple(task for task in held if task not in stale), ())

    return stale_leases


def _in_whole_seconds(right: Right) -> Right:
    """Write times as SQLite's datetime('now') does."""

    def text(moment_ms: int) -> str:
        return str(right(moment_ms))[:_WHOLE_SECONDS]

    return text


def _until_a_whole_second(right: Right) -> Right:
    def claim(worker: str, now_ms: int, lease_until_ms: int, types: Any) -> Any:  # noqa: ANN401 - as the right one
        return right(worker, now_ms, lease_until_ms // 1000 * 1000, types)

    return claim


def _by_local_time(_right: Right) -> Right:
    def now_ms(self: Any) -> int:  # noqa: ANN401 - any clock of the machine
        local = datetime.now()  # noqa: DTZ005 - this is what is wrong
        return (local - _EPOCH) // timedelta(milliseconds=1) + int(self.offset_ms)

    return now_ms


def _without_the_timeout(right: Right) -> Right:
    def stale_leases(connection: Connection, now_ms: int, _timeout_s: float) -> Any:  # noqa: ANN401 - as the right one
        return right(connection, now_ms, 0.0)

    return stale_leases


def _with_the_timeout_turned_round(right: Right) -> Right:
    def stale_leases(connection: Connection, now_ms: int, timeout_s: float) -> Any:  # noqa: ANN401 - as the right one
        return right(connection, now_ms, -timeout_s)

    return stale_leases


def _before_the_wait(right: Right) -> Right:
    """Take the time when the claim is asked for, and not when the lock was had."""

    def claim(self: TaskQueue, worker_id: str, **settings: Any) -> Task | None:  # noqa: ANN401 - as the right one
        clock = self.database.clock
        self.database.clock = ManualClock(clock.now_ms())
        try:
            claimed: Task | None = right(self, worker_id, **settings)
        finally:
            self.database.clock = clock
        return claimed

    return claim


DEFECTS = (
    Defect(
        name="expiry-as-text",
        group="leases",
        wrong="A lease written with a T never runs out that day, and its task is stuck.",
        changes=(Change("core.releasing", "stale_leases", _compare_as_text),),
        catches=(
            Catch(
                "test_leases.py::test_stale_lease_is_freed_and_live_one_is_not[t-leased]",
                "0 of 1 stale leases",
            ),
        ),
    ),
    Defect(
        name="whole-seconds",
        group="leases",
        wrong="A lease of a second lasts anything down to none, and its holder is doubled.",
        changes=(
            Change("core.tasks", "Claim", _until_a_whole_second),
            Change("core.tasks", "to_text", _in_whole_seconds),
        ),
        catches=(Catch("test_leases.py::test_lease_lasts_as_long_as_was_asked", "before its end"),),
    ),
    Defect(
        name="local-time",
        group="leases",
        wrong="Workers in another time zone take live leases, or never see one run out.",
        changes=(Change("core.clock", "SystemClock.now_ms", _by_local_time),),
        catches=(
            Catch("test_clocks.py::test_other_time_zone_moves_no_lease_and_no_delay", "time zone"),
        ),
    ),
    Defect(
        name="timeout-ignored",
        group="leases",
        wrong="The clean-up takes a task at the end of its lease, without the grace asked for.",
        changes=(Change("core.releasing", "stale_leases", _without_the_timeout),),
        catches=(
            Catch(
                "test_leases.py::test_stale_lease_is_freed_and_live_one_is_not[plain-leased]",
                "live leases were freed",
            ),
        ),
    ),
    Defect(
        name="timeout-turned-round",
        group="leases",
        wrong="The grace is added with the wrong sign: live leases are taken that much too early.",
        changes=(Change("core.releasing", "stale_leases", _with_the_timeout_turned_round),),
        catches=(
            Catch(
                "test_leases.py::test_stale_lease_is_freed_and_live_one_is_not[plain-leased]",
                "live leases were freed",
            ),
        ),
    ),
    Defect(
        name="lease-before-the-wait",
        group="leases",
        wrong="A worker that waited for the lock has lost that time of its lease already.",
        changes=(Change("core.tasks", "TaskQueue.claim", _before_the_wait),),
        catches=(
            Catch(
                "test_rivals.py::test_rival_writer_within_the_busy_timeout_delays_and_costs_nothing[2.0]",
                "of its lease to the wait",
            ),
        ),
    ),
)
