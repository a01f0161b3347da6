"""Ways through the files: written past SQLite, copied, deleted, or put beside one another.

Sections 1, 4 and 5 of https://www.sqlite.org/howtocorrupt.html.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.paths import shm_of, sides, wal_of
from harness.outcome import Inconclusive
from harness.ways.programs import said
from harness.ways.session import Session, session
from harness.ways.stage import EMPTY, FILLING, INSERT, Stage, new_stage
from harness.ways.way import Way

PAGE_BYTES = 4096
_PAGE = 4
_LATER = tuple(f"later-{number}" for number in range(60))
_MANY = tuple(f"many-{number}" for number in range(200))
_IN_LOG = 20
_WAL_HEADER_BYTES, _FRAME_BYTES = 32, 24 + PAGE_BYTES


# -- hot journals --------------------------------------------------------------------------------


def spill(writer: Session) -> None:
    """Have it change every task and add some, half of which reaches the file before any commit.

    With a page cache of a few pages SQLite writes before the commit
    (https://www.sqlite.org/pragma.html#pragma_cache_spill).
    """
    for statement in ("PRAGMA cache_size = 2", "PRAGMA cache_spill = 1", "BEGIN IMMEDIATE"):
        writer.sql(statement)
    writer.sql("UPDATE task_queue SET type = 'changed', payload = json_object('now', ?)", FILLING)
    for key in _LATER:
        writer.sql(INSERT, EMPTY, key)


def die_in_transaction(stage: Stage) -> Path:
    """Leave a hot journal beside the queue; return its path."""
    writer = Session(stage.path)
    spill(writer)
    writer.kill()
    journal = sides(stage.path)[2]
    if not journal.exists() or not journal.stat().st_size:
        raise Inconclusive("a writer that was killed in its transaction left no journal")
    return journal


def die_with_log(stage: Stage) -> None:
    """Leave committed tasks in the -wal of a writer that was killed."""
    writer = Session(stage.path)
    stage.put(writer, [f"in-log-{number}" for number in range(_IN_LOG)])
    writer.kill()
    if not wal_of(stage.path).exists():
        raise Inconclusive("a writer that was killed left no -wal")


def _delete_journal(stage: Stage) -> str:
    journal = die_in_transaction(stage)
    size = journal.stat().st_size
    journal.unlink()
    return f"a journal of {size} bytes deleted"


def _delete_log(stage: Stage) -> str:
    die_with_log(stage)
    wal_of(stage.path).unlink()
    return f"the -wal with {_IN_LOG} tasks deleted"


def _delete_log_and_index(stage: Stage) -> str:
    evidence = _delete_log(stage)
    shm_of(stage.path).unlink()
    return f"{evidence}, its -shm with it"


def _cut_log(stage: Stage) -> str:
    die_with_log(stage)
    frames = (wal_of(stage.path).stat().st_size - _WAL_HEADER_BYTES) // _FRAME_BYTES
    os.truncate(wal_of(stage.path), _WAL_HEADER_BYTES + frames // 2 * _FRAME_BYTES)
    return f"{frames // 2} of {frames} frames of the -wal left"


# -- journals of others --------------------------------------------------------------------------


def _bigger(stage: Stage) -> Stage:
    """Return another queue, with more tasks and others."""
    other = new_stage(stage.path.parent / "other" / stage.path.name, journal="delete")
    _add_many(other)
    return other


def _add_many(stage: Stage) -> None:
    with session(stage.path) as writer:
        # No power is cut here.
        writer.sql("PRAGMA synchronous = OFF")
        stage.put(writer, _MANY)


def _swap_journals(stage: Stage) -> str:
    """Make this queue the bigger one, so that the journal of the smaller one cuts it off."""
    smaller = new_stage(stage.path.parent / "smaller" / stage.path.name, journal="delete")
    _add_many(stage)
    here, there = die_in_transaction(stage), die_in_transaction(smaller)
    content = here.read_bytes()
    here.write_bytes(there.read_bytes())
    there.write_bytes(content)
    return f"journals of {len(content)} and {here.stat().st_size} bytes swapped"


def _overwrite_journal(stage: Stage) -> str:
    other = die_in_transaction(_bigger(stage))
    journal = die_in_transaction(stage)
    journal.write_bytes(other.read_bytes())
    return f"a journal overwritten by one of {journal.stat().st_size} bytes"


def _move_journal(stage: Stage) -> str:
    """Give a sound queue the journal of another, as a script does that names files wrongly."""
    other = die_in_transaction(_bigger(stage))
    shutil.move(other, sides(stage.path)[2])
    return "the journal of another queue moved beside this one"


def _overwrite_database(stage: Stage) -> str:
    other = _bigger(stage)
    die_in_transaction(stage)
    shutil.copyfile(other.path, stage.path)
    # What is restored so is to be there afterwards.
    stage.acknowledged = dict(other.acknowledged)
    return "another database copied over this one, the hot journal left beside it"


# -- written past SQLite -------------------------------------------------------------------------


def _write_over(stage: Stage) -> str:
    """Write into the file while a worker has it open."""
    with session(stage.path) as worker:
        worker.sql("SELECT count(*) FROM task_queue")
        with stage.path.open("r+b") as file:
            file.seek(_PAGE * PAGE_BYTES)
            file.write(b"not a page of yours\n" * 200)
        worker.tell("close")
    return f"page {_PAGE + 1} written over by a program that is not SQLite"


def _write_to_closed_descriptor(stage: Stage) -> str:
    (facts,) = said("stale_descriptor.py", stage.path, stage.path.with_name("log"), "log")
    if not facts["is_the_queue"]:
        raise Inconclusive(f"descriptor {facts['descriptor']} was not used again for the queue")
    return f"descriptor {facts['descriptor']} led to the queue when its log was written"


def _write_into_mapping(stage: Stage) -> str:
    (facts,) = said("stray_pointer.py", stage.path, _PAGE * PAGE_BYTES)
    return f"{facts['written']} bytes written through a mapping of the file"


def _change_memory(stage: Stage) -> str:
    """Change a page in a worker's cache that it is about to write for another reason."""
    (facts,) = said("changed_memory.py", stage.path)
    if not facts["changed"]:
        raise Inconclusive("no copy of the page was found in the worker's memory")
    return f"{facts['changed']} places in the memory of a worker changed, then it committed"


def _lose_block(stage: Stage) -> str:
    """Zero one block of the file that nobody has open, as a flash controller does."""
    with stage.path.open("r+b") as file:
        file.seek(_PAGE * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    return f"block {_PAGE} of the file reads as zeros"


def _flip_payload_bit(stage: Stage) -> str:
    content = stage.path.read_bytes()
    at = content.find(FILLING.encode())
    if at < 0:
        raise Inconclusive("no payload lies in one piece in the file")
    with _changed(stage.path) as changed:
        changed[at + len(FILLING) // 2] ^= 1
    return f"one bit at {at + len(FILLING) // 2}, inside a payload"


@contextmanager
def _changed(path: Path) -> Iterator[bytearray]:
    content = bytearray(path.read_bytes())
    yield content
    path.write_bytes(content)


WAYS = (
    Way(
        id="1-written-over",
        asked="another program writes into the file while a worker has it open",
        happens=_write_over,
    ),
    Way(
        id="1.1-closed-descriptor",
        asked="a thread writes its log to a descriptor that is the queue's by now",
        happens=_write_to_closed_descriptor,
        machine=("posix",),
    ),
    Way(
        id="1.3-journal-deleted",
        asked="the journal of a dead writer is deleted",
        happens=_delete_journal,
        journal="delete",
    ),
    Way(
        id="1.3-log-deleted",
        asked="the -wal of a dead writer is deleted",
        happens=_delete_log,
        found_by=("wal.index",),
    ),
    Way(
        id="1.3-log-cut",
        asked="the -wal of a dead writer is cut off between two frames",
        happens=_cut_log,
        found_by=("wal.index",),
    ),
    Way(
        id="1.3-log-and-index-deleted",
        asked="the -wal of a dead writer is deleted, and its -shm",
        happens=_delete_log_and_index,
        found_by=(),
    ),
    Way(
        id="1.4-journals-swapped",
        asked="two queues get each other's hot journals",
        happens=_swap_journals,
        journal="delete",
    ),
    Way(
        id="1.4-journal-overwritten",
        asked="a hot journal is overwritten by that of a bigger queue",
        happens=_overwrite_journal,
        journal="delete",
        found_by=(),
    ),
    Way(
        id="1.4-journal-moved",
        asked="a sound queue gets the hot journal of another",
        happens=_move_journal,
        journal="delete",
        found_by=(),
    ),
    Way(
        id="1.4-database-overwritten",
        asked="another database is copied over one with a hot journal",
        happens=_overwrite_database,
        journal="delete",
    ),
    Way(
        id="4-flipped-bit",
        asked="one bit inside a payload changes on the disk",
        happens=_flip_payload_bit,
        found_by=(),
    ),
    Way(
        id="4.1-lost-block",
        asked="a block of the file that nobody has open reads as zeros",
        happens=_lose_block,
    ),
    Way(
        id="5-stray-pointer",
        asked="a stray pointer writes into memory that the file is mapped to",
        happens=_write_into_mapping,
    ),
    Way(
        id="5-changed-memory",
        asked="a bit in the page cache of a worker changes before it commits",
        happens=_change_memory,
        found_by=(),
        machine=("linux",),
    ),
)
