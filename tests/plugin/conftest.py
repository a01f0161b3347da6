"""Runs the gate in a process of its own, on scenarios that a test writes down."""

import json
import socket
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60
PROLOGUE = '''
"""Scenarios of a test.

Claim: the claim of this file.
Faults: the faults of this file.
Method: the method of this file.
A failure means: the meaning of a failure.
"""
import os, signal, socket, sys
import pytest
from harness.outcome import Inconclusive
pytestmark = pytest.mark.scenario
'''


@dataclass(frozen=True)
class Ended:
    """A gate that ended: its exit status, what it printed, and the folder of its reports."""

    status: int
    output: str
    reports: Path

    @property
    def report(self):
        """What report.json holds."""
        return json.loads((self.reports / "report.json").read_text(encoding="ascii"))

    @property
    def page(self):
        """The text of report.html."""
        return (self.reports / "report.html").read_text(encoding="utf-8")

    @property
    def suite(self):
        """The suite in junit.xml."""
        suites = ET.parse(self.reports / "junit.xml").getroot()  # noqa: S314 - our own file
        return suites.find("testsuite")

    @property
    def is_red_in_junit(self):
        """Whether a consumer that counts failures and errors sees one."""
        return any(int(self.suite.get(name)) for name in ("failures", "errors"))

    def properties(self):
        """The suite's properties, by their names."""
        found = self.suite.find("properties")
        return {each.get("name"): each.get("value") for each in found}

    def check(self, name):
        """The record of the check whose id ends so."""
        return next(each for each in self.report["checks"] if each["id"].endswith(name))


class GateRunner:
    """A folder with scenarios, and the command that judges them."""

    def __init__(self, pytester):
        self.pytester = pytester
        self.folder = pytester.path
        self.write("conftest.py", 'pytest_plugins = ["harness.plugin"]')
        self.write("pyproject.toml", '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n')

    def write(self, name, text):
        """Put a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def scenarios(self, body, name="scenarios/test_scenario.py"):
        """Write scenarios down, with the head that each file has."""
        return self.write(name, PROLOGUE + textwrap.dedent(body))

    def run(self, *arguments, reports="queue-report"):
        """Judge, and return what came of it."""
        result = self.pytester.runpytest_subprocess(*arguments, timeout=DEADLINE_S)
        output = result.stdout.str() + result.stderr.str()
        return Ended(int(result.ret), output, self.folder / reports)

    def left(self):
        """What a gate that was started has written so far; its status and output are unknown."""
        return Ended(0, "", self.folder / "queue-report")

    def start(self, *arguments):
        """Begin to judge, in a process that the test ends."""
        command = self.pytester._getpytestargs() + tuple(arguments)
        return self.pytester.popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )


@pytest.fixture
def gate(pytester, monkeypatch):
    """The gate on a folder of its own, told nothing by this process's surroundings."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in (
        "DB",
        "BACKUP_DIR",
        "DRIVER",
        "REPORT_DIR",
        "SEED",
        "PROFILE",
        "MIN_CHECKS",
        "PLANT",
    ):
        monkeypatch.delenv(f"PYTEST_QUEUE_{name}", raising=False)
    for name in ("QUEUEDRILL_CHILDREN", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    return GateRunner(pytester)


class Rendezvous:
    """Where a scenario says that it has begun, and then stays."""

    def __init__(self, server):
        self._server = server
        self._scenarios = []

    @property
    def code(self):
        """What a scenario does in order to be met, and to stay for as long as it lives."""
        port = self._server.getsockname()[1]
        return f'with socket.create_connection(("127.0.0.1", {port})) as met: met.recv(1)'

    @property
    def knock(self):
        """What somebody does in order to be met, and to go on."""
        port = self._server.getsockname()[1]
        return f'with socket.create_connection(("127.0.0.1", {port})): pass'

    def meet(self):
        """Wait for the next scenario to begin."""
        connection, _ = self._server.accept()
        connection.settimeout(DEADLINE_S)
        self._scenarios.append(connection)
        return connection

    def close(self):
        """Let every scenario go on."""
        for connection in self._scenarios:
            connection.close()


@pytest.fixture
def rendezvous():
    """A meeting point with a deadline."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        meeting = Rendezvous(server)
        yield meeting
        meeting.close()


@pytest.fixture
def family():
    """Tells the processes below one, and waits for them to end; none outlives the test."""
    known = []

    def below(process):
        known.extend(psutil.Process(process.pid).children(recursive=True))
        return list(known)

    yield below
    for process in known:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            process.kill()
