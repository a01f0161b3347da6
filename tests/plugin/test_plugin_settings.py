"""What a run is told: by whom, in which order, and what is refused."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAYS = '''
import pathlib

def test_says(queue_settings, queue_random):
    """Settings and random numbers are written to a file."""
    numbers = f"{queue_settings.seed} {queue_random.random()}\\n"
    with pathlib.Path("said.txt").open("a") as stream:
        stream.write(numbers)

def test_says_more(queue_settings, queue_random):
    """Another check has the same seed, and numbers of its own."""
    test_says(queue_settings, queue_random)
'''


def said(gate):
    """What the scenarios wrote, in an order that does not depend on who was first."""
    lines = (gate.folder / "said.txt").read_text().split("\n")[:-1]
    (gate.folder / "said.txt").unlink()
    return sorted(lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--queue-db", "no/such.db"], "there is no such file"),
        (["--queue-db", "scenarios"], "this is a folder"),
        (["--queue-db", ""], "this is no path"),
        (["--queue-backup-dir", "no/such"], "there is no such folder"),
        (["--queue-report-dir", "conftest.py"], "this is a file"),
        (["--queue-report-dir", "conftest.py/below"], "cannot be written"),
        (["--queue-profile", "nightlong"], "Give one of: gate, nightly, soak"),
        (["--queue-seed", "-1"], "below zero"),
        (["--queue-seed", "many"], "no whole number"),
        (["--queue-min-checks", "-3"], "below zero"),
        (["--queue-config", "no/such.toml"], "there is no such file"),
        (["--queue-limit", "wall_mb=1/2"], "Did you mean 'wal_mb'"),
        (["--queue-max-rpo", "soon"], "is no number"),
        (["--queue-plant", "no-such-defect"], "no such defect"),
        (["--queue-plant", "double-claim", "--queue-driver", "x {db}"], "Leave one of them away"),
    ],
)
def test_a_bad_value_is_a_usage_error_with_its_cure(gate, arguments, message):
    """Pytest's own status 4, one line that says where and what, and no report."""
    gate.scenarios("")

    ended = gate.run("scenarios", "-n0", *arguments)

    assert ended.status == 4, ended.output
    assert message in ended.output
    assert arguments[0] in ended.output
    assert "Traceback" not in ended.output
    assert not ended.reports.exists()


def test_command_line_goes_before_environment_before_ini(gate, monkeypatch):
    """The nearest word counts."""
    gate.scenarios(SAYS)
    gate.write("pyproject.toml", '[tool.pytest.ini_options]\nqueue_seed = "1"\n')

    by_ini = gate.run("scenarios", "-n0").report["seed"]
    monkeypatch.setenv("PYTEST_QUEUE_SEED", "2")
    by_environment = gate.run("scenarios", "-n0").report["seed"]
    by_option = gate.run("scenarios", "-n0", "--queue-seed=3").report["seed"]

    assert (by_ini, by_environment, by_option) == (1, 2, 3)


LIMITS = """
def test_says(queue_settings):
    \"\"\"What is in force is what this process was told.\"\"\"
    assert queue_settings.limits.thresholds().wal_mb.critical == 9
"""


def test_limits_of_all_givers_are_in_the_report_with_their_origin(gate, monkeypatch):
    """Command line before environment before ini before the file before the runbook."""
    gate.scenarios(LIMITS)
    gate.write(
        "pyproject.toml", '[tool.pytest.ini_options]\nqueue_limit = "wal_mb=1/2 held_h=1/2"\n'
    )
    gate.write("queuedrill.toml", "[limits]\nwal_mb = 5\nheld_h = 7\nwaiting_h = 8\n")
    monkeypatch.setenv("PYTEST_QUEUE_LIMIT", "size_mb=3/4,wal_mb=1/3")

    ended = gate.run("scenarios", "-n2", "--queue-limit=wal_mb=8/9", "--queue-max-rto=60")

    assert ended.status == 0, ended.output
    facts = ended.report["environment"]
    assert facts["limit wal_mb"] == "warns above 8 MB, fails above 9 MB (--queue-limit)"
    assert facts["limit size_mb"] == "warns above 3 MB, fails above 4 MB (PYTEST_QUEUE_LIMIT)"
    assert facts["limit held_h"] == "warns above 1 h, fails above 2 h (ini queue_limit)"
    assert facts["limit waiting_h"] == (
        f"warns above 1 h, fails above 8 h ({gate.folder / 'queuedrill.toml'})"
    )
    assert facts["limit free_disk_gb"].endswith("(the runbook)")
    assert facts["limit rto_s"] == "fails above 60 s (--queue-max-rto)"
    assert "--queue-limit=wal_mb=8.0/9.0" in ended.check("test_says")["replay"]


def test_every_test_process_has_the_seed_of_the_run(gate):
    """A seed that nobody gave is chosen once, printed, and handed to all."""
    gate.scenarios(SAYS)

    ended = gate.run("scenarios", "-n2")

    seed = ended.report["seed"]
    assert {line.split()[0] for line in said(gate)} == {str(seed)}
    assert f"queuedrill: seed {seed}, profile gate" in ended.output


def test_the_same_seed_makes_the_same_choices(gate):
    """Random numbers depend on seed and check alone, and not on the number of processes."""
    gate.scenarios(SAYS)

    gate.run("scenarios", "-n2", "--queue-seed", "5")
    first = said(gate)
    gate.run("scenarios", "-n0", "--queue-seed", "5")
    again = said(gate)
    gate.run("scenarios", "-n0", "--queue-seed", "6")
    other = said(gate)

    assert first == again != other
    assert len(set(first)) == 2


def test_checks_of_a_file_are_left_out_without_one(gate):
    """No --queue-db, no check of it: left out, and not skipped, so that READY stays possible."""
    gate.write("live.db", "")
    gate.scenarios(
        '''
        def test_made():
            """The made queue is judged."""

        @pytest.mark.queue_db
        def test_given(queue_settings):
            """The given queue is judged."""
            assert queue_settings.db.name == "live.db"
        '''
    )

    without = gate.run("scenarios", "-n0").report
    given = gate.run("scenarios", "-n0", "--queue-db=live.db")

    assert (without["verdict"], len(without["checks"])) == ("READY", 1)
    assert (given.status, len(given.report["checks"])) == (0, 2)
    assert "live.db, read only" in given.report["judged"][0]
    assert f"--queue-db={gate.folder / 'live.db'}" in given.check("test_given")["replay"]


def test_a_profile_runs_all_of_the_ones_before(gate):
    """Gate within nightly within soak."""
    gate.scenarios(
        '''
        def test_always():
            """In each profile."""

        @pytest.mark.profile("nightly")
        def test_nightly():
            """From nightly on."""

        @pytest.mark.profile("soak")
        def test_soak():
            """In soak alone."""
        '''
    )

    counts = [
        len(gate.run("scenarios", "-n0", f"--queue-profile={profile}").report["checks"])
        for profile in ("gate", "nightly", "soak")
    ]

    assert counts == [1, 2, 3]


def test_an_unknown_profile_in_a_marker_is_refused(gate):
    """A misspelt marker does not let a check fall out of every run."""
    gate.scenarios(
        '''
        @pytest.mark.profile("nightley")
        def test_never():
            """Misspelt."""
        '''
    )

    ended = gate.run("scenarios", "-n0")

    assert ended.status == 4
    assert "names no profile" in ended.output


def test_every_setting_is_in_the_help(gate):
    """Pytest --help names each option and each ini key."""
    output = gate.run("--help").output

    for name in (
        *("db", "backup-dir", "report-dir", "seed", "profile", "min-checks"),
        *("config", "limit", "max-rpo", "max-rto"),
    ):
        assert f"--queue-{name}" in output
        assert f"queue_{name.replace('-', '_')}" in output


@pytest.mark.parametrize("form", ["--queue-db={}", "--queue-db {}"])
def test_what_stands_beside_the_queue_is_not_executed(gate, form, tmp_path_factory):
    """An application's conftest.py beside its queue stays what it is: not ours."""
    gate.write("pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["-p", "harness.plugin"]\n')
    gate.scenarios(SAYS)
    queue = tmp_path_factory.mktemp("app") / "queue.db"
    queue.touch()
    queue.with_name("conftest.py").write_text("raise RuntimeError('executed')")

    ended = gate.run("scenarios", "-n0", *form.format(queue).split(" "))

    assert ended.status == 0, ended.output


def test_this_checkout_knows_its_options_before_it_looks_around():
    """The plugin is named in the settings of pytest, which the test above stands on."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert settings["tool"]["pytest"]["ini_options"]["addopts"][:2] == ["-p", "harness.plugin"]


def test_settings_from_beside_the_queue_are_refused(gate, tmp_path_factory):
    """With the queue first pytest would take that folder's settings for ours."""
    gate.scenarios(SAYS)
    queue = tmp_path_factory.mktemp("app") / "queue.db"
    queue.touch()
    queue.with_name("pyproject.toml").write_text("[tool.pytest.ini_options]\n")

    ended = gate.run("--queue-db", str(queue), "scenarios", "-n0")

    assert ended.status == 4
    assert "Put the scenarios first" in ended.output


def test_a_planted_defect_is_in_every_process_and_in_the_report(gate):
    """The core is wrong where the checks run and where drivers run, and the report says so."""
    gate.scenarios(
        """
        from core.tasks import TaskQueue
        from harness.inherited import PLANTED_VARIABLE

        def test_it_is_planted(queue_settings):
            "The verb is replaced, and children will learn of it."
            assert TaskQueue.claim.__module__ == "harness.planted.claiming"
            assert os.environ[PLANTED_VARIABLE] == queue_settings.plant
        """
    )

    ended = gate.run("scenarios", "-n1", "--queue-plant=double-claim")

    assert ended.status == 0, ended.output
    assert ended.report["judged"] == [
        "Our core with a known defect planted, double-claim: it must come out red."
    ]
    assert "--queue-plant=double-claim" in ended.report["checks"][0]["replay"]


def test_a_defect_of_a_run_around_this_one_is_not_inherited(gate, monkeypatch):
    """Only the setting plants: a stray variable does not make a sound core wrong."""
    monkeypatch.setenv("QUEUEDRILL_PLANTED", "double-claim")
    gate.scenarios(
        """
        def test_nothing_is_planted():
            "The variable is gone before a child could read it."
            assert "QUEUEDRILL_PLANTED" not in os.environ
        """
    )

    assert gate.run("scenarios", "-n0").status == 0
