"""``queuedrill leases``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.leases import HeldTask, StaleLeases

from ..asking import agree
from ..console import Console
from ..figures import age, quoted
from ..looking import read_leases
from ..options import AsJson, Db, Debug, Yes
from ..speaking import speaking

_TIMEOUT_S = 300.0
_TITLES = ("TASK", "STATUS", "WORKER", "LEASE UNTIL", "ATTEMPTS", "LEASE")


def leases(
    *,
    free: Annotated[bool, typer.Option("--free", help="Free the stale ones.")] = False,
    task: Annotated[
        int | None,
        typer.Option("--task", metavar="ID", show_default=False, help="Only this task."),
    ] = None,
    release: Annotated[
        bool, typer.Option("--release", help="With --task: free it, whatever its lease says.")
    ] = False,
    timeout_seconds: Annotated[
        float,
        typer.Option(
            "--timeout-seconds", metavar="S", help="A lease is stale so long after its end."
        ),
    ] = _TIMEOUT_S,
    yes: Yes = False,
    db: Db = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the held tasks; with --free or --release free them.

    Listing writes nothing. Freeing asks first; a task whose attempts are used up goes to
    dead_letter, any other back to queued.
    """
    with speaking("leases", as_json=as_json, debug=debug) as console:
        from core.paths import resolve

        _refuse_mixtures(free=free, task=task, release=release)
        path = resolve(db)
        found = read_leases(path, timeout_seconds)
        console.facts.update(
            path=str(path),
            timeout_seconds=timeout_seconds,
            **{kind: [_facts(held) for held in tasks] for kind, tasks in vars(found).items()},
        )
        _list(console, found, task)
        if free:
            _free(console, db, found, timeout_seconds, yes=yes)
        elif release and task is not None:
            _release(console, db, task, yes=yes)
        elif found.stale and task is None:
            console.say(f"Free the stale ones with: queuedrill leases --db {quoted(path)} --free")


def _refuse_mixtures(*, free: bool, task: int | None, release: bool) -> None:
    if release and task is None:
        raise typer.BadParameter("--release needs --task ID.")
    if free and (task is not None or release):
        raise typer.BadParameter("Give --free, or --task ID with --release, not both.")


def _list(console: Console, found: "StaleLeases", task: int | None) -> None:
    if task is None:
        console.say(
            f"{len(found.stale)} stale, {len(found.live)} live, {len(found.unreadable)} unreadable"
        )
    rows = [
        _row(held, kind)
        for kind in ("stale", "unreadable", "live")
        for held in getattr(found, kind)
        if task in (None, held.id)
    ]
    if rows:
        console.table(_TITLES, rows)
    elif task is not None:
        console.say(f"Nobody holds task {task}.")


def _free(
    console: Console, db: str | None, found: "StaleLeases", timeout_s: float, *, yes: bool
) -> None:
    from core import QueueDatabase
    from core.maintenance import QueueMaintenance

    if found.stale:
        agree(console, f"Free {_tasks(len(found.stale))}", yes=yes)
        with QueueDatabase(db) as database:
            freed = QueueMaintenance(database).release_stale_leases(timeout_s)
        console.facts.update(requeued=freed.requeued, dead_lettered=freed.dead_lettered)
        console.say(f"{freed.requeued} queued again, {freed.dead_lettered} to dead_letter.", "good")
    else:
        console.facts.update(requeued=0, dead_lettered=0)
        console.say("Nothing to free.")
    if found.unreadable:
        console.not_good()
        ids = _ids(found.unreadable)
        console.say(
            f"{len(found.unreadable)} have a lease whose end cannot be read (tasks {ids}). When "
            "their workers are gone, free each with: queuedrill leases --task ID --release",
            "warning",
        )


def _release(console: Console, db: str | None, task: int, *, yes: bool) -> None:
    from core import QueueDatabase
    from core.maintenance import QueueMaintenance

    agree(console, f"Free task {task}, whatever its lease says", yes=yes)
    with QueueDatabase(db) as database:
        status = QueueMaintenance(database).release_lease(task)
    console.facts["released"] = {"task": task, "status": status}
    console.say(f"Task {task} is {status} now.", "good")


def _row(held: "HeldTask", kind: str) -> list[str]:
    attempts = f"{held.attempts} of {held.max_attempts}"
    lease_until = "none" if held.lease_until is None else held.lease_until
    return [
        str(held.id),
        held.status,
        "nobody named" if held.worker is None else held.worker,
        lease_until,
        attempts,
        f"{kind}{_overdue(held)}",
    ]


def _overdue(held: "HeldTask") -> str:
    from core import SystemClock

    if held.lease_until_ms is None:
        return ""
    late_s = (SystemClock().now_ms() - held.lease_until_ms) / 1000
    return f", ended {age(late_s)} ago" if late_s >= 0 else f", {age(-late_s)} left"


def _facts(held: "HeldTask") -> dict[str, object]:
    shown = ("id", "status", "worker", "attempts", "max_attempts", "lease_until", "lease_until_ms")
    return {name: getattr(held, name) for name in shown}


def _tasks(number: int) -> str:
    return "1 task whose lease is stale" if number == 1 else f"{number} tasks with stale leases"


def _ids(tasks: tuple["HeldTask", ...]) -> str:
    return ", ".join(str(held.id) for held in tasks)
