"""salvage says how much came back of how much, what is in doubt, and what to do next."""

import contextlib
import shutil
import sqlite3

import pytest
from cli_tools import add_held, add_tasks, everything_in, read, write
from test_cli_interrupt import interrupted_at

PAGE = 4096


@pytest.fixture
def damaged(queue_path):
    """Return the path of a queue of 300 tasks, one of them held, that nobody has open."""
    add_tasks(queue_path, 299)
    add_held(queue_path)
    return queue_path


@pytest.fixture
def out(tmp_path):
    """Return where the new file goes."""
    return tmp_path / "out.db"


def leaves(path):
    """Return the leaf pages of the tasks."""
    sql = "SELECT pageno FROM dbstat WHERE name = 'task_queue' AND pagetype = 'leaf'"
    return [row[0] for row in read(path, sql)]


def zero(path, *pages):
    """Write zeros over pages."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(bytes(PAGE))


def test_all_back_is_0(cli, damaged, out):
    """Where the header is lost all tasks come back, and the next steps are said."""
    with damaged.open("r+b") as file:
        file.write(bytes(100))

    done = cli("salvage", damaged, out)

    assert done.code == 0, done.err
    assert "300 of 300 tasks came back (by an index that could be read whole)" in done.out
    assert "1 tasks that were held are queued again" in done.out
    assert "The header is lost; assumed: a page size of 4096 bytes" in done.out
    assert f'queuedrill health --db "{out}" --full' in done.out
    assert "Nothing was replaced." in done.out
    assert read(out, "SELECT count(*) FROM task_queue") == [(300,)]


def test_a_part_is_3(cli, damaged, out):
    """Where pages are lost the answer says how many tasks that cost, and on which pages."""
    zero(damaged, leaves(damaged)[0])

    done = cli("salvage", damaged, out)

    (count,) = read(out, "SELECT count(*) FROM task_queue")[0]
    assert done.code == 3
    assert f"{count} of 300 tasks came back" in done.out
    assert f"Lost, as the indexes know: {300 - count} queued." in done.out
    assert f"page {leaves_before(damaged)} (task_queue): it is no page of such a tree" in done.out


def leaves_before(path):
    """Return the page that is all zeros."""
    content = path.read_bytes()
    return next(
        at // PAGE + 1 for at in range(0, len(content), PAGE) if not any(content[at : at + PAGE])
    )


def test_nothing_is_4(cli, tmp_path, out):
    """Where nothing came back there is no new file, and no next step."""
    path = tmp_path / "noise.db"
    path.write_bytes(b"noise" * 10_000)

    done = cli("salvage", path, out)

    assert done.code == 4
    assert "0 tasks came back, and nothing tells of how many; nothing was made" in done.out
    assert "Nothing was replaced" not in done.out
    assert not out.exists()


def test_the_json_has_all_that_is_known(cli, damaged, out):
    """One JSON object holds the outcome, the witnesses, what is lost, and each way."""
    zero(damaged, leaves(damaged)[0])

    done = cli("salvage", damaged, out, "--json")

    facts = done.document
    lost = 300 - facts["tasks"]
    assert (facts["ok"], facts["exit_code"], facts["outcome"]) == (False, 3, "part")
    assert facts["expected"][0] == {"witness": "index", "tasks": 300, "exact": True}
    assert facts["lost"] == {"queued": lost}
    assert len(facts["lost_ids"]) == lost
    assert facts["found"]["task_queue"]["tree"] == facts["tasks"]
    assert facts["out"] == str(out)


def test_what_is_doubted_and_set_aside_is_said(cli, damaged, out):
    """A status that is none is doubted, a payload that is none is set aside, with the place."""
    write(damaged, "UPDATE task_queue SET status = 'quexed' WHERE id = 4", ())
    write(damaged, """UPDATE task_queue SET payload = '{"only": 1}' WHERE id = 5""", ())
    damaged.write_bytes(damaged.read_bytes().replace(b'{"only"', b'["only"'))

    done = cli("salvage", damaged, out)

    assert done.code == 3
    assert "1 tasks came back, and have a status that is none." in done.out
    assert "1 rows were set aside that a queue refuses" in done.out
    assert "salvage_set_aside" in done.out
    assert read(out, "SELECT row_id, reason FROM salvage_set_aside") == [(5, "refused")]


def test_what_is_there_is_not_overwritten(cli, damaged, out):
    """A file at OUT is an error with its cure, and stays."""
    out.write_text("mine")

    done = cli("salvage", damaged, out)

    assert done.code == 1
    assert "overwrites nothing" in done.err
    assert out.read_text() == "mine"


def test_what_lies_behind_damage_in_the_wal_is_said(cli, tmp_path, damaged, out):
    """The transactions that SQLite would drop are counted, with the option that takes them."""
    crashed = tmp_path / "crashed.db"
    connection = sqlite3.connect(damaged, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    for _ in range(20):
        connection.execute("INSERT INTO task_queue (type, payload) VALUES ('t', '{}')")
    # Copied while it is open and quiet: as a process that died leaves it.
    shutil.copy(damaged, crashed)
    shutil.copy(f"{damaged}-wal", f"{crashed}-wal")
    connection.close()
    with crashed.with_name("crashed.db-wal").open("r+b") as file:
        file.seek(32 + 24 + 5 * (24 + PAGE) + 100)
        file.write(b"\x5a")

    left = cli("salvage", crashed, out)
    out.unlink()
    taken = cli("salvage", crashed, out, "--stranded")

    assert "lie behind damage in the -wal and were left out" in left.out
    assert "--stranded" in left.out
    assert "behind damage in the -wal were taken" in taken.out
    assert read(out, "SELECT count(*) FROM task_queue") == [(320,)]


@pytest.mark.parametrize("moment", ["salvage-", "draft"])
def test_ctrl_c_leaves_nothing(damaged, out, moment):
    """Ctrl-C ends it with 130, at whatever moment, and no file is left."""
    before = everything_in(damaged.parent)

    done = interrupted_at(moment, "salvage", damaged, out)

    assert done.returncode == 130, done.stderr
    assert everything_in(damaged.parent) == before


def test_a_terminal_gets_nothing_of_the_file_as_it_is(cli, tmp_path, out):
    """Escape sequences in the file's names and texts do not reach the terminal."""
    path = tmp_path / "evil.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE task_queue (id INTEGER PRIMARY KEY, type, payload, status TEXT)"
        )
        connection.execute("INSERT INTO task_queue VALUES (1, 't', '{}', ?)", ("\x1b[31mred",))

    done = cli("salvage", path, out)

    assert "\x1b" not in done.out
