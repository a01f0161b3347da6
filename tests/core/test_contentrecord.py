"""The record file: believed whole or not at all, and never half written."""

import hashlib
import json

import pytest
from contents import NOW_MS, check, finish, run, told

from core import ManualClock, files
from core.contentrecord import (
    Entry,
    Head,
    OpenEntry,
    RecordReader,
    UnreadableRecordError,
    is_record,
    read_head,
    record_path,
    writing,
)
from core.errors import ContentRecordError
from core.ranges import Ranges

HEAD = Head("/q.db", "", NOW_MS, "then", 7, ("a", "b"), "probe")


@pytest.fixture
def clock():
    """Return a clock that stands still."""
    return ManualClock(NOW_MS)


@pytest.fixture
def record(tmp_path):
    """Return the path that a record is to have, and a file that it is like."""
    (tmp_path / "like").touch()
    return tmp_path / "record"


def entry(number):
    """Return an entry that is like no other."""
    return Entry(number, number.to_bytes(8, "little"), number % 2**32, bool(number % 2))


def write(path, entries, opened=()):
    """Write a record with these entries."""
    with writing(path, HEAD, like=path.parent / "like") as writer:
        for each in entries:
            writer.add(each)
        for each in opened:
            writer.add_open(each)


def read(path):
    """Return all that is in a record."""
    reader = RecordReader(path)
    try:
        return reader.head, list(reader.entries())
    finally:
        reader.close()


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("step", [1, 3])
def test_what_was_written_is_read_in_order(record, count, step):
    """Entries of both sorts come back as they were, by their ids, however many there are."""
    ids = range(-5, count * step - 5, step)
    opened = [
        OpenEntry(entry(10_000 + number), "missing", NOW_MS, NOW_MS + 1) for number in range(600)
    ]
    opened.insert(0, OpenEntry(entry(6)._replace(id=-6), "changed", 1, 2))
    write(record, [entry(abs(number))._replace(id=number) for number in ids], opened)

    head, entries = read(record)

    assert (head, len(entries)) == (HEAD, count + 601)
    assert entries[0] == opened[0]
    assert entries[count + 1 :] == opened[1:]
    assert [each.id for each in entries[1 : count + 1]] == list(ids)
    assert all(each[1:] == entry(abs(each.id))[1:] for each in entries[1 : count + 1])


def test_record_that_is_not_whole_is_never_there(record):
    """What stops the writing leaves the record of before, and no draft."""
    write(record, [entry(1)])
    before = record.read_bytes()

    with pytest.raises(AttributeError):
        write(record, [entry(2), None])

    assert record.read_bytes() == before
    assert sorted(file.name for file in record.parent.iterdir()) == ["like", "record"]


def test_record_is_synced_before_it_takes_its_name(record, monkeypatch):
    """A power cut leaves the old record or the new one."""
    calls = []
    for name in ("write", "sync", "replace"):
        real = getattr(files.primitives, name)
        monkeypatch.setattr(
            files.primitives,
            name,
            lambda *args, real=real, name=name: (calls.append(name), real(*args))[1],
        )

    write(record, [entry(1)])

    assert calls[-3:] == ["sync", "replace", "sync"]
    assert set(calls[:-3]) == {"write"}


def test_every_turned_bit_is_told_as_damage_to_the_record(queue_path, clock):
    """Wherever the record is hurt, that is said, the record stays, and the queue is not blamed."""
    finish(queue_path, 3)
    check(queue_path, clock)
    run(queue_path, "DELETE FROM task_queue WHERE id = 2")
    assert told(check(queue_path, clock)) == {"missing": [(2, 2)]}
    path = record_path(queue_path)
    sound = path.read_bytes()
    for place in range(len(sound)):
        hurt = bytearray(sound)
        hurt[place] ^= 1 << place % 8
        path.write_bytes(hurt)
        with pytest.raises(UnreadableRecordError):
            read(path)
        if place % 97 == 0:
            with pytest.raises(ContentRecordError, match="says nothing of the queue"):
                check(queue_path, clock)
            assert path.read_bytes() == hurt


def test_record_that_was_cut_off_or_grew_is_told(record):
    """A record lacks nothing and has nothing more, or it is not believed."""
    write(record, map(entry, range(1200)))
    sound = record.read_bytes()
    lines = sound.splitlines(keepends=True)
    others = [sound[:length] for length in range(0, len(sound), 401)]
    others += [b"".join(lines[:1] + lines[2:]), b"".join([*lines[:2], lines[1], *lines[2:]])]
    others += [sound[:-1], sound + b"\n", sound + lines[1], b"".join(lines[::-1])]
    for other in others:
        record.write_bytes(other)
        with pytest.raises(UnreadableRecordError):
            read(record)


@pytest.mark.parametrize("content", [b"", b"7\n", b"{}\n", b"\xff\n", b"[" * 100_000, b"x" * 2**21])
def test_what_never_was_a_record_is_refused_and_never_overwritten(queue_path, clock, content):
    """A file that somebody named by mistake stays, also where it is said to accept."""
    path = queue_path.parent / "precious"
    path.write_bytes(content)

    for accept in (False, True):
        with pytest.raises(ContentRecordError):
            check(queue_path, clock, record=path, accept=accept)

    assert path.read_bytes() == content
    assert not is_record(path)


def test_damaged_record_is_recorded_anew_where_that_is_accepted(queue_path, clock):
    """A record that is hurt behind its beginning can be replaced by one who says so."""
    finish(queue_path, 3)
    check(queue_path, clock)
    path = record_path(queue_path)
    path.write_bytes(path.read_bytes()[:-10])

    result = check(queue_path, clock, accept=True)

    assert (result.ok, result.why_not) == (True, "the record could not be used")
    assert check(queue_path, clock).tally.compared == 3


def sealed(*lines):
    """Return a record of these lines whose digest fits: what only a program can write."""
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    return body + f'{{"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()


@pytest.mark.parametrize(
    "line",
    [
        {"ids": [[1, 2]], "digests": "AAAA"},
        {"ids": [[1, 9]], "digests": ""},
        {"ids": 7, "digests": ""},
        {"ids": [[1, 1]]},
        {"open": [[1, "zz", 1, True, "missing", 1, 1]]},
        {"open": [[1]]},
    ],
)
def test_record_that_no_version_of_this_program_wrote_is_told(record, queue_path, clock, line):
    """A digest that fits does not make sense of what it is the digest of."""
    finish(queue_path, 3)
    check(queue_path, clock)
    head = json.loads(record_path(queue_path).read_bytes().splitlines()[0])
    record.write_bytes(sealed(head))
    assert check(queue_path, clock, record=record, only_compare=True).ok
    record.write_bytes(sealed(head, line))

    with pytest.raises(ContentRecordError):
        check(queue_path, clock, record=record)


def test_head_is_read_alone(record):
    """Age and owner are had without reading all; a missing record is none."""
    assert read_head(record) is None
    write(record, [entry(1)])

    assert read_head(record) == HEAD


@pytest.mark.parametrize("change", [{"format": 2}, {"record": "x"}, {"columns": None}, {"more": 1}])
def test_head_of_another_format_is_told(record, change):
    """A record of a later version is not guessed at."""
    write(record, [entry(1)])
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(json.dumps({**json.loads(lines[0]), **change}).encode() + b"\n")

    with pytest.raises(UnreadableRecordError):
        read_head(record)


# -- ranges ----------------------------------------------------------------------------------


def test_numbers_are_told_as_the_ranges_that_they_make():
    """Neighbours become one range; beyond the first ten only their number is told."""
    ranges = Ranges()
    for number in (7, 40, 41, 42, *range(50, 90, 2)):
        ranges.add(number)

    assert str(ranges) == "7, 40-42, 50, 52, 54, 56, 58, 60, 62, 64 and 12 more"
    assert ranges.count == 24


def test_ranges_are_bounded():
    """However many there are, only the first thousand ranges are kept, and all are counted."""
    ranges = Ranges()
    for number in range(0, 6000, 2):
        ranges.add(number)

    assert (len(ranges.ranges), ranges.count) == (1000, 3000)
    assert ranges.ranges[-1] == (1998, 1998)
