"""health --prometheus leaves a file that a textfile collector reads, whole or as it was."""

import pytest
from cli_tools import add_held, everything_in
from prometheus_client.parser import text_string_to_metric_families

from core import QueueBackup
from harness.cli import textfile


def samples(path):
    """Return the figures of the file by name and labels."""
    text = path.read_text(encoding="utf-8")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figure(path, name, queue, **labels):
    """Return one figure, or None."""
    return samples(path).get((name, *sorted({"queue": str(queue), **labels}.items())))


def test_file_holds_levels_figures_limits_and_times(cli, queue_path, tmp_path):
    """Everything that an alert needs is there, in monitoring's own numbers."""
    for _number in range(51):
        add_held(queue_path)
    path = tmp_path / "queue.prom"

    done = cli("health", "--db", queue_path, "--prometheus", path)

    assert done.code == 2
    assert figure(path, "queuedrill_health_level", queue_path) == 2
    assert figure(path, "queuedrill_finding_level", queue_path, finding="leases.stale") == 2
    unit = {"finding": "leases.stale", "unit": "tasks"}
    assert figure(path, "queuedrill_finding_observed", queue_path, **unit) == 51
    assert figure(path, "queuedrill_finding_limit", queue_path, **unit, side="critical") == 50
    assert figure(path, "queuedrill_tasks", queue_path, status="leased") == 51
    ran_s = figure(path, "queuedrill_health_last_run_timestamp_seconds", queue_path)
    assert figure(path, "queuedrill_health_last_success_timestamp_seconds", queue_path) == ran_s
    assert b"\r" not in path.read_bytes()


def test_check_that_could_not_judge_keeps_the_time_of_the_last_that_could(
    cli, queue_path, tmp_path
):
    """An alert on the age of the last success goes off though the file is written anew."""
    path = tmp_path / "queue.prom"
    name = "queuedrill_health_last_success_timestamp_seconds"
    path.write_text(f'# TYPE {name} gauge\n{name}{{queue="{queue_path}"}} 1.5e+09\n')
    queue_path.write_bytes(b"no database at all" * 100)

    done = cli("health", "--db", queue_path, "--prometheus", path)

    assert done.code == 2
    assert figure(path, name, queue_path) == 1.5e9
    assert figure(path, "queuedrill_health_last_run_timestamp_seconds", queue_path) > 1.5e9


def test_first_check_that_could_not_judge_says_no_time_of_success(cli, tmp_path):
    """What never succeeded has no time of it."""
    broken, path = tmp_path / "queue.db", tmp_path / "queue.prom"
    broken.write_bytes(b"no database at all" * 100)

    cli("health", "--db", broken, "--prometheus", path)

    assert "last_success" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"queuedrill_health_level{", b""])
def test_file_of_something_else_is_replaced_whole(cli, queue_path, tmp_path, content):
    """A broken file of an earlier program keeps nobody from monitoring."""
    path = tmp_path / "queue.prom"
    path.write_bytes(content)

    cli("health", "--db", queue_path, "--prometheus", path)

    assert figure(path, "queuedrill_health_level", queue_path) is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [("queue.db", "ends in .prom"), ("no/such.prom", "not there"), ("folder.prom", "is a folder")],
)
def test_file_that_no_collector_reads_is_refused_before_anything(
    cli, queue_path, tmp_path, name, message
):
    """A mistyped name overwrites nothing, the queue least of all."""
    (tmp_path / "folder.prom").mkdir()
    before = everything_in(tmp_path)

    done = cli("health", "--db", queue_path, "--prometheus", tmp_path / name)

    assert done.code == 3
    assert message in done.err
    assert everything_in(tmp_path) == before


def test_write_that_fails_leaves_the_file_and_nothing_else(cli, queue_path, tmp_path, monkeypatch):
    """The collector goes on reading what was there, and no half file lies beside it."""
    path = tmp_path / "queue.prom"
    cli("health", "--db", queue_path, "--prometheus", path)
    before = everything_in(tmp_path)

    def fail(*_arguments, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prometheus_client.exposition.generate_latest", fail)
    done = cli("health", "--db", queue_path, "--prometheus", path)

    assert done.code == 3
    assert "No space left" in done.err
    assert everything_in(tmp_path) == before


def test_several_queues_have_files_of_their_own(cli, queue_path, tmp_path):
    """Levels of one queue say nothing of another."""
    QueueBackup(queue_path).create_backup()
    path = tmp_path / "queue.prom"
    cli("health", "--db", queue_path, "--prometheus", path)

    assert {dict(key[1:])["queue"] for key in samples(path)} == {str(queue_path)}
    assert textfile._last_success(path, "another") is None
