"""Defects of claiming: the wrong task is handed out, one task to two, or none for no reason."""

import itertools
from collections.abc import Iterator
from typing import Any

from core.connection import Cursor
from core.database import Durability, QueueDatabase
from core.schema import WAITING_INDEX
from core.task import LAST_MOMENT_MS, Task
from core.tasks import TaskQueue
from core.timestamps import to_text
from harness.planted.defect import Catch, Change, Defect
from harness.planted.wording import reworded

Right = Any
"""The right part, which the wrong one may call."""

_SYNCHRONOUS = {"full": 2, "normal": 1}
_LIST_COUNT = 20
_WEEK_MS = 7 * 86_400_000
_lists: dict[str, list[Any]] = {}


def _claim_what_is_held(right: Right) -> Right:
    """What a claim does that reads and writes in two transactions, made certain."""

    def claim(self: TaskQueue, worker_id: str, **settings: Any) -> Task | None:  # noqa: ANN401 - as the right one
        with self.database.transaction("normal") as connection:
            connection.execute(
                "UPDATE task_queue SET status = 'queued', locked_by = NULL "
                "WHERE status IN ('leased', 'processing')"
            ).close()
        claimed: Task | None = right(self, worker_id, **settings)
        return claimed

    return claim


def _complete_for_anybody(_right: Right) -> Right:
    def complete(self: TaskQueue, task: Task) -> None:
        values = (to_text(self.database.clock.now_ms()), task.id)
        with self.database.transaction(self.durability) as connection:
            connection.execute(
                "UPDATE task_queue SET status = 'completed', finished_at_utc = ? WHERE id = ?",
                values,
            ).close()

    return complete


def _begin_deferred(_right: Right) -> Right:
    """What a program does that begins its transactions as SQLite does where nothing is said."""

    def begin(_self: QueueDatabase, slot: Any, durability: Durability) -> None:  # noqa: ANN401 - a private class
        slot.connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}").close()
        slot.connection.execute("BEGIN")

    return begin


def _go_through_a_list(right: Right) -> Right:
    """Read some ids ahead, and take one after the other: so two workers have the same list."""

    def candidates(self: Any) -> Iterator[Any]:  # noqa: ANN401 - private attributes
        database = self._connection.execute("PRAGMA database_list").fetchall()[0][2]
        read = _lists.setdefault(database, [])
        read += [] if read else itertools.islice(right(self), _LIST_COUNT)
        if read:
            yield read.pop(0)

    return candidates


def _ask_for_any_time(right: Right) -> Right:
    def candidates(self: Any, connection: Any, _now_ms: int, *rest: Any, **settings: Any) -> None:  # noqa: ANN401 - as the right one
        right(self, connection, LAST_MOMENT_MS - _WEEK_MS, *rest, **settings)

    return candidates


def _look_no_further(right: Right) -> Right:
    """Take a first look, and never a second one behind the rows that it let through."""

    def look(self: Any, limit: int, offset: int) -> Cursor:  # noqa: ANN401 - a private method
        found: Cursor = right(self, limit if limit > 0 and not offset else 0, offset)
        return found

    return look


def _without_the_index(right: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(statement for statement in right if WAITING_INDEX not in statement)


DEFECTS = (
    Defect(
        name="double-claim",
        group="claiming",
        wrong="A held task is handed to a second worker, and both may complete it.",
        changes=(
            Change("core.tasks", "TaskQueue.claim", _claim_what_is_held),
            Change("core.tasks", "TaskQueue.complete", _complete_for_anybody),
        ),
        catches=(Catch("test_workload.py", "completed-once"),),
    ),
    Defect(
        name="deferred-begin",
        group="claiming",
        wrong="A claim that reads before it writes is refused at once where somebody else writes.",
        changes=(Change("core.database", "QueueDatabase._begin", _begin_deferred),),
        catches=(
            Catch(
                "test_rivals.py::test_rival_writer_within_the_busy_timeout_delays_and_costs_nothing[0.3]",
                "gave up",
            ),
        ),
    ),
    Defect(
        name="select-then-update",
        group="claiming",
        wrong="A worker takes a task that it saw waiting some claims ago, whoever has it by now.",
        changes=(
            Change("core.claiming", "Candidates.__iter__", _go_through_a_list),
            Change("core.claiming", "_TAKE", reworded(("AND status = 'queued'", ""))),
        ),
        catches=(Catch("test_workload.py", "completed-once"),),
    ),
    Defect(
        name="priority-ignored",
        group="claiming",
        wrong="An urgent task waits behind all that came before it.",
        changes=(Change("core.claiming", "_ORDER", reworded(("priority, id", "id"))),),
        catches=(
            Catch(
                "test_handing_out.py::test_urgent_task_goes_first_whatever_came_before",
                "priorities-kept",
            ),
        ),
    ),
    Defect(
        name="newest-first",
        group="claiming",
        wrong="What came last is handed out first, and under load the first tasks wait for ever.",
        changes=(Change("core.claiming", "_ORDER", reworded((", id", ", id DESC"))),),
        catches=(Catch("test_workload.py", "order-kept"),),
    ),
    Defect(
        name="claims-early",
        group="claiming",
        wrong="A task that is due later, or waits for its retry, is handed out at once.",
        changes=(Change("core.claiming", "Candidates.__init__", _ask_for_any_time),),
        catches=(
            Catch(
                "test_handing_out.py::test_task_before_its_time_is_passed_over_and_then_handed_out",
                "delays-honoured",
            ),
        ),
    ),
    Defect(
        name="claims-used-up",
        group="claiming",
        wrong="A task without attempts left, put back by another program, is handed out again.",
        changes=(
            Change("core.claiming", "_WAITING", reworded((" AND attempts < max_attempts", ""))),
        ),
        catches=(
            Catch(
                "test_handing_out.py::test_used_up_task_that_was_put_back_is_passed_over",
                "attempts-within-limit",
            ),
        ),
    ),
    Defect(
        name="hidden-behind",
        group="claiming",
        wrong="Some tasks that cannot run yet, first in the line, hide all that lies behind them.",
        changes=(Change("core.claiming", "Candidates._look", _look_no_further),),
        catches=(
            Catch(
                "test_handing_out.py::test_tasks_that_cannot_run_hide_none_behind_them",
                "hide the one behind",
            ),
        ),
    ),
    Defect(
        name="cost-grows",
        group="claiming",
        wrong="A claim sorts all that waits, so that it takes longer the longer the backlog is.",
        changes=(Change("core.schema", "STATEMENTS", _without_the_index),),
        catches=(
            Catch(
                "test_handing_out.py::test_long_queue_makes_no_verb_dearer[queued]",
                "times the backlog",
            ),
        ),
    ),
)
