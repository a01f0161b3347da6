"""leases lists who holds what, and frees only what it is told to."""

import pytest
from cli_tools import FAR_AHEAD, add_held, add_tasks, everything_in, read

STATUSES = "SELECT status, attempts FROM task_queue ORDER BY id"


@pytest.fixture
def held(queue_path):
    """Return the path of a queue with a stale, a live and an unreadable lease, and a spent one."""
    add_held(queue_path, worker="gone")
    add_held(queue_path, worker="alive", lease_until=FAR_AHEAD, status="processing")
    add_held(queue_path, worker="odd", lease_until="soon")
    add_held(queue_path, worker="spent", attempts=4)
    add_tasks(queue_path, 1)
    return queue_path


def test_the_listing_tells_stale_live_and_unreadable(cli, held):
    """Each held task is listed with its holder, the end of its lease and what that means."""
    done = cli("leases", "--db", held)

    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0] == "2 stale, 1 live, 1 unreadable"
    assert [line.split()[2] for line in lines[2:6]] == ["gone", "spent", "odd", "alive"]
    assert lines[-1] == f'Free the stale ones with: queuedrill leases --db "{held}" --free'


def test_the_listing_as_json(cli, held):
    """Programs get the three groups with ids and times."""
    facts = cli("leases", "--db", held, "--json").document

    assert [task["id"] for task in facts["stale"]] == [1, 4]
    assert [task["worker"] for task in facts["live"]] == ["alive"]
    assert facts["unreadable"][0]["lease_until"] == "soon"


def test_free_frees_the_stale_ones_alone(cli, held):
    """--free queues the stale ones again or ends them, and leaves the others to their holders."""
    done = cli("leases", "--free", "--yes", "--db", held, "--json")

    assert (done.document["requeued"], done.document["dead_lettered"]) == (1, 1)
    assert [status for status, _attempts in read(held, STATUSES)] == [
        "queued",
        "processing",
        "leased",
        "dead_letter",
        "queued",
    ]


def test_free_says_what_it_could_not_judge(cli, held):
    """A lease whose end cannot be read stays, is named, and makes the exit code 1."""
    done = cli("leases", "--free", "--yes", "--db", held)

    assert done.code == 1
    assert "tasks 3" in done.out
    assert "--task ID --release" in done.out


def test_free_of_nothing_is_no_question(cli, queue_path):
    """With nothing stale, --free asks nothing, frees nothing and ends with 0."""
    add_held(queue_path, lease_until=FAR_AHEAD)

    done = cli("leases", "--free", "--db", queue_path)

    assert done.code == 0
    assert "Nothing to free." in done.out


@pytest.mark.parametrize("words", [["--free"], ["--task", "1", "--release"]])
def test_freeing_refuses_where_nobody_can_be_asked(cli, held, words):
    """Without a terminal and without --yes nothing is freed, and the exit code is 2."""
    before = everything_in(held.parent)

    done = cli("leases", *words, "--db", held)

    assert done.code == 2
    assert "--yes" in done.err
    assert everything_in(held.parent) == before


def test_one_task_is_freed_whatever_its_lease_says(cli, held):
    """--task ID --release frees exactly that task."""
    done = cli("leases", "--task", "3", "--release", "--yes", "--db", held, "--json")

    assert done.document["released"] == {"task": 3, "status": "queued"}
    assert [status for status, _attempts in read(held, STATUSES)] == [
        "leased",
        "processing",
        "queued",
        "leased",
        "queued",
    ]


def test_a_task_that_nobody_holds_cannot_be_released(cli, held):
    """Releasing what is not held is an error and changes nothing."""
    done = cli("leases", "--task", "5", "--release", "--yes", "--db", held)

    assert done.code == 1
    assert done.err.count("\n") == 1


def test_free_keeps_to_the_grace(cli, held):
    """--free with a longer grace leaves what is not stale by it."""
    years_s = 9 * 366 * 86_400
    a_year_ago = read(held, "SELECT datetime('now', '-1 year')")[0][0]
    add_held(held, worker="late", lease_until=a_year_ago)

    done = cli("leases", "--free", "--yes", "--timeout-seconds", years_s, "--db", held, "--json")

    assert done.document["requeued"] == 1
    assert read(held, "SELECT status FROM task_queue WHERE locked_by = 'late'") == [("leased",)]


def test_the_grace_is_what_was_asked_for(cli, held):
    """--timeout-seconds decides how long after its end a lease is stale."""
    a_year_ago = read(held, "SELECT datetime('now', '-1 year')")[0][0]
    add_held(held, worker="late", lease_until=a_year_ago)

    def stale(timeout_seconds):
        words = ("--timeout-seconds", timeout_seconds, "--db", held, "--json")
        return [task["worker"] for task in cli("leases", *words).document["stale"]]

    assert stale(300 * 86_400) == ["gone", "spent", "late"]
    assert stale(400 * 86_400) == ["gone", "spent"]
