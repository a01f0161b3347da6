"""What the tasks say: who holds them, for how long, and which of them nobody will ever run."""

from .examination import ContentCheck, Examination, Outcome, held_against, named
from .findings import Level
from .leases import HeldTask, shown
from .schema import DEAD_LETTER, QUEUED, STATUSES
from .timestamps import parse
from .waiting import newest_change_ms

_HOUR_MS = 3_600_000
# Held tasks are named one by one: somebody has to look for them in the workers' own logs.
_TASKS_MOST = 100


def check_stale(exam: Examination) -> Outcome:
    """Few tasks are held by workers that are dead."""
    stale = exam.leases.stale
    exam.case.metrics["stale_leases"] = len(stale)
    exam.case.metrics["held_tasks"] = len(stale) + len(exam.leases.live)
    thresholds = exam.case.thresholds
    message = f"{len(stale)} tasks are held under leases that ran out more than "
    message += f"{thresholds.stale_after_s:g} s ago"
    if stale:
        message += f", by {_workers(stale)}: {_tasks(stale)}"
    command = exam.case.command("leases", "--free")
    return held_against(thresholds.stale_leases, len(stale), message, command)


def check_unreadable(exam: Examination) -> Outcome:
    """Every held task has a lease that can run out."""
    held = exam.leases.unreadable
    exam.case.metrics["unreadable_leases"] = len(held)
    message = f"{len(held)} held tasks have a lease that never runs out, since its time is missing "
    message += "or in no known format"
    if held:
        message += f", by {_workers(held)}: {_tasks(held)}"
    return held_against(
        exam.case.thresholds.unreadable_leases, len(held), message, _release(exam, held)
    )


def check_far(exam: Examination) -> Outcome:
    """No lease ends so late that it must be a mistake."""
    thresholds = exam.case.thresholds
    limit_ms = exam.case.now_ms + thresholds.lease_horizon_s * 1000
    far = tuple(task for task in exam.leases.live if (task.lease_until_ms or 0) > limit_ms)
    exam.case.metrics["far_leases"] = len(far)
    message = f"{len(far)} leases end more than {thresholds.lease_horizon_s / 3600:g} h from now"
    if far:
        message += f" (a wrong clock or unit), by {_workers(far)}: {_tasks(far)}"
    return held_against(thresholds.far_leases, len(far), message, _release(exam, far))


def check_held(exam: Examination) -> Outcome:
    """No task is held for ever by a worker that keeps its lease alive without finishing."""
    since = {task: parse(shown(task.token.reserved_at)) for task in exam.leases.live}
    held = {task: moment for task, moment in since.items() if moment is not None}
    oldest = min(held, key=lambda task: (held[task], task.id), default=None)
    hours = 0.0 if oldest is None else max(0.0, (exam.case.now_ms - held[oldest]) / _HOUR_MS)
    exam.case.metrics["longest_held_h"] = hours
    message = f"The longest held task with a live lease is held for {hours:.1f} h"
    if oldest is not None:
        message += f" (task {oldest.id} by {oldest.worker})"
    command = "" if oldest is None else _release(exam, (oldest,))
    return held_against(exam.case.thresholds.held_h, hours, message, command)


def check_waiting(exam: Examination) -> Outcome:
    """Tasks that are due are taken within a reasonable time."""
    due_ms = exam.waiting.oldest_due_ms
    hours = 0.0 if due_ms is None else (exam.case.now_ms - due_ms) / _HOUR_MS
    exam.case.metrics["longest_due_h"] = hours
    exam.case.metrics["queued_tasks"] = exam.counts.get(QUEUED, 0)
    message = (
        f"The longest due of {exam.counts.get(QUEUED, 0)} queued tasks waits for {hours:.1f} h"
    )
    return held_against(exam.case.thresholds.waiting_h, hours, message)


def check_never_run(exam: Examination) -> Outcome:
    """Every queued task can be claimed some day."""
    waiting = exam.waiting
    never = sorted({*waiting.unreadable, *waiting.exhausted})
    exam.case.metrics["never_run_tasks"] = len(never)
    message = f"{len(never)} queued tasks will never run"
    if never:
        message += (
            f": tasks {named([str(task) for task in never])} ({len(waiting.unreadable)} with a "
            f"run_after_utc in no known format, {len(waiting.exhausted)} with no attempt left)"
        )
    return held_against(exam.case.thresholds.never_run, len(never), message)


def check_run_after_format(exam: Examination) -> Outcome:
    """Every queued task's time compares as text, as workers in the field compare it."""
    late = exam.waiting.late
    exam.case.metrics["late_tasks"] = len(late)
    message = f"{len(late)} queued tasks have a run_after_utc that does not compare as text"
    if late:
        message += (
            f": tasks {named([str(task) for task in late])}. Workers that compare text claim them "
            "up to a day late, or early; write YYYY-MM-DD HH:MM:SS"
        )
    return held_against(exam.case.thresholds.late_tasks, len(late), message)


def check_status(exam: Examination) -> Outcome:
    """Every task is in a status that programs know."""
    unknown = {status: count for status, count in exam.counts.items() if status not in STATUSES}
    exam.case.metrics["tasks"] = dict(exam.counts)
    count = sum(unknown.values())
    message = f"{count} tasks are in a status that no program knows"
    if unknown:
        message += f" ({named([f'{status!r}: {count}' for status, count in unknown.items()])})"
    return held_against(exam.case.thresholds.unknown_status, count, message)


def check_dead_letters(exam: Examination) -> Outcome:
    """How many tasks gave up is said; only their owner can judge it."""
    count = exam.counts.get(DEAD_LETTER, 0)
    exam.case.metrics["dead_letters"] = count
    return Outcome(Level.OK, count, f"{count} tasks are in dead_letter.")


def check_clock(exam: Examination) -> Outcome:
    """No change lies in the future of this machine's clock."""
    ahead_s = (newest_change_ms(exam.connection, exam.case.now_ms) - exam.case.now_ms) / 1000
    exam.case.metrics["clock_ahead_s"] = ahead_s
    message = f"The newest change is {ahead_s:.0f} s ahead of this machine's clock"
    if ahead_s > exam.case.thresholds.clock_ahead_s.warning:
        message += ": one of the clocks is wrong, and leases run out too early or too late"
    return held_against(exam.case.thresholds.clock_ahead_s, ahead_s, message)


TASK_CHECKS: tuple[tuple[str, ContentCheck], ...] = (
    ("leases.stale", check_stale),
    ("leases.unreadable", check_unreadable),
    ("leases.far", check_far),
    ("tasks.held", check_held),
    ("tasks.waiting", check_waiting),
    ("tasks.never_run", check_never_run),
    ("tasks.run_after_format", check_run_after_format),
    ("tasks.status", check_status),
    ("tasks.dead_letters", check_dead_letters),
    ("tasks.clock", check_clock),
)


def _workers(tasks: tuple[HeldTask, ...]) -> str:
    workers = sorted({task.worker or "nobody" for task in tasks})
    return f"{len(workers)} workers ({named(workers)})" if len(workers) > 1 else workers[0]


def _tasks(tasks: tuple[HeldTask, ...]) -> str:
    return f"tasks {named([str(task.id) for task in tasks], _TASKS_MOST)}"


def _release(exam: Examination, tasks: tuple[HeldTask, ...]) -> str:
    return exam.case.command("leases", f"--task {tasks[0].id} --release") if tasks else ""
