"""Every verb that reads a file of others, tried on one case: what came out, and what was left.

It runs in a process that tries one case after another and has no other connection, so what the core
would look at from a child process it looks at itself here; and nothing is synced, since no power
fails.
"""

import contextlib
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import observer, primitives
from core.backup import QueueBackup
from core.clock import ManualClock
from core.contentrecord import record_path
from core.database import QueueDatabase
from core.errors import DatabaseIOError, OperationTimeoutError, QueueError
from core.health import check_health
from core.manifest import manifest_path
from core.salvage import salvage
from core.statistics import read_statistics
from core.tasks import TaskQueue
from harness.fuzz.cases import Case, make_case
from harness.fuzz.stock import NOW_MS, make_stock

if sys.platform != "win32":
    import resource

TIMEOUT_S = 5.0
SLOW_S = TIMEOUT_S + 3.0
_NAME = "queue_backup_20260202_020000.db"
_LOCK = "-maintenance.lock"
_SHOWN_MOST = 400


@dataclass
class Trial:
    """What came of one case.

    Attributes:
        number: of the case.
        changes: what was made wrong, in words.
        wrong: what no case may come to, one sentence each.
        answers: how often the verbs said what, for the report.
        seconds: how long it took.
    """

    number: int
    changes: list[str]
    wrong: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Ground:
    """A folder with a sound queue, beside which each case is laid out.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._place = folder / "place"
        self._path = self._place / "queue.db"
        self._scratch = folder / "scratch.db"
        stock = folder / "stock"
        for each in (stock, self._place):
            each.mkdir()
        self.stock = make_stock(stock, self._path)

    def attempt(self, number: int) -> Trial:
        """Lay the case out, try all verbs that concern it, and say what came of it."""
        case = make_case(number, self.stock, self._scratch)
        trial = Trial(number, case.changes)
        if not case.differs:
            trial.answers.append("the same bytes")
            return trial
        self._clear()
        start_s = time.monotonic()
        if case.role == "backup":
            self._attempt_backup(case, trial)
        else:
            self._attempt_queue(case, trial)
        trial.seconds = time.monotonic() - start_s
        if trial.seconds > SLOW_S:
            trial.wrong.append(f"it took {trial.seconds:.1f} s")
        return trial

    def lay_out(self, number: int) -> Path:
        """Lay the case out and try nothing; return the folder."""
        case = make_case(number, self.stock, self._scratch)
        self._clear()
        self._lay_backup(case) if case.role == "backup" else self._lay_queue(case)
        return self._place

    def _clear(self) -> None:
        shutil.rmtree(self._place)
        self._place.mkdir()

    # -- a backup ----------------------------------------------------------------------------

    def _lay_backup(self, case: Case) -> Path:
        self._path.write_bytes(self.stock[0].database)
        backup = self._place / "backups" / _NAME
        backup.parent.mkdir()
        backup.write_bytes(case.database)
        if case.manifest is not None:
            manifest_path(backup).write_bytes(case.manifest)
        return backup

    def _attempt_backup(self, case: Case, trial: Trial) -> None:
        backup = self._lay_backup(case)
        before = _contents(self._place)
        backups = QueueBackup(self._path, clock=ManualClock(NOW_MS))
        with _answered(trial, "list"):
            backups.list_backups(include_foreign=True)
            backups.newest_verified()
        sound = False
        with _answered(trial, "verify"):
            sound = backups.check_backup(backup, timeout_seconds=TIMEOUT_S).ok
            trial.answers.append("verified" if sound else "not verified")
        _require_same(trial, before, self._place, "verifying")
        restored = False
        with _answered(trial, "restore"):
            backups.restore_backup(backup, allow_foreign=True, timeout_seconds=TIMEOUT_S)
            restored = True
        if restored:
            self._use_restored(trial, sound=sound)
        else:
            _require_same(trial, before, self._place, "a restore that was refused")

    def _use_restored(self, trial: Trial, *, sound: bool) -> None:
        trial.answers.append("restored")
        if not sound:
            trial.wrong.append("a backup that is not verified was restored")
        with _answered(trial, "work"), QueueDatabase(self._path) as database:
            tasks = TaskQueue(database)
            task = tasks.claim("w")
            if task is not None:
                tasks.complete(task)

    # -- the queue itself --------------------------------------------------------------------

    def _lay_queue(self, case: Case) -> None:
        self._path.write_bytes(case.database)
        if case.wal is not None:
            self._path.with_name("queue.db-wal").write_bytes(case.wal)
        if case.record is not None:
            record_path(self._path).write_bytes(case.record)

    def _attempt_queue(self, case: Case, trial: Trial) -> None:
        self._lay_queue(case)
        before = _contents(self._place)
        clock = ManualClock(NOW_MS)
        with _answered(trial, "health"):
            report = check_health(self._path, full=True, clock=clock, timeout_seconds=TIMEOUT_S)
            trial.answers.append(f"health {report.level}")
        _require_same(trial, before, self._place, "health")
        out = self._place / "salvaged.db"
        with _answered(trial, "salvage"):
            saved = salvage(self._path, out, clock=clock, timeout_seconds=TIMEOUT_S)
            trial.answers.append("salvaged something" if saved.out else "salvaged nothing")
        out.unlink(missing_ok=True)
        _require_same(trial, before, self._place, "salvaging")
        with _answered(trial, "open"), QueueDatabase(self._path, read_only=True) as database:
            trial.answers.append("opened")
            read_statistics(database)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.name.endswith(_LOCK)
    }


def _require_same(trial: Trial, before: dict[str, bytes], folder: Path, after: str) -> None:
    now = _contents(folder)
    changed = sorted(name for name in now.keys() | before if now.get(name) != before.get(name))
    if changed:
        trial.wrong.append(f"{after} changed or left {', '.join(changed)}")
    left = [each.name for each in folder.iterdir() if each.is_dir() and each.name != "backups"]
    if left and not any(each.is_file() for name in left for each in (folder / name).rglob("*")):
        left = [name for name in left if name != "quarantine"]
    if left:
        trial.wrong.append(f"{after} left the folders {', '.join(left)}")


@contextlib.contextmanager
def _answered(trial: Trial, verb: str) -> Iterator[None]:
    """Take note of what comes out of the verb: an error of ours is an answer, others are wrong."""
    try:
        yield
    except QueueError as error:
        trial.answers.append(f"{verb}: {type(error).__name__}")
        if isinstance(error, OperationTimeoutError):
            trial.answers.append("a deadline passed")
        if not str(error).isprintable():
            trial.wrong.append(f"{verb}: its message holds control characters")
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error}"[:_SHOWN_MOST]
        trial.wrong.append(f"{verb}: {said} at {Path(where.filename).name}:{where.lineno}")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Have the core look at files in this process, and sync nothing, for the body."""

    def run(arguments: list[str], _database: Path, _timeout_s: float) -> Any:  # noqa: ANN401 - JSON
        path = Path(arguments[1])
        try:
            if arguments[0] == "look":
                answer = observer._look(path)
            else:
                answer = observer._copy(path, Path(arguments[2]))
        except Exception as error:
            raise DatabaseIOError(path=str(path), detail=str(error)) from error
        return json.loads(json.dumps(answer))

    changes: list[tuple[object, str, Callable[..., object]]] = [
        (observer, "_run", run),
        # Nobody else knows of these files, and asking every process takes longer than all the rest.
        (observer, "find_holders", lambda _database: (False, [])),
        (observer, "find_writer", lambda _database: None),
        (primitives, "sync", lambda _descriptor: None),
    ]
    before = [(holder, name, getattr(holder, name)) for holder, name, _make in changes]
    for holder, name, make in changes:
        setattr(holder, name, make)
    try:
        yield
    finally:
        for holder, name, right in before:
            setattr(holder, name, right)


def limit_memory(megabytes: int) -> None:
    """Let this process have no more memory than that, where the system can say so."""
    if sys.platform != "win32":
        most = megabytes << 20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
