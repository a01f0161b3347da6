"""What the tasks say of the workers that hold them."""

import pytest
from health_queues import (
    NOW_MS,
    checked,
    held,
    stale,
    task,
)

from core import schema
from core.findings import Level
from core.timestamps import to_text


@pytest.mark.parametrize("status", schema.HELD)
@pytest.mark.parametrize(
    "written",
    ["2025-11-05 13:30:22", "2025-11-05T13:30:22Z", "2025-11-05 15:30:22.500+02:00", 1_762_349_422],
)
def test_dead_workers_tasks_are_named_with_the_command_that_frees_them(
    queue_path, execute, status, written
):
    """In either held state and every format, a dead lease is counted and its holder named."""
    execute(*[held(lease_until_utc=written, status=status, locked_by="dead-1")] * 51)

    found = checked(queue_path).finding("leases.stale")

    assert (found.level, found.observed) == (Level.CRITICAL, 51)
    assert "by dead-1: tasks 1, 2, 3," in found.message
    assert " 50, 51 (" in found.message
    assert found.command == f'queuedrill leases --db "{queue_path}" --free'


def test_very_many_stale_leases_are_counted_and_only_the_first_named(queue_path, execute):
    """A message stays one that can be read."""
    execute(*[held(lease_until_utc="2025-11-05 13:30:22")] * 103)

    message = checked(queue_path).finding("leases.stale").message

    assert " 99, 100 and 3 more (" in message


def test_lease_is_stale_after_the_grace_and_not_before(queue_path, execute):
    """The same rule as the clean-up's: lease end plus grace lies before now."""
    execute(
        held(lease_until_utc=to_text(NOW_MS - 300_000)),
        held(lease_until_utc=to_text(NOW_MS - 300_001)),
    )

    assert checked(queue_path).metrics["stale_leases"] == 1


@pytest.mark.parametrize("lease", [None, "", "whenever", 7])
def test_lease_that_never_runs_out_is_told_with_the_command_for_that_task(
    queue_path, execute, lease
):
    """A held task whose lease has no time is stuck for ever, so it is told by its id."""
    execute(held(lease_until_utc=lease))

    found = checked(queue_path).finding("leases.unreadable")

    assert (found.level, found.observed) == (Level.WARNING, 1)
    assert found.command == f'queuedrill leases --db "{queue_path}" --task 1 --release'


def test_task_that_can_never_run_is_told_by_its_id_and_reason(queue_path, execute):
    """A queued task with an unreadable time or no attempt left is stuck, and is named."""
    execute(task(run_after_utc="soon"), task(), task(attempts=5))

    found = checked(queue_path).finding("tasks.never_run")

    assert (found.level, found.observed) == (Level.WARNING, 2)
    assert (
        "tasks 1, 3 (1 with a run_after_utc in no known format, 1 with no attempt" in found.message
    )


def test_unknown_status_is_told_by_name(queue_path, execute):
    """A task in a status that no program knows is told, with the status."""
    execute(task(status="Queued"), task(status="dead_letter"))

    report = checked(queue_path)

    assert report.finding("tasks.status").level is Level.WARNING
    assert "'Queued': 1" in report.finding("tasks.status").message
    assert report.finding("tasks.dead_letters").observed == 1
    assert report.finding("tasks.dead_letters").level is Level.OK


def test_queue_with_text_that_is_no_utf8_is_judged_as_far_as_it_goes(queue_path, execute):
    """Odd bytes of another client leave that check unknown, and the others judged."""
    execute(
        stale(),
        task(status="x"),
        ("UPDATE task_queue SET status = CAST(x'ff' AS TEXT) WHERE status = 'x'",),
    )

    report = checked(queue_path)

    assert report.finding("leases.stale").observed == 1
    assert report.finding("tasks.status").level in {Level.UNKNOWN, Level.WARNING}
