"""SQLite's page of ways to corrupt a database, section 2: through the locks.

Claim: two who write at once do harm that the check named in docs/corruption.md finds, and a restore
ends it. The core itself does none of it: it never opens its files past SQLite, a forked child loses
nothing, a queue in WAL mode is not opened by those who cannot share its log, and who works on a
file that is gone, or locks in another way, is told.
Faults: way-to-corrupt: no locks, locks dropped by a close or by another library, two protocols, a
file replaced, renamed or with two names, a connection carried over a fork.
Method: each way is a sequence of single steps of real processes. SQLite alone says which harm that
did. What the core does itself is watched in a process of its own.
A failure means: the core destroys a queue by itself, or does not see who does.
"""

import sqlite3
from pathlib import Path

import pytest

from core.findings import Level
from core.health import check_health
from core.paths import lock_folder, sides
from harness.corrupting import bring_about, require_found_and_ended, rows
from harness.crew import Crew
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.ways import by_locks
from harness.ways.harm import harm_to
from harness.ways.programs import said
from harness.ways.session import session
from harness.ways.stage import INSERT, PAYLOAD, new_stage
from harness.ways.way import Way

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]


@pytest.mark.parametrize("way", rows(by_locks.WAYS))
def test_damage_through_locks_is_found_and_ended_by_a_restore(
    way: Way, scratch: Path, evidence: Evidence
) -> None:
    """It does harm, the check that is named finds it or none does, and a restore mends it."""
    require_found_and_ended(way, scratch, evidence)


@pytest.mark.parametrize("way", rows(by_locks.LOST_LOG))
def test_log_lost_under_its_writer_is_found_or_does_not_happen(
    way: Way, scratch: Path, evidence: Evidence
) -> None:
    """Where SQLite defends itself, nothing is lost; where it does not, the damage is found."""
    if sqlite3.sqlite_version_info < by_locks.DEFENDED_SINCE:
        require_found_and_ended(way, scratch, evidence)
        return
    stage = new_stage(scratch / "tried" / "queue.db")
    seen, harm = bring_about(way, stage)
    evidence.fault("way-to-corrupt", way.asked, True, f"{seen}; {harm or 'SQLite defended it'}")
    evidence.require(not harm, f"{way.id} on SQLite {sqlite3.sqlite_version}: {harm}")


@pytest.mark.profile("nightly")
def test_core_never_opens_its_files_past_sqlite(scratch: Path, evidence: Evidence) -> None:
    """No verb opens and closes the queue, its log or its index where it has a connection to it."""
    stage = new_stage(scratch / "tried" / "queue.db")
    *done, last = said("core_watched.py", stage.path)

    evidence.fault(
        "way-to-corrupt",
        "a file of the queue opened past SQLite, which drops the locks of the process",
        last["control"],
        "the watch saw the one that it opened itself at the end",
        f"{len(done)} verbs watched: {', '.join(each['verb'] for each in done)}",
    )
    failed = [f"{each['verb']}: {each['error']}" for each in done if each["error"]]
    if failed:
        raise Inconclusive(f"verbs that were to be watched failed: {'; '.join(failed)}")
    opened = [
        f"{each['verb']} opens {', '.join(each['opened'])}" for each in done if each["opened"]
    ]
    evidence.limit("verbs that open files past SQLite", len(opened), 0, "verbs")
    evidence.require(not opened, f"beside a connection {'; '.join(opened)}")


@pytest.mark.profile("nightly")
@pytest.mark.parametrize("vfs", ["unix-none", "unix-dotfile"])
@pytest.mark.machine("posix")
def test_queue_in_wal_mode_is_not_opened_without_its_log(
    vfs: str, scratch: Path, evidence: Evidence
) -> None:
    """Who locks in another way cannot share the log, and is refused before it does harm."""
    stage = new_stage(scratch / "tried" / "queue.db")
    with session(stage.path) as worker, session(stage.path, vfs=vfs) as other:
        worker.sql("SELECT count(*) FROM task_queue")
        refused = other.refused(INSERT, PAYLOAD, "other")
        worker.tell("close")
    harm = harm_to(stage.path, stage.acknowledged)

    evidence.fault("way-to-corrupt", f"a queue opened by {vfs}", bool(refused), refused)
    evidence.require(refused, f"a queue in WAL mode was opened by {vfs}")
    evidence.require(not harm, f"a queue in WAL mode, opened by {vfs}: {harm}")


@pytest.mark.profile("nightly")
@pytest.mark.machine("posix")
def test_other_way_of_locking_is_told_while_it_is_used_and_when_it_is_left(
    scratch: Path, evidence: Evidence
) -> None:
    """The folder of a dot-file lock is told, its program alive or dead; without it nothing."""
    stage = new_stage(scratch / "tried" / "queue.db", journal="delete")
    folder = lock_folder(stage.path)
    before = check_health(stage.path).finding("file.locking").level
    with session(stage.path, vfs="unix-dotfile") as other:
        other.sql("BEGIN IMMEDIATE")
        held = folder.is_dir()
        during = check_health(stage.path).finding("file.locking").level
        other.kill()
    left = check_health(stage.path).finding("file.locking").level

    evidence.fault(
        "way-to-corrupt", "a lock that is a folder", held and folder.is_dir(), str(folder.name)
    )
    evidence.require(before is Level.OK, f"a queue that nobody locks so has {before}")
    evidence.require(during is Level.WARNING, f"a dot-file lock in use is told as {during}")
    evidence.require(left is Level.WARNING, f"a dot-file lock left behind is told as {left}")


@pytest.mark.profile("nightly")
@pytest.mark.machine("posix")
def test_queue_by_a_symbolic_link_is_the_same_queue(scratch: Path, evidence: Evidence) -> None:
    """Two who open it by the file and by a link to it share one log, and lose nothing."""
    stage = new_stage(scratch / "tried" / "queue.db")
    link = stage.path.with_name("link.db")
    link.symlink_to(stage.path.name)
    with session(stage.path) as first, session(link) as second:
        stage.put(first, ["first"])
        stage.put(second, ["second"])
        stage.put(first, ["third"])
        logs = sorted(each.name for each in stage.path.parent.glob("*-wal"))
        first.tell("close")
        second.tell("close")
    harm = harm_to(stage.path, stage.acknowledged)
    names = check_health(link).finding("file.names").level

    evidence.fault("way-to-corrupt", "a link to the queue", link.is_symlink(), str(logs))
    evidence.require(logs == ["queue.db-wal"], f"the logs of one queue are {logs}")
    evidence.require(not harm, f"opened by a link and by its name: {harm}")
    evidence.require(names is Level.OK, f"a symbolic link is told as {names}")


@pytest.mark.parametrize("manner", ["core", "core-inside"])
@pytest.mark.machine("posix")
def test_forked_process_loses_no_task(manner: str, scratch: Path, evidence: Evidence) -> None:
    """What parent or child was told is in the queue, whoever of them lets go of it first."""
    stage = new_stage(scratch / "tried" / "queue.db")
    told = said("forked.py", stage.path, manner)
    keys = [key for line in told if isinstance(line, list) for key in line]
    refused = [line["refused"] for line in told if isinstance(line, dict)]
    stage.told(keys)
    harm = harm_to(stage.path, stage.acknowledged)

    evidence.fault(
        "way-to-corrupt",
        "a process forks while it has the queue open",
        len(keys) + len(refused) >= 3,
        f"acknowledged: {', '.join(keys)}; refused: {', '.join(refused) or 'nobody'}",
    )
    evidence.require(not harm, f"a process that forked ({manner}): {harm}")
    expected = ["ForkedError"] * 2 if manner == "core-inside" else []
    evidence.require(
        refused == expected, f"a forked child ({manner}) was refused by {refused or 'nothing'}"
    )


@pytest.mark.parametrize(
    "how",
    [
        "replaced",
        pytest.param("deleted", marks=pytest.mark.profile("nightly")),
        pytest.param("renamed", marks=pytest.mark.profile("nightly")),
    ],
)
@pytest.mark.machine("linux")
def test_worker_on_a_file_that_is_gone_is_told(how: str, scratch: Path, evidence: Evidence) -> None:
    """While it works on there, health names it; before and afterwards it names nobody."""
    stage = new_stage(scratch / "tried" / "queue.db")
    draft = stage.path.with_name("draft.db")
    draft.write_bytes(stage.backup.read_bytes())
    with session(stage.path) as worker:
        worker.sql(INSERT, PAYLOAD, "before")
        inode = stage.path.stat().st_ino
        before = _holders(stage.path)
        if how == "deleted":
            stage.path.unlink()
        elif how == "renamed":
            stage.path.rename(stage.path.with_name("old.db"))
        if how != "deleted":
            draft.replace(stage.path)
        moved = not stage.path.exists() or stage.path.stat().st_ino != inode
        during = check_health(stage.path).finding("file.holders")
        pid = worker.pid
        worker.kill()
    after = _holders(stage.path)

    evidence.fault("way-to-corrupt", f"the file is {how} under a worker", moved, f"{inode}")
    evidence.require(
        (before, after) == (Level.OK, Level.OK), f"{before} before and {after} afterwards"
    )
    evidence.require(
        during.level is Level.CRITICAL and f"process {pid} " in during.message,
        f"a worker on a file that was {how} is told as {during.level}: {during.message}",
    )


@pytest.mark.machine("posix")
@pytest.mark.profile("nightly")
def test_log_deleted_under_a_worker_takes_no_task_along(
    queue_path: Path, crew: Crew, evidence: Evidence
) -> None:
    """A script that clears up what it takes for rubbish costs a worker a retry, and no task."""
    worker = crew.start(queue_path, "worker")
    told = [("before", worker.enqueue("before").ok)]
    rubbish = sides(queue_path)[:2]
    for file in rubbish:
        file.unlink()
    told += [("first", worker.enqueue("first").ok)]
    # Another one comes, and works in a log of its own.
    with session(queue_path) as passing:
        told += [("passing", not passing.refused(INSERT, PAYLOAD, "passing"))]
        passing.tell("close")
    told += [(key, worker.enqueue(key).ok) for key in ("second", "third")]
    worker.driver.close()
    harm = harm_to(queue_path, {key: "" for key, ok in told if ok}, payloads=False)

    evidence.fault(
        "way-to-corrupt",
        "the -wal and -shm are deleted under a worker",
        told[0][1],
        f"told: {told}",
        harm or "nothing is lost",
    )
    evidence.require(not harm, f"a log deleted under a worker: {harm}")
    evidence.require(told[-1][1], f"the worker does not go on: {told}")


def _holders(path: Path) -> Level:
    return check_health(path).finding("file.holders").level
