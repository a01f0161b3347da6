"""Defects of leases: a holder that is gone, or one that is not, is taken for the other."""

import contextlib
from dataclasses import replace
from typing import Any

from core.attempts import Ending, Outcome
from core.connection import Connection
from core.leases import HELD_SQL, HeldTask, StaleLeases, Token
from core.schema import DEAD_LETTER, Layout
from core.task import Task
from core.tasks import LEASE_SECONDS, TaskQueue, _update_held
from core.timestamps import to_text
from harness.planted.defect import Catch, Change, Defect
from harness.planted.wording import reworded

Right = Any
"""The right part, which the wrong one may call."""

_MOMENT_SQL = "AND CAST(reserved_at_utc AS BLOB) IS :reserved_at"
_ATTEMPTS_SQL = "AND attempts IS :attempts"
_FREE = "UPDATE task_queue SET status = 'queued', locked_by = NULL, lease_until_utc = NULL"


# -- who holds it --------------------------------------------------------------------------


def _believe(right: Right) -> Right:
    """Take whoever says that he holds a task for its holder."""

    def verb(self: TaskQueue, task: Task, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - as the right one
        return right(self, _as_it_is_held(self, task), *arguments, **settings)

    return verb


def _as_it_is_held(queue: TaskQueue, task: Task) -> Task:
    rows = (
        queue.database.connection()
        .execute(
            "SELECT locked_by, reserved_at_utc, attempts FROM task_queue WHERE id = ?", (task.id,)
        )
        .fetchall()
    )
    worker, reserved_at, attempts = rows[0]
    return replace(task, worker=worker or "", reserved_at=reserved_at or "", attempts=attempts)


def _fenced_without(*conditions: str) -> tuple[Change, ...]:
    """Leave conditions out of the token, in both places that compare it."""
    changes = [(condition, "") for condition in conditions]
    return (
        Change("core.leases", "Token.SQL", reworded(*changes)),
        Change("core.attempts", "_END", reworded(*changes)),
    )


def _keep_the_lease(_right: Right) -> Right:
    def complete(self: TaskQueue, task: Task) -> None:
        with self.database.transaction(self.durability) as connection:
            now_ms = self.database.clock.now_ms()
            _update_held(
                connection, task, "status = 'completed', finished_at_utc = :now", {}, now_ms
            )

    return complete


# -- heartbeats ----------------------------------------------------------------------------


def _ignore_heartbeat(_right: Right) -> Right:
    def heartbeat(self: TaskQueue, task: Task, *, lease_seconds: float = LEASE_SECONDS) -> Task:
        return replace(task, lease_until_ms=_lease_until_ms(self, lease_seconds))

    return heartbeat


def _close_uncommitted(_right: Right) -> Right:
    """What a thread does that opens a connection for its heartbeats, and closes it each time."""

    def heartbeat(self: TaskQueue, task: Task, *, lease_seconds: float = LEASE_SECONDS) -> Task:
        with contextlib.closing(self.database.open_connection()) as connection:
            return _beat_uncommitted(self, connection, task, lease_seconds)

    return heartbeat


def _leave_open(_right: Right) -> Right:
    """What a thread does that has a connection of its own for its heartbeats, and never commits."""

    def heartbeat(self: TaskQueue, task: Task, *, lease_seconds: float = LEASE_SECONDS) -> Task:
        own = vars(self)
        connection = own.get("_heart") or own.setdefault("_heart", self.database.open_connection())
        return _beat_uncommitted(self, connection, task, lease_seconds)

    return heartbeat


def _beat_uncommitted(
    queue: TaskQueue, connection: Connection, task: Task, lease_seconds: float
) -> Task:
    if not connection.in_transaction:
        connection.execute("BEGIN IMMEDIATE")
    lease_until_ms = _lease_until_ms(queue, lease_seconds)
    values = {"lease": to_text(lease_until_ms)}
    now_ms = queue.database.clock.now_ms()
    _update_held(connection, task, "lease_until_utc = :lease", values, now_ms)
    return replace(task, lease_until_ms=lease_until_ms)


def _lease_until_ms(queue: TaskQueue, lease_seconds: float) -> int:
    return queue.database.clock.now_ms() + round(lease_seconds * 1000)


# -- taking away ---------------------------------------------------------------------------


def _take_all(right: Right) -> Right:
    def stale_leases(connection: Connection, now_ms: int, timeout_seconds: float) -> StaleLeases:
        return StaleLeases(all_held(right(connection, now_ms, timeout_seconds)), (), ())

    return stale_leases


def all_held(judged: StaleLeases) -> tuple[HeldTask, ...]:
    """Return every held task, however it was judged."""
    return (*judged.stale, *judged.live, *judged.unreadable)


def _free_all_at_start(right: Right) -> Right:
    """What a worker does that takes all that is held for what it left behind when it died."""

    def start(self: TaskQueue, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - as the right one
        right(self, *arguments, **settings)
        with self.database.transaction() as connection:
            connection.execute(f"{_FREE} WHERE {HELD_SQL}").close()

    return start


def _put_back(_right: Right) -> Right:
    """End an attempt as if the task had never been handed out."""

    def end_attempt(
        connection: Connection,
        _layout: Layout,
        token: Token,
        ending: Ending,
        _now_ms: int,
        *,
        unless_extended: HeldTask | None = None,
    ) -> Outcome | None:
        del unless_extended
        values = {"run_after": to_text(ending.run_after_ms), **token.parameters()}
        cursor = connection.execute(
            f"{_FREE}, run_after_utc = :run_after WHERE {Token.SQL}", values
        )
        changed = cursor.rowcount
        cursor.close()
        return "queued" if changed else None

    return end_attempt


def _forget_the_dead(right: Right) -> Right:
    def write(*arguments: Any) -> None:  # noqa: ANN401 - as the right one
        (outcome, _attempts, _most) = arguments[-1]
        if outcome != DEAD_LETTER:
            right(*arguments)

    return write


_NEVER_DEAD = Change(
    "core.attempts",
    "_END",
    reworded(
        (
            "status = CASE WHEN attempts + 1 >= max_attempts THEN 'dead_letter' ELSE 'queued' END",
            "status = 'queued'",
        )
    ),
)

DEFECTS = (
    Defect(
        name="no-fencing",
        group="leases",
        wrong="Whoever says that he holds a task may end it: the holder is not compared.",
        changes=tuple(
            Change("core.tasks", f"TaskQueue.{verb}", _believe)
            for verb in ("heartbeat", "complete", "fail")
        ),
        catches=(
            Catch(
                "test_leases.py::test_suspended_worker_that_wakes_too_late_is_refused",
                "had lost its lease was accepted",
            ),
        ),
    ),
    Defect(
        name="fencing-by-owner",
        group="leases",
        wrong="A worker that has claimed its lost task again may be ended by what it began before.",
        changes=_fenced_without(_ATTEMPTS_SQL, _MOMENT_SQL),
        catches=(
            Catch(
                "test_clocks.py::test_jump_between_two_claims_lets_nobody_complete_twice",
                "late operations accepted",
            ),
        ),
    ),
    Defect(
        name="fencing-without-moment",
        group="leases",
        wrong="Where no attempt was counted, a worker's lost holding passes for its present one.",
        changes=_fenced_without(_MOMENT_SQL),
        catches=(
            Catch(
                "test_leases.py::test_worker_that_claims_again_is_not_who_it_was[other-program]",
                "of a holding that was lost were accepted",
            ),
            Catch(
                "test_zombies.py::test_zombie_of_before_the_restore_ends_nothing[claimed-since-by-a-namesake-now]",
                "of a holding from before the restore was accepted",
            ),
        ),
    ),
    Defect(
        name="heartbeat-ignored",
        group="leases",
        wrong="A worker that heartbeats loses its task in the middle of the work all the same.",
        changes=(Change("core.tasks", "TaskQueue.heartbeat", _ignore_heartbeat),),
        catches=(
            Catch(
                "test_leases.py::test_heartbeat_in_time_keeps_the_task_and_stops_nobody",
                "lease that was extended",
            ),
        ),
    ),
    Defect(
        name="heartbeat-rolled-back",
        group="leases",
        wrong="A heartbeat's connection is closed without a commit, and the lease runs out.",
        changes=(Change("core.tasks", "TaskQueue.heartbeat", _close_uncommitted),),
        catches=(
            Catch(
                "test_leases.py::test_heartbeat_in_time_keeps_the_task_and_stops_nobody",
                "lease that was extended",
            ),
        ),
    ),
    Defect(
        name="heartbeat-uncommitted",
        group="leases",
        wrong="A heartbeat's transaction is left open, and nobody else can write any more.",
        changes=(Change("core.tasks", "TaskQueue.heartbeat", _leave_open),),
        catches=(
            Catch(
                "test_leases.py::test_heartbeat_in_time_keeps_the_task_and_stops_nobody",
                "were refused",
            ),
        ),
    ),
    Defect(
        name="one-held-state",
        group="leases",
        wrong="Tasks that a crashed worker had marked leased are never freed.",
        changes=(
            Change("core.leases", "_SELECT_HELD", reworded((HELD_SQL, "status = 'processing'"))),
        ),
        catches=(
            Catch(
                "test_leases.py::test_stale_lease_is_freed_and_live_one_is_not[plain-leased]",
                "0 of 1",
            ),
        ),
    ),
    Defect(
        name="fail-not-counted",
        group="leases",
        wrong="A task that fails each time runs for ever: its attempts are not counted.",
        changes=(Change("core.tasks", "end_attempt", _put_back),),
        catches=(
            Catch(
                "test_retries.py::test_task_that_fails_each_time_is_given_up_after_its_attempts",
                "have ended",
            ),
            Catch(
                "test_crashed_holders.py::test_killed_holder_is_replaced_in_time[fail-unsaid]",
                "attempts are counted",
            ),
        ),
    ),
    Defect(
        name="reclaim-not-counted",
        group="leases",
        wrong="A task that kills its worker kills one worker after the other, without end.",
        changes=(Change("core.releasing", "end_attempt", _put_back),),
        catches=(
            Catch(
                "test_crashed_holders.py::test_killed_holder_is_replaced_in_time[after-the-claim]",
                "attempts are counted",
            ),
            Catch(
                "test_leases.py::test_task_that_kills_every_worker_ends_in_dead_letter",
                "without attempts left was handed out",
            ),
        ),
    ),
    Defect(
        name="no-dead-letter",
        group="leases",
        wrong="A task that cannot be done circles for ever, and takes the time of the others.",
        changes=(
            _NEVER_DEAD,
            Change("core.claiming", "_WAITING", reworded((" AND attempts < max_attempts", ""))),
        ),
        catches=(
            Catch(
                "test_leases.py::test_task_that_kills_every_worker_ends_in_dead_letter",
                "without attempts left was handed out",
            ),
        ),
    ),
    Defect(
        name="used-up-stays-queued",
        group="leases",
        wrong="A task without attempts left stays queued, and nobody is told that it is given up.",
        changes=(_NEVER_DEAD,),
        catches=(
            Catch(
                "test_leases.py::test_task_that_kills_every_worker_ends_in_dead_letter",
                "not dead_letter",
            ),
        ),
    ),
    Defect(
        name="dead-without-history",
        group="leases",
        wrong="A task lies in dead_letter, and nothing says what its last attempt died of.",
        changes=(Change("core.attempts", "_write_history", _forget_the_dead),),
        catches=(
            Catch(
                "test_leases.py::test_task_that_kills_every_worker_ends_in_dead_letter",
                "in its history",
            ),
        ),
    ),
    Defect(
        name="live-leases-taken",
        group="leases",
        wrong="The clean-up takes every held task, and live workers do theirs in vain.",
        changes=(Change("core.releasing", "stale_leases", _take_all),),
        catches=(
            Catch(
                "test_leases.py::test_stale_lease_is_freed_and_live_one_is_not[plain-leased]",
                "live leases were freed",
            ),
        ),
    ),
    Defect(
        name="frees-all-at-start",
        group="leases",
        wrong="A worker that starts takes away what all the others hold.",
        changes=(Change("core.tasks", "TaskQueue.__init__", _free_all_at_start),),
        catches=(
            Catch(
                "test_leases.py::test_worker_that_starts_beside_a_holder_leaves_it_its_task",
                "just begun",
            ),
        ),
    ),
    Defect(
        name="complete-keeps-lease",
        group="leases",
        wrong="A completed task keeps its lease: another program's clean-up runs it once more.",
        changes=(Change("core.tasks", "TaskQueue.complete", _keep_the_lease),),
        catches=(
            Catch(
                "test_leases.py::test_attempt_that_ended_leaves_no_lease[complete]",
                "has a lease until",
            ),
        ),
    ),
)
