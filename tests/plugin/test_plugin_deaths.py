"""Whoever is killed, the reports are written and no process is left."""

import psutil
import pytest

DEADLINE_S = 60
PROCESSES = pytest.mark.parametrize("processes", ["-n0", "-n2"])


def test_a_killed_test_process_leaves_its_check_open(gate):
    """The check in a test process that dies is INCONCLUSIVE, and the others keep theirs."""
    gate.scenarios(
        '''
        def test_dies():
            """A test process dies in the middle of this."""
            os._exit(9)

        def test_lives():
            """Another check goes on."""
        '''
    )

    ended = gate.run("scenarios", "-n2")

    assert ended.status == 7, ended.output
    assert ended.check("test_dies")["outcome"] == "inconclusive"
    assert "crashed" in ended.check("test_dies")["message"]
    assert ended.check("test_lives")["outcome"] == "passed"


@PROCESSES
def test_a_killed_run_leaves_its_reports_and_no_process(gate, rendezvous, family, processes):
    """After kill -9 of the controlling process all three reports say INCONCLUSIVE."""
    gate.write(
        "conftest.py",
        f"""
        import os, socket
        pytest_plugins = ["harness.plugin"]

        def pytest_runtest_logstart(nodeid):
            if "test_stays" in nodeid and "PYTEST_XDIST_WORKER" not in os.environ:
                {rendezvous.knock}
        """,
    )
    gate.scenarios(
        f'''
        import subprocess
        from harness import children

        def test_ends():
            """This one ends before."""

        def test_stays():
            """This one is cut off."""
            child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            children.register(child.pid)
            {rendezvous.code}
        '''
    )
    process = gate.start("scenarios", processes)
    rendezvous.meet()  # the controlling process knows of the check
    rendezvous.meet()  # and the check is at work
    below = family(process)

    process.kill()
    process.wait(DEADLINE_S)
    process.stdout.close()

    gone, alive = psutil.wait_procs(below, timeout=DEADLINE_S)
    assert not alive, f"left after {len(gone)} had ended: {alive}"
    ended = gate.left()
    assert ended.report["verdict"] == "INCONCLUSIVE"
    assert ended.report["state"] == "interrupted"
    assert ended.check("test_stays")["outcome"] == "inconclusive"
    assert "<h1>INCONCLUSIVE</h1>" in ended.page
    assert ended.properties()["state"] == "interrupted"
    assert not (ended.reports / "guardian-error.txt").exists()


@PROCESSES
def test_ctrl_c_ends_with_2_and_says_so(gate, processes):
    """An interrupted run exits with 2, and its reports say interrupted."""
    gate.write(
        "conftest.py",
        """
        import os, signal
        pytest_plugins = ["harness.plugin"]

        def pytest_runtest_logreport(report):
            if "PYTEST_XDIST_WORKER" not in os.environ:
                signal.raise_signal(signal.SIGINT)
        """,
    )
    gate.scenarios(
        '''
        def test_first():
            """The interrupt comes after this one."""

        def test_second():
            """And before the end of this one."""
        '''
    )

    ended = gate.run("scenarios", processes)

    assert ended.status == 2, ended.output
    assert ended.report["state"] == "interrupted"
    assert ended.report["verdict"] == "INCONCLUSIVE"
    assert ended.report["exit_status"] == 2
    assert "Ctrl-C" in ended.report["reason"]


def test_children_of_a_dead_test_process_are_killed(gate):
    """What a scenario started and registered does not outlive the run."""
    gate.scenarios(
        '''
        import pathlib, subprocess
        from harness import children

        def test_leaves_a_child():
            """Its test process dies and leaves a child behind."""
            wait = "import threading; threading.Event().wait()"
            child = subprocess.Popen([sys.executable, "-c", wait])
            children.register(child.pid)
            pathlib.Path("pid.txt").write_text(str(child.pid))
            os._exit(9)
        '''
    )

    gate.run("scenarios", "-n1")

    pid = int((gate.folder / "pid.txt").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_old_verdict_does_not_outlive_the_start(gate, rendezvous, family):
    """From its first moment on a run has reports that say it has not ended."""
    gate.scenarios(
        f'''
        def test_stays():
            """This one is looked at while it runs."""
            {rendezvous.code}
        '''
    )
    old = gate.left().reports
    old.mkdir()
    (old / "junit.xml").write_text("<testsuites><testsuite errors='0' failures='0'/></testsuites>")
    (old / "guardian-error.txt").write_text("of another run")
    process = gate.start("scenarios", "-n0")
    connection = rendezvous.meet()
    family(process)

    running, red = gate.left().report, gate.left().is_red_in_junit

    connection.close()
    process.communicate(timeout=DEADLINE_S)
    assert (running["verdict"], running["state"], red) == ("INCONCLUSIVE", "running", True)
    assert process.returncode == 0
    assert not gate.left().is_red_in_junit
    assert not (old / "guardian-error.txt").exists()
