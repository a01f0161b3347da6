"""The record of what the finished tasks held: a file outside of the database.

It is text, one JSON object a line: the head, blocks of tasks that are as they were recorded, those
that are not, and a last line with the digest of all before. It is written anew as a whole and takes
its name when it is synced, and it is believed only where its own digest fits: damage to it is never
taken for damage to the queue.
"""

import base64
import contextlib
import hashlib
import heapq
import json
import struct
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

from . import files

FORMAT = 1
SUFFIX = "-content.jsonl"
_KIND = "queuedrill content record"
_BEGINNING = f'{{"record":"{_KIND}"'.encode()
_ENTRY = struct.Struct("<8sIB")
_BLOCK_TASKS = 1000
_OPEN_TASKS = 500
_LINE_MOST_BYTES = 1 << 20
_NUMBER_MOST = 2**63

Kind = Literal["changed", "reverted", "rewritten", "reopened", "missing"]
"""What became of a task that is not as it was recorded (see ``content.py``)."""
KINDS: tuple[Kind, ...] = get_args(Kind)


class UnreadableRecordError(ValueError):
    """The record is there and cannot be used, which is not the same as none."""


class Entry(NamedTuple):
    """What is recorded of one task.

    Attributes:
        id: the task.
        digest: of its content.
        touched: checksum of its ``updated_at_utc``.
        dead: whether it was in ``dead_letter``; else it was completed.
    """

    id: int
    digest: bytes
    touched: int
    dead: bool


class OpenEntry(NamedTuple):
    """What is recorded of a task that was not as recorded when it was last looked at.

    Attributes:
        entry: what it was when it was as recorded.
        kind: what was the matter with it.
        since_ms: when it was last as recorded, UTC milliseconds.
        seen_ms: when it was first seen to differ, UTC milliseconds.
    """

    entry: Entry
    kind: Kind
    since_ms: int
    seen_ms: int


@dataclass(frozen=True)
class Head:
    """What a record says of itself.

    Attributes:
        source: real path of the queue.
        life: id of the restore that the queue's content came from, "" where there was none.
        recorded_ms: when it was taken, UTC milliseconds.
        recorded_utc: the same for people.
        sequence: the highest id that the queue had given by then.
        columns: the digests are of these.
        probe: digest of known values.
    """

    source: str
    life: str
    recorded_ms: int
    recorded_utc: str
    sequence: int
    columns: tuple[str, ...]
    probe: str


def record_path(database: Path) -> Path:
    """Return where the queue's record is unless told otherwise.

    Beside the database, as the lock of its maintenance is: there every look at the queue finds it
    without being told, and it moves with the queue. The backup folder may be another each time.
    """
    return database.with_name(database.name + SUFFIX)


# -- reading ---------------------------------------------------------------------------------


def read_head(path: Path) -> Head | None:
    """Return the head of the record, whose digest is not looked at; None where there is none.

    Raises:
        UnreadableRecordError: it is no record, or one of a newer format.
        OSError: the system does not read it now.
    """
    try:
        with files.open_regular(path) as file:
            return _head(file.readline(_LINE_MOST_BYTES))
    except FileNotFoundError:
        return None


def is_record(path: Path) -> bool:
    """Return whether the file begins as a record does, however damaged it is."""
    with files.open_regular(path) as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


class RecordReader:
    """A record, open, whose digest fits.

    Args:
        path: the record.

    Raises:
        FileNotFoundError: there is none.
        UnreadableRecordError: it is damaged, or no record at all.
        OSError: the system does not read it now.

    Attributes:
        head: what it says of itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = files.open_regular(path)
        try:
            _check_digest(self._file)
            self._file.seek(0)
            self.head = _head(self._file.readline(_LINE_MOST_BYTES))
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def entries(self) -> Generator[Entry | OpenEntry]:
        """Yield what is recorded, in the order of the tasks' ids.

        Raises:
            UnreadableRecordError: it is not what this program writes.
        """
        with files.open_regular(self.path) as other:
            try:
                both: tuple[Iterator[Entry | OpenEntry], ...] = (_sound(self._file), _open(other))
                yield from heapq.merge(*both, key=task_id)
            except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
                raise UnreadableRecordError(f"{self.path.name}: {error}") from error


def task_id(entry: Entry | OpenEntry) -> int:
    """Return the id of the task that the entry is about."""
    return entry.id if isinstance(entry, Entry) else entry.entry.id


def _check_digest(file: BinaryIO) -> None:
    """Return if all before the last line is as it was written; that one holds nothing else."""
    running = hashlib.sha256()
    last = b""
    for line in iter(lambda: file.readline(_LINE_MOST_BYTES), b""):
        running.update(last)
        last = line
    if last != _line({"sha256": running.hexdigest()}):
        raise UnreadableRecordError("its digest does not fit: it was cut off, changed or damaged")


def _line(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def _head(line: bytes) -> Head:
    facts = _facts(line)
    if facts.pop("record", None) != _KIND:
        raise UnreadableRecordError("it is no content record")
    if facts.pop("format", None) != FORMAT:
        raise UnreadableRecordError(f"its format is not {FORMAT}, the one that is known")
    try:
        head = Head(**{**facts, "columns": tuple(facts["columns"])})
    except (KeyError, TypeError) as error:
        raise UnreadableRecordError(f"its head is not whole ({error})") from error
    texts = (head.source, head.life, head.recorded_utc, head.probe, *head.columns)
    moments = (head.recorded_ms, head.sequence)
    if not all(isinstance(text, str) for text in texts) or not all(map(_is_number, moments)):
        raise UnreadableRecordError("its head holds what no record does")
    return head


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _NUMBER_MOST


def _facts(line: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecordError(f"a line of it cannot be read ({error})") from error
    if not isinstance(facts, dict):
        raise UnreadableRecordError("a line of it is no object")
    return facts


def _lines(file: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    start = f'{{"{name}"'.encode()
    for line in iter(lambda: file.readline(_LINE_MOST_BYTES), b""):
        if line.startswith(start):
            yield json.loads(line)


def _sound(file: BinaryIO) -> Iterator[Entry]:
    for block in _lines(file, "ids"):
        ids = (number for first, last in block["ids"] for number in range(first, last + 1))
        entries = _ENTRY.iter_unpack(base64.b64decode(block["digests"], validate=True))
        for number, (digest, touched, dead) in zip(ids, entries, strict=True):
            yield Entry(number, digest, touched, bool(dead))


def _open(file: BinaryIO) -> Iterator[OpenEntry]:
    for line in _lines(file, "open"):
        for number, digest, touched, dead, kind, since_ms, seen_ms in line["open"]:
            entry = Entry(number, bytes.fromhex(digest), touched, dead)
            yield OpenEntry(entry, kind, since_ms, seen_ms)


# -- writing ---------------------------------------------------------------------------------


@contextlib.contextmanager
def writing(path: Path, head: Head, *, like: Path) -> Iterator["RecordWriter"]:
    """Put a new record in the place of what is there, whole or not at all.

    Args:
        path: of the record.
        head: what it says of itself.
        like: the database, whose owner and mode it gets.

    Raises:
        OSError: it could not be written; what was there is there still.
    """
    with files.replacing(path, like=like) as write:
        writer = RecordWriter(write)
        writer.begin(head)
        yield writer
        writer.end()


@dataclass
class RecordWriter:
    """Takes the entries of a record, each sort in the order of the ids."""

    write: Any
    _digest: Any = field(default_factory=hashlib.sha256)
    _runs: list[list[int]] = field(default_factory=list)
    _packed: list[bytes] = field(default_factory=list)
    _open: list[OpenEntry] = field(default_factory=list)

    def begin(self, head: Head) -> None:
        """Write the head."""
        self._add({"record": _KIND, "format": FORMAT, **asdict(head)})

    def add(self, entry: Entry) -> None:
        """Take a task that is as recorded."""
        if self._runs and self._runs[-1][1] == entry.id - 1:
            self._runs[-1][1] = entry.id
        else:
            self._runs.append([entry.id, entry.id])
        self._packed.append(_ENTRY.pack(entry.digest, entry.touched, entry.dead))
        if len(self._packed) == _BLOCK_TASKS:
            self._flush()

    def add_open(self, entry: OpenEntry) -> None:
        """Take a task that is not as recorded."""
        self._open.append(entry)
        if len(self._open) == _OPEN_TASKS:
            self._flush_open()

    def end(self) -> None:
        """Write what is left, and the digest of all."""
        self._flush()
        self._flush_open()
        self._add({"sha256": self._digest.hexdigest()})

    def _flush(self) -> None:
        if self._packed:
            digests = base64.b64encode(b"".join(self._packed)).decode()
            self._add({"ids": self._runs, "digests": digests})
            self._runs, self._packed = [], []

    def _flush_open(self) -> None:
        if self._open:
            rows = [
                [entry.id, entry.digest.hex(), entry.touched, entry.dead, kind, since_ms, seen_ms]
                for entry, kind, since_ms, seen_ms in self._open
            ]
            self._add({"open": rows})
            self._open = []

    def _add(self, facts: dict[str, Any]) -> None:
        line = _line(facts)
        self._digest.update(line)
        self.write(line)
