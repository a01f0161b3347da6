"""The fuzzer makes the same files of the same number, and finds what it is there to find."""

import json
import os
import random
from pathlib import Path

import pytest

from core import files, observer, primitives
from core.errors import DatabaseIOError
from core.walsum import checksum
from harness.faults.helper import Helper
from harness.fuzz import __main__ as program
from harness.fuzz import hunt as hunting
from harness.fuzz import logs, trying
from harness.fuzz.cases import make_case
from harness.fuzz.hunt import Hunt, hunt
from harness.fuzz.stock import PAGE_SIZES, make_stock
from harness.fuzz.trying import Ground, Trial, alone

CASES_COUNT = 30


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Return the sound files, made once."""
    folder = tmp_path_factory.mktemp("stock")
    with alone():
        return make_stock(folder, folder / "place" / "queue.db")


def test_sound_files_come_to_no_wrong(tmp_path):
    """What is not made wrong is verified, restored, judged and opened."""
    with alone():
        ground = Ground(tmp_path)
        for sound in ground.stock:
            for case in (
                trying.Case(0, "backup", sound.database, sound.manifest),
                trying.Case(0, "queue", sound.under_wal, wal=sound.wal),
            ):
                trial = Trial(0, [])
                ground._clear()
                attempt = ground._attempt_backup if case.role == "backup" else ground._attempt_queue
                attempt(case, trial)

                assert trial.wrong == []
                assert {"restored", "opened"} & set(trial.answers), trial.answers


def test_one_number_makes_one_case(stock, tmp_path):
    """Whoever tries a number again has the same bytes, and its words say what was done."""
    made = [
        [make_case(number, stock, tmp_path / "scratch") for number in range(CASES_COUNT)]
        for _time in range(2)
    ]

    assert made[0] == made[1]
    assert {case.role for case in made[0]} == {"backup", "queue"}
    assert all(case.changes for case in made[0])
    assert sum(case.differs for case in made[0]) > CASES_COUNT * 0.8
    assert list(tmp_path.iterdir()) == []


def test_sound_files_have_pages_of_several_sizes(stock):
    """A file's header and its manifest say so."""
    for sound, size in zip(stock, PAGE_SIZES, strict=True):
        assert int.from_bytes(sound.database[16:18], "big") == size
        assert json.loads(sound.manifest)["page_size"] == size
        assert sound.wal


def test_forged_log_has_checksums_that_fit(stock):
    """SQLite would believe a header that was forged; a claim alone it would not."""
    for number in range(10):
        wal = bytearray(stock[0].wal)
        logs.forge(random.Random(number), wal)
        sums = checksum(bytes(wal[:24]), (0, 0), logs._order(wal))
        assert b"".join(each.to_bytes(4, "big") for each in sums) == bytes(wal[24:32])


# -- what it is there to find --------------------------------------------------------------------


def _first_backup(ground):
    return next(
        number
        for number in range(CASES_COUNT)
        if make_case(number, ground.stock, ground._scratch).role == "backup"
    )


def _breaks(monkeypatch, how):
    monkeypatch.setattr(trying.QueueBackup, "list_backups", how)


def test_error_that_is_none_of_ours_is_found(tmp_path, monkeypatch):
    """It is told with its place."""

    def fall(*_arguments, **_options):
        raise ZeroDivisionError("by nothing")

    with alone():
        ground = Ground(tmp_path)
        _breaks(monkeypatch, fall)
        trial = ground.attempt(_first_backup(ground))

    assert any("ZeroDivisionError: by nothing at test_fuzz.py" in each for each in trial.wrong)


def test_error_of_ours_is_an_answer(tmp_path, monkeypatch):
    """But for one whose message could write to a terminal."""

    def refuse(*_arguments, **_options):
        error = DatabaseIOError(path="x", detail="y")
        error.args = ("\x1b[2J",)
        raise error

    with alone():
        ground = Ground(tmp_path)
        _breaks(monkeypatch, refuse)
        trial = ground.attempt(_first_backup(ground))

    assert "list: DatabaseIOError" in trial.answers
    assert trial.wrong == ["list: its message holds control characters"]


def test_queue_that_is_changed_and_file_that_is_left_are_found(tmp_path, monkeypatch):
    """Both are told by name."""

    def leave(self, **_options):
        self.path.write_bytes(b"changed")
        self.path.with_name("left").touch()
        return []

    with alone():
        ground = Ground(tmp_path)
        _breaks(monkeypatch, leave)
        trial = ground.attempt(_first_backup(ground))

    assert any("changed or left left, queue.db" in each for each in trial.wrong), trial.wrong


def test_child_that_dies_or_stands_still_has_found_something(tmp_path, monkeypatch):
    """The next one goes on behind it, and the files are kept with the command to try them again."""
    lying = tmp_path / "lying.py"
    lying.write_text(
        "import json, os, pathlib, sys\n"
        "(pathlib.Path(sys.argv[1]) / 'place').mkdir()\n"
        "for line in sys.stdin:\n"
        "    number = int(line)\n"
        "    if number == 2: os._exit(9)\n"
        "    if number == 4: sys.stdin.read()\n"
        "    print(json.dumps(dict(number=number, changes=[], wrong=[], answers=['fine'],"
        " seconds=0.0)), flush=True)\n"
    )
    monkeypatch.setattr(hunting, "_PROGRAM", lying)
    monkeypatch.setattr("harness.faults.helper.TIMEOUT_S", 2.0)

    found = hunt(range(7), seconds=60, keep=tmp_path / "kept")

    assert (found.tried, found.answers["fine"]) == (7, 5)
    assert [trial.number for trial in found.found] == [2, 4]
    assert "exit status 9" in found.found[0].wrong[0]
    assert "--first 4 --count 1" in (tmp_path / "kept" / "4" / "replay.txt").read_text()


def test_hunt_ends_with_its_time():
    """No further case is begun."""
    found = hunt(range(10**9), seconds=0.0)

    assert found.tried == 1
    assert "1 files tried" in str(found)


def test_program_tells_what_it_found(monkeypatch, capsys):
    """Its exit status says whether that was anything."""
    bad = Hunt(tried=1, found=[Trial(7, ["a bit"], ["it fell"])])
    for found, status in ((bad, 1), (Hunt(tried=1), 0)):
        monkeypatch.setattr(program, "hunt", lambda *_given, found=found, **_options: found)
        monkeypatch.setattr("sys.argv", ["fuzz", "--count", "1"])

        assert program.main() == status

    assert "--first 7 --count 1" in capsys.readouterr().out


def test_core_is_as_it_was_when_the_fuzzer_has_ended():
    """What is put in its place, so that many files a second can be tried, is taken away again."""
    before = [observer._run, observer.find_holders, observer.find_writer, primitives.sync]
    with alone():
        assert primitives.sync is not before[-1]
        assert files.primitives.sync is primitives.sync
    assert before == [
        observer._run,
        observer.find_holders,
        observer.find_writer,
        primitives.sync,
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_child_has_a_limit_of_memory(tmp_path):
    """What asks for more than a gigabyte gets an error, and not the machine's memory."""
    program = tmp_path / "hungry.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n"
        "from harness.fuzz.trying import limit_memory\n"
        "limit_memory(300)\n"
        "try: len(bytes(400 << 20))\n"
        "except MemoryError: print('refused')\n"
    )
    process = Helper(program)
    try:
        assert process.line() == "refused"
    finally:
        process.end()
