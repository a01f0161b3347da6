"""A disk that is full in earnest, with a little more room each time.

Claim: a verb that runs out of room anywhere is done, or says so and leaves nothing; a -shm that
cannot grow is no exception; with room again it does what it was asked.
Faults: little-room: a limit on the pages of the database (PRAGMA max_page_count), on the size of
every file of the process (RLIMIT_FSIZE) or on its open files (RLIMIT_NOFILE); a small disk of its
own (tmpfs), full or read-only.
Method: each verb is run with no room at all, with a page of room, with two, until one passes that
has all it needs. In between the limit is lifted: the file is checked and compared with that of a
run that had room, and the verb is run again.
A failure means: a full disk costs tasks, or is taken for success.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.disk.limits import HANDLES as FEW_HANDLES
from harness.disk.limits import PAGES, READ_ONLY, SIZE, SPACE
from harness.disk.striker import Mode
from harness.evidence import Evidence
from harness.iofaults import HANDLES, LIMITS, FaultedVerbs, Tally, faulted_verbs, on_small_disk
from harness.outcome import Inconclusive

pytestmark = [pytest.mark.scenario, pytest.mark.needs("core")]

MOST_LEVELS_COUNT = 600
GROWING = ("enqueue", "enqueue-journal")
WRITING = (
    *GROWING,
    *("claim", "complete", "fail", "open", "reclaim", "checkpoint", "vacuum", "archive"),
    *("backup", "restore", "restore-live", "restore-swap", "undo"),
)
OPENING = (
    *("open", "reclaim", "checkpoint", "vacuum", "archive", "backup", "prune"),
    *("restore", "restore-live", "restore-swap", "undo"),
)
# A disk on which a worker has a file open does not become read-only.
UNHELD = tuple(verb for verb in OPENING if verb not in ("checkpoint", "restore-live"))
# A checkpoint that has room for its -shm writes to pages that are there.
ON_SMALL_DISK = tuple(verb for verb in WRITING if verb != "checkpoint")


def test_database_that_may_not_grow_refuses_and_loses_nothing(
    scratch: Path, evidence: Evidence
) -> None:
    """A task that does not fit is refused as a whole, however little is missing."""
    with faulted_verbs(_new(scratch), LIMITS) as process:
        _require_survived(evidence, process, PAGES, GROWING)


@pytest.mark.machine("posix")
def test_files_that_may_not_grow_refuse_and_lose_nothing(scratch: Path, evidence: Evidence) -> None:
    """A -wal or a -shm that meets its limit stops the task, and no other is lost."""
    with faulted_verbs(_new(scratch), LIMITS) as process:
        _require_survived(evidence, process, SIZE, ("enqueue",))


@pytest.mark.machine("posix")
@pytest.mark.profile("nightly")
@pytest.mark.timeout(900)
def test_files_that_may_not_grow_stop_each_verb_and_lose_nothing(
    scratch: Path, evidence: Evidence
) -> None:
    """Whichever file meets its limit, each verb is done, or stopped without a trace."""
    with faulted_verbs(_new(scratch), LIMITS) as process:
        _require_survived(evidence, process, SIZE, WRITING)


@pytest.mark.machine("posix")
@pytest.mark.profile("nightly")
@pytest.mark.timeout(900)
def test_process_that_may_open_no_more_files_is_stopped_and_loses_nothing(
    scratch: Path, evidence: Evidence
) -> None:
    """With its file handles used up each verb is done, or stopped without a trace."""
    with faulted_verbs(_new(scratch), HANDLES) as process:
        _require_survived(evidence, process, FEW_HANDLES, OPENING)


@pytest.mark.machine("linux")
@pytest.mark.profile("nightly")
@pytest.mark.timeout(900)
def test_small_disk_without_room_stops_each_verb_and_loses_nothing(
    scratch: Path, evidence: Evidence
) -> None:
    """On a disk that is really full each verb is done, or stopped without a trace."""
    with _small_disk(scratch) as process:
        _require_survived(evidence, process, SPACE, ON_SMALL_DISK)


@pytest.mark.machine("linux")
@pytest.mark.profile("nightly")
def test_read_only_disk_stops_each_verb_and_loses_nothing(
    scratch: Path, evidence: Evidence
) -> None:
    """On a disk that may not be written to each verb says so; once it may, it is done."""
    with _small_disk(scratch) as process:
        _require_survived(evidence, process, READ_ONLY, UNHELD)


@contextlib.contextmanager
def _small_disk(scratch: Path) -> Iterator[FaultedVerbs]:
    disk = scratch / "disk"
    disk.mkdir()
    try:
        with on_small_disk(disk) as process:
            yield process
    except Inconclusive as error:
        raise Inconclusive(f"{error}; this user may have to be allowed to mount a disk") from error


def _require_survived(
    evidence: Evidence, process: FaultedVerbs, kind: str, verbs: Sequence[str]
) -> None:
    tallies = {
        verb: process.exhaust(verb, kind, Mode.ONCE, most=MOST_LEVELS_COUNT) for verb in verbs
    }
    unstruck = [verb for verb, tally in tallies.items() if not tally.struck]
    for verb, tally in tallies.items():
        evidence.measure(f"{verb}, {kind}", tally.survived, f"of {tally.struck} levels")
    struck = sum(tally.struck for tally in tallies.values())
    survived = sum(tally.survived for tally in tallies.values())
    evidence.fault(
        "little-room",
        f"{kind}, from nothing to enough, for {', '.join(verbs)}",
        not unstruck,
        f"{', '.join(unstruck)} had room at all levels" if unstruck else "each verb was stopped",
        f"{survived} of {struck} levels survived",
    )
    evidence.judged(f"{survived} of {struck} levels survived of: {kind}")
    evidence.limit("lost_levels", struck - survived, 0, "levels")
    bad = [run for tally in tallies.values() for run in _bad(tally)]
    evidence.require(not bad, f"{len(bad)} of {struck} levels went wrong: {bad[:1]}")


def _bad(tally: Tally) -> list[str]:
    return [str(run) for run in tally.bad]


def _new(scratch: Path) -> Path:
    folder = scratch / "struck"
    folder.mkdir()
    return folder
