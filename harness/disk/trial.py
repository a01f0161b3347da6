"""One verb, struck at one call, and judged when the fault is gone."""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import apsw

from core.connection import Connect, Connection
from core.errors import BackupUnsureError, CommitUnknownError, InterruptedRestoreError, QueueError
from core.intent import intent_path
from harness.disk.faulted import DATABASE, Bench, StandingClock, Verb, make_queue
from harness.disk.picture import Picture, names_in, problems_of, take_picture
from harness.leftovers import Contents, lay_out, read_folder

_UNKNOWN = (BackupUnsureError, CommitUnknownError, InterruptedRestoreError)


class Told(StrEnum):
    """What the caller of a verb is told."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    RAW = "no error of the core's"


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What became of one run of a verb.

    Attributes:
        struck: the call that was struck; empty where none was.
        told: what the caller was told.
        said: the error's name and words.
        state: old, new, or what is between.
        wrong: what may not be; empty where the verb survived.
    """

    struck: str
    told: Told
    said: str
    state: str
    wrong: list[str] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


class Means(Protocol):
    """How faults are brought about."""

    connect: Connect
    struck: str
    counts: dict[str, int]

    def open_connections(self) -> int:
        """Return how many connections of its door are open."""

    def arming(self, kind: str, mode: str, at: int) -> AbstractContextManager[None]:
        """Have the fault strike in the body."""


class Stage:
    """The queue on which verbs are struck, laid out anew for each run.

    Args:
        folder: an empty one; nobody else has it.
        means: of striking.

    Attributes:
        folder: as given.
        means: as given.
    """

    def __init__(self, folder: Path, means: Means) -> None:
        self.folder = folder
        self.means = means
        bench = self._bench()
        make_queue(bench)
        self._moment_ms = bench.clock.moment_ms
        self._template: Contents = read_folder(folder, bench.path)

    def lay_out(self) -> Bench:
        """Return the queue as it is made, whatever was there before."""
        lay_out(self._template, self.folder)
        bench = self._bench()
        bench.clock = StandingClock(self._moment_ms)
        return bench

    def _bench(self) -> Bench:
        return Bench(self.folder / DATABASE, self.means.connect)


class Trial:
    """Strikes one verb again and again, each time on the same queue.

    Args:
        stage: on which it is struck.
        verb: that is struck.

    Attributes:
        counts: its calls of each kind, where nothing strikes.
    """

    def __init__(self, stage: Stage, verb: Verb) -> None:
        self._stage = stage
        self._folder = stage.folder
        self._verb = verb
        self._means = stage.means
        self.counts: dict[str, int] = {}
        self._old, self._new, self._right = self._control()

    def strike(self, kind: str, mode: str, at: int) -> Ruling:
        """Return what became of the verb that is struck at call ``at`` of this kind."""
        with self._begun() as bench:
            beginning = self._means.open_connections()
            with self._means.arming(kind, mode, at):
                told, said, answer = self._told(bench, kind)
            wrong = [said] if told is Told.RAW else []
            if self._means.open_connections() > beginning:
                wrong.append("it leaves a connection open")
            found = self._look(bench)
            state = self._state(found)
            wrong += self._judged(told, state, found, answer)
            wrong += self._done_again(bench, state)
        # Where a limit strikes, and no call, only what is said of it shows that it does.
        struck = self._means.struck or (said and f"{kind} {at}")
        return Ruling(struck=struck, told=told, said=said, state=state, wrong=wrong)

    # -- running it --------------------------------------------------------------------------

    @contextlib.contextmanager
    def _begun(self) -> Iterator[Bench]:
        bench = self._stage.lay_out()
        try:
            self._verb.begin(bench)
            yield bench
        finally:
            bench.close()

    def _control(self) -> tuple[Picture, Picture, object]:
        """Return what is there before and after a run without a fault, and its answer."""
        with self._begun() as bench:
            old = self._look(bench)
            with self._means.arming("", "once", 0):
                right = self._verb.run(bench)
            self.counts = self._means.counts
            new = self._look(bench)
            self._allowed = names_in(self._folder)
            if not self._verb.once:
                (self._verb.again or self._verb.run)(bench)
            self._allowed |= names_in(self._folder)
        return old, new, right

    def _told(self, bench: Bench, kind: str) -> tuple[Told, str, object]:
        try:
            answer = self._verb.run(bench)
        except QueueError as error:
            told = Told.UNKNOWN if isinstance(error, _UNKNOWN) else Told.FAILED
            return told, _said(error), None
        except KeyboardInterrupt as error:
            return (Told.FAILED if kind == "interrupt" else Told.RAW), _said(error), None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no error of the core's
            return Told.RAW, _said(error), None
        return Told.DONE, "", answer

    # -- judging it --------------------------------------------------------------------------

    def _look(self, bench: Bench) -> Picture:
        if intent_path(bench.path).exists():
            # The next opening ends a restore that was cut off.
            with contextlib.suppress(QueueError):
                bench.opened().close()
        return take_picture(bench.path, self._means.connect)

    def _state(self, found: Picture) -> str:
        if self._old == self._new:
            return "same" if found == self._new else "other"
        return {self._old: "old", self._new: "new"}.get(found, "between")

    def _judged(self, told: Told, state: str, found: Picture, answer: object) -> list[str]:
        wrong = []
        if told is Told.DONE:
            wrong += self._judged_done(state, answer)
        if told is Told.FAILED and self._verb.whole and state not in ("old", "same"):
            wrong.append(f"it says that it is not done, and the state is {state}")
        if state in ("between", "other") and (self._verb.whole or not self._is_part(found)):
            wrong.append(f"what it leaves is neither old nor new: {self._difference(found)}")
        if unsound := found.unsound - self._old.unsound:
            wrong.append(f"{sorted(unsound)} is listed, and not sound")
        if not found.content.startswith("unopened"):
            wrong += problems_of(self._folder / DATABASE, self._means.connect)
        return wrong

    def _judged_done(self, state: str, answer: object) -> list[str]:
        if answer != self._right:
            if self._verb.cautious(self._right, answer):
                return []
            return [f"it answers {answer}, and {self._right} is right"]
        if state not in ("new", "same"):
            return [f"it says that it is done, and the state is {state}"]
        return []

    def _is_part(self, found: Picture) -> bool:
        """Return whether a part of what is to be done is done, and nothing is lost by that."""
        kept = self._new.backups <= found.backups <= self._old.backups
        whole = found.tasks | found.archived >= self._old.tasks | self._old.archived
        return kept and whole and self._new.tasks <= found.tasks

    def _difference(self, found: Picture) -> str:
        return "; ".join(
            f"{name} is {value}, was {asdict(self._old)[name]}, was to be {asdict(self._new)[name]}"
            for name, value in asdict(found).items()
            if value not in (asdict(self._old)[name], asdict(self._new)[name])
        )

    def _done_again(self, bench: Bench, state: str) -> list[str]:
        if self._verb.once and state == "new":
            return []
        try:
            (self._verb.again or self._verb.run)(bench)
        except Exception as error:  # noqa: BLE001 - whatever it is, it cannot be done again
            return [f"it cannot be done again: {_said(error)}"]
        bench.close()
        wrong = problems_of(bench.path, self._means.connect)
        found = self._look(bench)
        if state != "new" and found != self._new:
            wrong.append(f"done again, it leaves something else: {self._difference(found)}")
        left = names_in(self._folder) - self._allowed
        return wrong + [f"{name} is left behind" for name in left]


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class CountingDoor:
    """A door that knows which of its connections are open.

    Args:
        door: behind it.
    """

    def __init__(self, door: Connect) -> None:
        self._door = door
        self.open: list[Connection] = []

    def __call__(self, uri: str, *, timeout_s: float) -> Connection:
        """Return a connection of the door behind."""
        connection = self._door(uri, timeout_s=timeout_s)
        self.open.append(connection)
        return connection

    def count(self) -> int:
        """Return how many are open."""
        self.open = [each for each in self.open if _is_open(each)]
        return len(self.open)


def _is_open(connection: Connection) -> bool:
    try:
        return connection.in_transaction in (True, False)
    except (sqlite3.Error, apsw.Error):
        return False
