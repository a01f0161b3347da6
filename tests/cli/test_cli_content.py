"""content tells what no longer holds what it held, and accepts it only when told to."""

import pytest
from cli_tools import write

from core import QueueBackup


@pytest.fixture
def recorded(cli, queue_path):
    """Return the path of a queue whose finished tasks are recorded."""
    rows = [("t", f'"{number}"') for number in range(9)]
    write(queue_path, "INSERT INTO task_queue (type, payload, status) VALUES (?, ?, 'completed')",
          *rows)  # fmt: skip
    done = cli("content", "--db", queue_path)
    assert done.code == 0
    assert "no record yet" in done.out
    return queue_path


def change(path, *ids):
    """Change what these tasks hold, as no program does."""
    write(path, "UPDATE task_queue SET payload = '1' WHERE id = ?", *[(number,) for number in ids])


def test_sound_tasks_end_with_0(cli, recorded):
    """Where nothing differs that is said, with how many there are."""
    done = cli("content", "--db", recorded)

    assert done.code == 0
    assert done.out.startswith("All 9 recorded tasks are as they were recorded.")


def test_changed_tasks_end_with_1_and_are_named_with_the_cure(cli, recorded):
    """The ids are there, what it means, and what can be done."""
    change(recorded, 2, 3, 7)

    done = cli("content", "--db", recorded)

    assert done.code == 1
    assert "3 hold something else" in done.out
    assert ": 2-3, 7\n" in done.out
    assert "No backup that can be read has any of them" in done.out
    assert f'queuedrill content --db "{recorded}" --accept' in done.out


def test_changed_tasks_as_json(cli, recorded):
    """The document has each difference with its ranges, and the counts."""
    change(recorded, 2, 3, 7)

    facts = cli("content", "--db", recorded, "--json").document

    assert facts["differences"] == {"changed": {"count": 3, "ranges": [[2, 3], [7, 7]]}}
    assert (facts["ok"], facts["damaged"], facts["compared"], facts["tasks"]) == (False, True, 9, 9)


def test_accepting_asks_and_shows_what_is_accepted(cli, recorded):
    """Where nobody can be asked nothing is accepted without --yes; with it all is as recorded."""
    change(recorded, 2)
    record = recorded.with_name("queue.db-content.jsonl")
    before = record.read_bytes()

    refused = cli("content", "--db", recorded, "--accept")

    assert refused.code == 2
    assert "1 changed (2)" in refused.out
    assert record.read_bytes() == before
    accepted = cli("content", "--db", recorded, "--accept", "--yes")
    assert (accepted.code, "Accepted" in accepted.out) == (0, True)
    assert cli("content", "--db", recorded).code == 0


def test_damaged_record_is_told_and_can_be_made_anew(cli, recorded):
    """A record that is hurt is an error that says so, and --accept makes another one."""
    record = recorded.with_name("queue.db-content.jsonl")
    record.write_bytes(record.read_bytes()[:-3])

    done = cli("content", "--db", recorded)

    assert done.code == 1
    assert "says nothing of the queue" in done.err
    assert cli("content", "--db", recorded, "--accept", "--yes").code == 0
    assert cli("content", "--db", recorded).code == 0


def test_record_lies_where_it_is_told(cli, recorded, tmp_path):
    """--record names a record of one's own."""
    elsewhere = tmp_path / "elsewhere.jsonl"

    cli("content", "--db", recorded, "--record", elsewhere)
    change(recorded, 2)

    assert cli("content", "--db", recorded, "--record", elsewhere).code == 1


def test_older_file_is_told_as_that(cli, recorded):
    """A copy of before in the queue's place is named for what it is."""
    kept = recorded.read_bytes()
    write(recorded, "INSERT INTO task_queue (type, payload, status) VALUES ('t', '1', 'completed')",
          ())  # fmt: skip
    cli("content", "--db", recorded)
    recorded.write_bytes(kept)

    done = cli("content", "--db", recorded)

    assert done.code == 1
    assert "given ids up to 9, 10 were given when it was recorded" in done.out


def test_restore_is_said_and_is_no_alarm(cli, recorded):
    """After a restore all is recorded anew, which ends with 0."""
    QueueBackup(recorded).restore_backup(QueueBackup(recorded).create_backup())

    done = cli("content", "--db", recorded)

    assert done.code == 0
    assert done.out.startswith("Nothing could be compared: the queue was restored")


def test_backup_that_still_has_the_tasks_is_named(cli, recorded, tmp_path):
    """Of the backups the newest is named that has what differs as it was recorded."""
    backups = QueueBackup(recorded, tmp_path / "elsewhere")
    backups.create_backup("older")
    sound = backups.create_backup("sound")
    change(recorded, 2, 3)
    backups.create_backup("damaged")

    done = cli("content", "--db", recorded, "--backup-dir", tmp_path / "elsewhere")
    facts = cli("content", "--db", recorded, "--backup-dir", tmp_path / "elsewhere", "--json")

    assert "2 of 2 are as they were recorded" in done.out
    assert f'queuedrill restore "{sound}" --db "{recorded}"' in done.out
    assert facts.document["backup"] == {"backup": str(sound), "tasks": 2, "wanted": 2}
