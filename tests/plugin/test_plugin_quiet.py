"""Where there is no scenario the plugin is not there; where there is one, it is parallel."""

import re

import psutil
import pytest

ORDINARY = '''
import pytest

def test_passes():
    """An ordinary test."""

def test_is_skipped():
    """An ordinary skip."""
    pytest.skip("no reason")
'''
SCENARIO = '''
def test_good():
    """A good queue passes."""
'''


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_ordinary_tests_are_left_alone(gate, processes):
    """No report, no verdict, no other exit status: skips stay harmless."""
    gate.scenarios(SCENARIO)
    gate.write("tests/test_ordinary.py", ORDINARY)

    ended = gate.run("tests", processes)

    assert ended.status == 0
    assert not ended.reports.exists()
    assert "queuedrill" not in ended.output


def test_ordinary_tests_are_not_run_in_parallel(gate):
    """Test processes are for scenarios alone, unless asked for."""
    gate.scenarios(SCENARIO)
    gate.write("tests/test_ordinary.py", ORDINARY)

    assert "workers" not in gate.run("tests").output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--collect-only", "scenarios"],
        ["--fixtures", "scenarios"],
        ["--setup-plan", "scenarios"],
        ["--markers"],
        ["--version"],
    ],
)
def test_what_runs_nothing_writes_nothing(gate, arguments):
    """To look is no run: no report, no verdict."""
    gate.scenarios(SCENARIO)

    ended = gate.run(*arguments)

    assert ended.status == 0, ended.output
    assert not ended.reports.exists()
    assert "VERDICT" not in ended.output


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_a_scenario_anywhere_arms_the_gate(gate, processes):
    """The marker decides, wherever the file is; junit.xml is there too."""
    gate.scenarios(SCENARIO, name="elsewhere/test_scenario.py")

    ended = gate.run("elsewhere", processes)

    assert ended.status == 0
    assert ended.report["verdict"] == "READY"
    assert ended.properties()["verdict"] == "READY"


@pytest.mark.parametrize(
    ("arguments", "parallel"),
    [
        pytest.param(["scenarios"], True, id="folder"),
        pytest.param(["scenarios/test_scenario.py"], True, id="file"),
        pytest.param(["scenarios/test_scenario.py::test_good"], False, id="one-check"),
        pytest.param(["scenarios", "-n0"], False, id="n0"),
        pytest.param(["scenarios", "-n1"], True, id="n1"),
        pytest.param(["scenarios", "-p", "no:xdist"], False, id="no-xdist"),
        pytest.param(["scenarios", "--dist=worksteal", "-n2"], True, id="worksteal"),
    ],
)
def test_scenarios_run_side_by_side_unless_told_otherwise(gate, arguments, parallel):
    """Each way of saying how many processes there are is followed, and ends READY."""
    gate.scenarios(SCENARIO)

    ended = gate.run(*arguments)

    assert ended.status == 0, ended.output
    assert bool(re.search(r"\d+/\d+ worker", ended.output)) == parallel


@pytest.mark.parametrize(
    ("arguments", "told", "count"),
    [
        pytest.param([], "4", 4, id="variable"),
        pytest.param(["--maxprocesses=1"], None, 1, id="at-most-one"),
        pytest.param([], None, max(2, (psutil.cpu_count() or 1) * 3 // 2), id="by-itself"),
    ],
)
def test_processes_are_half_again_as_many_as_processors(gate, monkeypatch, arguments, told, count):
    """Scenarios wait more than they compute; who says a number gets that number."""
    gate.scenarios(SCENARIO)
    if told is not None:
        monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", told)

    ended = gate.run("scenarios", *arguments)

    assert ended.status == 0, ended.output
    assert re.search(rf"\b{count}/{count} worker", ended.output), ended.output


def test_without_xdist_installed_it_runs_in_one_process(gate, monkeypatch):
    """pytest-xdist is no condition."""
    gate.scenarios(SCENARIO)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    ended = gate.run("scenarios")

    assert (ended.status, ended.report["verdict"]) == (0, "READY")


@pytest.mark.parametrize("arguments", [["-p", "no:junitxml"], ["--junitxml=mine.xml"]])
def test_junit_is_written_by_whoever_is_there(gate, arguments):
    """Pytest's own file where the user put it, ours where pytest's writer is off."""
    gate.scenarios(SCENARIO)

    ended = gate.run("scenarios", "-n0", *arguments)

    assert ended.status == 0
    assert (gate.folder / "mine.xml").exists() == ("=" in arguments[0])
    assert (ended.reports / "junit.xml").exists() == ("=" not in arguments[0])


def test_a_terminal_of_a_narrow_encoding_is_no_obstacle(gate, monkeypatch):
    """A Windows log file (cp1252) takes the summary of any text."""
    gate.scenarios(
        r'''
        def test_bad(evidence):
            """A queue with a tick \u2713 in it."""
            evidence.require(False, "\u2713 \U0001f600 lost \udc80")
        '''
    )
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    monkeypatch.setenv("PYTHONUTF8", "0")

    ended = gate.run("scenarios", "-n0")

    assert ended.status == 1
    assert "VERDICT: NOT READY" in ended.output
    assert r"\u2713" in ended.output
