"""What a salvage brought back, of how much, and how far that is to be believed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .doubts import Doubt
from .treewalk import PageError

NO_TASK = "no-task"
"""Why a log row is set aside whose task is not in the queue; files have such without damage."""
Outcome = Literal["all", "part", "nothing"]
Witness = Literal["index", "entries", "sequence", "highest id", "backup"]


@dataclass(frozen=True)
class Expected:
    """How many tasks there were, as one witness has it.

    Attributes:
        witness: ``index`` (an index that could be read whole), ``entries`` (what is left of the
            indexes), ``sequence`` (ids that were ever given), ``highest id`` (of any row or
            entry), or ``backup`` (the newest one's manifest).
        tasks: how many.
        exact: whether there were that many; the others are bounds: at least so many by
            ``entries``, at most by ``sequence``, and as many as then by ``backup``.
    """

    witness: Witness
    tasks: int
    exact: bool


@dataclass(frozen=True)
class Ways:
    """How the rows of one table were found.

    Attributes:
        tree: on pages that the table leads to.
        loose: on pages that nothing leads to, since what did is lost.
        revived: on pages that the file counts as free, and proved alive by an index.
    """

    tree: int = 0
    loose: int = 0
    revived: int = 0


@dataclass(frozen=True)
class Log:
    """What lay beside the file.

    Attributes:
        kind: ``none``, ``wal``, ``journal``, or ``foreign-wal``: one beside a file whose header
            says that it has none, which is left out.
        frames: pages taken out of it.
        stranded_commits: transactions behind a damaged frame of a -wal.
        stranded_taken: whether they were taken.
        damage: of the -wal, as ``wal.WalWalk`` has it.
    """

    kind: Literal["none", "wal", "journal", "foreign-wal"]
    frames: int
    stranded_commits: int
    stranded_taken: bool
    damage: str


@dataclass(frozen=True)
class Compared:
    """The tasks that came back beside the newest backup's.

    Attributes:
        backup: path of the backup.
        same: tasks whose type, payload, key and creation are the same in both.
        only_there: tasks of the backup that did not come back.
        problem: why it could not be read, or "".
    """

    backup: Path
    same: int
    only_there: int
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class SalvageReport:
    """What came of a salvage.

    Attributes:
        damaged: the file that was read; it is as it was.
        out: the new queue, or None where nothing came back and none was made.
        tasks: how many tasks are in it.
        logs: how many log rows came back; each lease that was released has one more.
        workers: how many workers' entries.
        found: how the rows were found, by table.
        expected: how many tasks there were, by each witness, the best first.
        lost: tasks that the indexes know and that did not come back, by status (``unknown``
            where no entry tells).
        lost_ids: the first of their ids.
        doubts: tasks that came back and may not be as they were, by reason.
        doubtful: the first of them.
        in_doubt: how many tasks that is.
        set_aside: rows that were read and are kept outside of the queue, by reason.
        deleted: rows of tasks on free pages: they were deleted, and stay so.
        leases_released: tasks that were held, and are queued now.
        page_errors: the first pages, or parts of pages, that could not be read.
        error_count: how many there are.
        pages: pages that there are.
        pages_missing: pages that the file says it has and does not have.
        guessed: what stands in for what the header no longer says, in words.
        log: what lay beside the file.
        compared: the newest backup beside it, or None where there is none.
        seconds: how long it took.
    """

    damaged: Path
    out: Path | None
    tasks: int
    logs: int
    workers: int
    found: dict[str, Ways]
    expected: tuple[Expected, ...]
    lost: dict[str, int]
    lost_ids: tuple[int, ...]
    doubts: dict[str, int]
    doubtful: tuple[Doubt, ...]
    in_doubt: int
    set_aside: dict[str, int]
    deleted: int
    leases_released: int
    page_errors: tuple[PageError, ...]
    error_count: int
    pages: int
    pages_missing: int
    guessed: tuple[str, ...]
    log: Log
    compared: Compared | None
    seconds: float

    @property
    def expected_tasks(self) -> int | None:
        """How many tasks there were by the best witness, or None where nothing tells."""
        return self.expected[0].tasks if self.expected else None

    @property
    def outcome(self) -> Outcome:
        """Whether all tasks are back as they were, a part of them, or nothing.

        All is said only where an index that could be read whole proves the number, no task is in
        doubt, and no transaction of a -wal was left out.
        """
        if self.out is None:
            return "nothing"
        proved = bool(self.expected) and self.expected[0].exact
        whole = proved and self.tasks == self.expected_tasks and not self.in_doubt
        left_out = self.log.damage != "none" or self.log.kind == "foreign-wal"
        left_out = left_out or any(reason != NO_TASK for reason in self.set_aside)
        return "all" if whole and not left_out else "part"
