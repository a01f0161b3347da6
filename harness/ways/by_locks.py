"""Ways through the locks: two who write at once, since one does not see that the other has it.

Section 2 of https://www.sqlite.org/howtocorrupt.html. Each is a sequence of single steps of
processes of their own, so that it happens every time.
"""

import shutil
from collections.abc import Callable

from core.paths import uri, wal_of
from harness.outcome import Inconclusive
from harness.ways.programs import said
from harness.ways.session import Session, session
from harness.ways.stage import EMPTY, INSERT, PAYLOAD, Stage
from harness.ways.way import Way

_FEW = tuple(f"few-{number}" for number in range(20))
_MORE = tuple(f"more-{number}" for number in range(60))
_READ_ALL = "SELECT count(*), max(payload) FROM task_queue NOT INDEXED"
DEFENDED_SINCE = (3, 51, 0)


def _write_in_between(stage: Stage, holder: Session, other: Session) -> str:
    """Have the other write while the holder has the lock; both are told that all is done."""
    stage.put(other, _FEW)
    for key in _MORE:
        holder.sql(INSERT, PAYLOAD, key)
    holder.sql("COMMIT")
    stage.told(_MORE, PAYLOAD)
    return "a second writer committed while the first one had the lock"


def _take_lock(holder: Session) -> None:
    holder.sql("BEGIN IMMEDIATE")
    holder.sql(_READ_ALL)


def _with_locking(first: dict[str, str], second: dict[str, str]) -> Callable[[Stage], str]:
    def happens(stage: Stage) -> str:
        with session(stage.path, **first) as holder, session(stage.path, **second) as other:
            _take_lock(holder)
            return _write_in_between(stage, holder, other)

    return happens


def _losing_lock(lose: Callable[[Stage, Session], object]) -> Callable[[Stage], str]:
    """Return a way in which a process loses its lock, which it had before, by itself."""

    def happens(stage: Stage) -> str:
        with session(stage.path) as holder, session(stage.path) as other:
            _take_lock(holder)
            if not other.refused("BEGIN IMMEDIATE"):
                raise Inconclusive("the lock was not had before it was to be lost")
            lose(stage, holder)
            return _write_in_between(stage, holder, other)

    return happens


def _losing_log(lose: Callable[[Stage, Session], object]) -> Callable[[Stage], str]:
    """Return a way in which a process works on in a log that others have deleted meanwhile.

    SQLite has defended itself against that since 3.51.0
    (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """

    def happens(stage: Stage) -> str:
        with session(stage.path) as holder:
            stage.put(holder, ["first"])
            lose(stage, holder)
            with session(stage.path) as passing:
                passing.sql(_READ_ALL)
                passing.tell("close")
            gone = not wal_of(stage.path).exists()
            _work_beside(stage, holder)
        return "the log was deleted under its writer" if gone else "the log stayed"

    return happens


def _work_beside(stage: Stage, holder: Session) -> None:
    with session(stage.path) as other:
        if not holder.refused(INSERT, PAYLOAD, "into-nothing"):
            stage.told(["into-nothing"], PAYLOAD)
        stage.put(other, _MORE)
        other.tell("close")
    holder.tell("close")


def _read_past_sqlite(stage: Stage, holder: Session) -> object:
    return holder.tell("read_head", str(stage.path))


def _look_by_another_library(stage: Stage, holder: Session) -> object:
    return holder.tell("look_by", "apsw", uri(stage.path, mode="rw"))


def _replace_in_use(stage: Stage) -> str:
    """Put the backup in the queue's place while a worker has it open, and leave its log there."""
    draft = stage.path.with_name("draft.db")
    with session(stage.path) as worker:
        stage.put(worker, _FEW)
        shutil.copyfile(stage.backup, draft)
        draft.replace(stage.path)
        restored = dict(stage.in_backup)
        with session(stage.path) as other:
            other.sql(_READ_ALL)
        worker.refused(INSERT, PAYLOAD, "afterwards")
    stage.acknowledged = restored
    return "the file replaced by its backup under a worker, whose log stayed"


def _rename_in_use(stage: Stage) -> str:
    """Rename the queue away from under a worker, and put a new one in its place."""
    with session(stage.path) as worker:
        stage.put(worker, _FEW[:1])
        stage.path.rename(stage.path.with_name("old.db"))
        shutil.copyfile(stage.backup, stage.path)
        stage.acknowledged = dict(stage.in_backup)
        with session(stage.path) as other:
            stage.put(other, _FEW[1:])
        worker.refused(INSERT, PAYLOAD, "into-the-old-one")
    return "the file renamed under a worker, and another put in its place"


def _open_by_two_names(stage: Stage) -> str:
    other_name = stage.path.with_name("other.db")
    other_name.hardlink_to(stage.path)
    with session(stage.path) as first, session(other_name) as second:
        stage.put(first, _FEW[:10])
        stage.put(second, _FEW[10:])
        stage.put(first, _MORE)
        logs = [wal_of(each).stat().st_size for each in (stage.path, other_name)]
        first.tell("close")
        second.tell("close")
    other_name.unlink()
    return f"two logs of {logs[0]} and {logs[1]} bytes for one file"


def _work_after_fork(stage: Stage) -> str:
    for keys in said("forked.py", stage.path, "raw"):
        stage.told(keys, EMPTY)
    return "parent and child both committed by one connection"


_NONE, _DOT_FILE = {"vfs": "unix-none"}, {"vfs": "unix-dotfile"}

WAYS = (
    Way(
        id="2.1-no-locks",
        asked="two processes write on a file system whose locks do nothing",
        happens=_with_locking(_NONE, _NONE),
        journal="delete",
        machine=("posix",),
    ),
    Way(
        id="2.2-closed-beside-sqlite",
        asked="a program reads the first bytes of the queue that it has locked, and closes it",
        happens=_losing_lock(_read_past_sqlite),
        journal="delete",
        machine=("posix",),
    ),
    Way(
        id="2.3-two-libraries",
        asked="a program with two SQLite libraries looks by the one at what it locked by the other",
        happens=_losing_lock(_look_by_another_library),
        journal="delete",
        machine=("posix",),
    ),
    Way(
        id="2.4-two-protocols",
        asked="one process locks the file, another one by a folder beside it",
        happens=_with_locking({}, _DOT_FILE),
        journal="delete",
        machine=("posix",),
    ),
    Way(
        id="2.5-replaced-in-use",
        asked="the file is replaced under a worker, and its log stays",
        happens=_replace_in_use,
        found_by=(),
        machine=("posix",),
    ),
    Way(
        id="2.5-renamed-in-use",
        asked="the file is renamed under a worker, and another put in its place",
        happens=_rename_in_use,
        found_by=(),
        machine=("posix",),
    ),
    Way(
        id="2.6-two-names",
        asked="two processes open one file by two names",
        happens=_open_by_two_names,
        found_by=(),
        machine=("posix",),
    ),
    Way(
        id="2.7-forked-connection",
        asked="a process forks in a transaction, and both work on",
        happens=_work_after_fork,
        journal="delete",
        machine=("posix",),
    ),
)
LOST_LOG = (
    Way(
        id="2.2-closed-beside-sqlite-log",
        asked="a program reads the first bytes of a queue in WAL mode that it has open",
        happens=_losing_log(_read_past_sqlite),
        machine=("posix",),
    ),
    Way(
        id="2.3-two-libraries-log",
        asked="a program with two SQLite libraries has a queue in WAL mode open by both",
        happens=_losing_log(_look_by_another_library),
        machine=("posix",),
    ),
)
"""SQLite defends itself against these since 3.51.0."""
