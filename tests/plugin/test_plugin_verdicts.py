"""Each way in which a run can end, with and without test processes."""

import pytest

PASSING = '''
def test_good(evidence):
    """A good queue passes."""
    evidence.limit("tasks lost", 0, 0, "tasks")
    evidence.measure("rpo_s", 12.5, "s")
    evidence.measure("rto_s", 2.0, "s")

def test_worse(evidence):
    """A second drill takes longer."""
    evidence.measure("rto_s", 3.5, "s")
'''
FAILING = '''
def test_bad(evidence):
    """A bad queue fails."""
    evidence.finding("leases.stale", "CRITICAL", 57, 0, "57 tasks are held", "queuedrill leases")
    evidence.require(False, "57 tasks are held (limit 0)")
'''
INCONCLUSIVE = '''
def test_open():
    """A check that cannot be made says so."""
    raise Inconclusive("no second disk here")
'''
UNCONFIRMED = '''
def test_unconfirmed(evidence):
    """A fault that did not happen proves nothing."""
    evidence.fault("killed-worker", "SIGKILL", False, "it ended by itself")
'''
SKIPPED = '''
def test_skipped():
    """A check that is skipped says nothing."""
    pytest.skip("not here")
'''
BROKEN_SETUP = '''
@pytest.fixture
def broken():
    raise RuntimeError("the harness stumbled")

def test_setup(broken):
    """Trouble of the harness is not the queue's."""
'''
BROKEN_TEARDOWN = '''
@pytest.fixture
def broken():
    yield
    raise RuntimeError("the harness stumbled")

def test_teardown(broken):
    """Trouble after the check is not the queue's."""
'''
FAILING_BEFORE_AN_OPEN_END = '''
@pytest.fixture
def open_end():
    yield
    raise Inconclusive("its end could not be seen")

def test_bad_with_an_open_end(open_end, evidence):
    """What comes after the check takes nothing back."""
    evidence.require(False, "57 tasks are held (limit 0)")
'''
EXPECTED_TO_FAIL = '''
@pytest.mark.xfail(reason="known")
def test_xfail():
    """A failure that is expected is still none of the good ones."""
    assert False
'''
EXPECTED_AND_PASSED = '''
@pytest.mark.xfail(reason="known", strict=False)
def test_xpass():
    """A pass against expectation is not taken for one."""
'''
NOTHING = ""

PROCESSES = pytest.mark.parametrize("processes", ["-n0", "-n2"])


@PROCESSES
@pytest.mark.parametrize(
    ("body", "status", "verdict"),
    [
        pytest.param(PASSING, 0, "READY", id="passing"),
        pytest.param(PASSING + FAILING, 1, "NOT READY", id="failing"),
        pytest.param(PASSING + INCONCLUSIVE, 7, "INCONCLUSIVE", id="inconclusive"),
        pytest.param(PASSING + UNCONFIRMED, 7, "INCONCLUSIVE", id="unconfirmed"),
        pytest.param(PASSING + SKIPPED, 7, "INCONCLUSIVE", id="one-skipped"),
        pytest.param(SKIPPED, 7, "INCONCLUSIVE", id="all-skipped"),
        pytest.param(PASSING + BROKEN_SETUP, 7, "INCONCLUSIVE", id="setup"),
        pytest.param(PASSING + BROKEN_TEARDOWN, 7, "INCONCLUSIVE", id="teardown"),
        pytest.param(PASSING + EXPECTED_TO_FAIL, 7, "INCONCLUSIVE", id="xfail"),
        pytest.param(PASSING + EXPECTED_AND_PASSED, 7, "INCONCLUSIVE", id="xpass"),
        pytest.param(FAILING + INCONCLUSIVE + SKIPPED, 1, "NOT READY", id="false-over-unknown"),
        pytest.param(FAILING_BEFORE_AN_OPEN_END, 1, "NOT READY", id="failing-before-an-open-end"),
        pytest.param(NOTHING, 5, "INCONCLUSIVE", id="nothing-collected"),
    ],
)
def test_exit_status_and_every_report_say_the_same(gate, processes, body, status, verdict):
    """The exit status, the JSON, the page, the JUnit file and the terminal agree."""
    gate.scenarios(body)

    ended = gate.run("scenarios", processes)

    assert (ended.status, ended.report["verdict"]) == (status, verdict), ended.output
    assert ended.report["exit_status"] == status
    assert f"<h1>{verdict}</h1>" in ended.page
    assert ended.properties()["verdict"] == verdict
    assert ended.is_red_in_junit == (verdict != "READY")
    assert f"VERDICT: {verdict}" in ended.output


@pytest.mark.parametrize(("processes", "status"), [("-n0", 2), ("-n2", 7)])
def test_a_file_that_cannot_be_read_is_an_open_check(gate, processes, status):
    """A scenario file with an error in it is named, and no verdict is reached without it."""
    gate.scenarios("import no_such_module")
    gate.scenarios(PASSING, "scenarios/test_other.py")

    ended = gate.run("scenarios", processes)

    assert (ended.status, ended.report["verdict"]) == (status, "INCONCLUSIVE")
    assert ended.report["exit_status"] == status
    assert "no_such_module" in ended.check("test_scenario.py")["message"]


@PROCESSES
def test_a_check_is_recorded_with_all_it_said(gate, processes):
    """Docstrings, figures, findings and the command to run it again reach the report."""
    gate.scenarios(FAILING)

    check = gate.run("scenarios", processes, "--queue-seed", "11").check("test_bad")

    assert check["title"] == "A bad queue fails"
    assert check["claim"] == "the claim of this file."
    assert check["failure_means"] == "the meaning of a failure."
    assert check["outcome"] == "failed"
    assert check["message"] == "57 tasks are held (limit 0)"
    assert check["findings"][0]["command"] == "queuedrill leases"
    assert check["replay"] == "pytest scenarios/test_scenario.py::test_bad --queue-seed 11"


def test_warnings_of_a_ready_queue_are_told(gate):
    """READY does not hide what is to be mended: the terminal names it, and the command."""
    gate.scenarios(
        '''
        def test_warned(evidence):
            """A queue between its limits passes."""
            evidence.finding("wal.size", "WARNING", 60.123456789, 50, "60 MB", "queuedrill mend")
        '''
    )

    ended = gate.run("scenarios", "-n0")

    assert (ended.status, ended.report["verdict"]) == (0, "READY")
    assert "Warning: wal.size: 60 MB" in ended.output
    assert "mend:    queuedrill mend" in ended.output
    assert ended.check("test_warned")["findings"][0]["observed"] == "60.12"


@PROCESSES
def test_worst_rpo_and_rto_reach_junit(gate, processes):
    """RPO and RTO become properties of the suite, and no test case has any."""
    gate.scenarios(PASSING)

    ended = gate.run("scenarios", processes)

    assert ended.suite.get("name") == "pytest", "pytest's own writer is at work"
    assert ended.properties()["rpo_s"] == "12.5"
    assert ended.properties()["rto_s"] == "3.5"
    assert ended.suite.find("testcase/properties") is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["--queue-min-checks", "3"], "the least for a verdict is 3", id="too-few"),
        pytest.param(["-k", "nothing_has_this_name"], "No check was selected", id="deselected"),
    ],
)
def test_too_little_is_no_verdict(gate, arguments, reason):
    """A run that checked less than it has to is INCONCLUSIVE, whatever passed."""
    gate.scenarios(PASSING)

    ended = gate.run("scenarios", "-n0", *arguments)

    assert ended.report["verdict"] == "INCONCLUSIVE"
    assert ended.status in (5, 7)
    assert reason in ended.report["reason"]


@PROCESSES
def test_stopping_at_the_first_failure_keeps_it(gate, processes):
    """A run cut short by -x is NOT READY because of the failure that was found."""
    gate.scenarios(FAILING + PASSING)

    ended = gate.run("scenarios", processes, "-x")

    assert ended.report["exit_status"] == ended.status
    assert ended.report["counts"]["failed"] == 1


def test_more_warnings_than_allowed_agree_too(gate):
    """A status that pytest changes at the very end is in the reports as well."""
    gate.write("pyproject.toml", "[tool.pytest.ini_options]\n")
    gate.scenarios(
        '''
        def test_warns():
            """A warning is given."""
            import warnings
            warnings.warn("look out")
        '''
    )

    ended = gate.run("scenarios", "-n0", "--max-warnings", "0")

    assert ended.status == 6
    assert ended.report["verdict"] == "INCONCLUSIVE"
    assert ended.properties()["verdict"] == "INCONCLUSIVE"


@pytest.mark.parametrize("name", ["report.html", "report.json", "junit.xml"])
def test_reports_that_cannot_be_written_are_no_ready(gate, name):
    """A run whose reports fail at the end does not end with 0, and those that can be say why."""
    gate.scenarios(
        f'''
        import pathlib
        def test_takes_the_place():
            """A folder stands where a report has to go."""
            report = pathlib.Path("queue-report/{name}")
            report.unlink(missing_ok=True)
            report.mkdir()
        '''
    )

    ended = gate.run("scenarios", "-n0")

    assert ended.status == 7, ended.output
    assert "could not be written" in ended.output
    assert "Traceback" not in ended.output
    if name != "report.json":
        assert (ended.report["verdict"], ended.report["exit_status"]) == ("INCONCLUSIVE", 7)
    if name != "report.html":
        assert "<h1>INCONCLUSIVE</h1>" in ended.page


FULL_DISK = """
import errno

class Full:
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self):
        self.write("")

    close = flush

def pytest_runtest_logreport(report):
    import harness.plugin

    if report.when == "call":
        journal = CONFIG[0].stash[harness.plugin.GATE].recorder._journal
        if not isinstance(journal._stream, Full):
            journal._stream.close()
            journal._stream = Full()

CONFIG = []
def pytest_configure(config):
    CONFIG.append(config)

pytest_plugins = ["harness.plugin"]
"""


def test_disk_that_is_full_for_a_while_costs_no_verdict(gate):
    """The journal is for a run that dies; where the reports can be written, they are whole."""
    gate.write("conftest.py", FULL_DISK)
    gate.scenarios(PASSING)

    ended = gate.run("scenarios", "-n0")

    assert (ended.status, ended.report["verdict"]) == (0, "READY"), ended.output
    assert ended.report["counts"]["passed"] == 2


def test_disk_that_is_full_to_the_end_is_no_verdict(gate):
    """Without reports a good run is INCONCLUSIVE, never 1, and one line says why."""
    gate.write("conftest.py", FULL_DISK)
    gate.scenarios(
        '''
        import reports.html, reports.json_report

        def full(path, content):
            raise OSError(28, "No space left on device")

        def test_good():
            """A good queue passes."""
            reports.html.write_atomically = reports.json_report.write_atomically = full
        '''
    )

    ended = gate.run("scenarios", "-n0")

    assert ended.status == 7, ended.output
    assert "The reports could not be written: [Errno 28] No space left" in ended.output
    assert "Traceback" not in ended.output


@PROCESSES
def test_hostile_text_harms_nobody(gate, processes):
    """Markup, control characters and lone surrogates are shown, and none of them acts."""
    gate.scenarios(
        r'''
        TEXT = "</script><img src=x onerror=alert(1)> \x1b[31m \x00 \udc80 \u202e"
        def test_hostile(evidence):
            """A payload is not trusted."""
            evidence.judged("judged " + TEXT)
            evidence.finding("id" + TEXT, "CRITICAL", TEXT, TEXT, TEXT, TEXT)
            evidence.measure(TEXT, 1.0, TEXT)
            evidence.fault(TEXT, TEXT, True, TEXT, TEXT)
            evidence.require(False, "lost " + TEXT)
        '''
    )

    ended = gate.run("scenarios", processes)

    assert ended.status == 1, ended.output
    assert "<img" not in ended.page
    assert "</script" not in ended.page
    assert "\x1b" not in ended.page
    assert r"\udc80" in ended.page
    assert ended.suite.find("testcase/failure") is not None
