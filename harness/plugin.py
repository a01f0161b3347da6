"""The pytest plugin: options, markers, fixtures and hooks.

It does nothing until a test with the marker ``scenario`` is collected, or the folder of the
scenarios is named on the command line.
"""

import contextlib
import os
import random
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import pytest

from harness.drivers.protocol import Capabilities
from harness.evidence import Evidence
from harness.gate import Gate, join_run
from harness.inherited import PLANTED_VARIABLE
from harness.introduction import hand_over
from harness.junit_bridge import ask_for_junit
from harness.parallel import (
    is_run,
    is_worker,
    names_scenarios,
    switch_on_parallel,
    took_settings_from,
    worker_input,
)
from harness.planted import DEFECTS, planted
from harness.selection import MARKERS, Offer, is_scenario, select
from harness.settings import (
    Settings,
    add_options,
    read_settings,
    settings_from_plain,
    settings_to_plain,
)
from harness.summary import print_summary
from harness.verdicts import describe_item, judge_phase
from reports.model import NotApplicable

SETTINGS = pytest.StashKey[Settings]()
GATE = pytest.StashKey[Gate]()
ARMED = pytest.StashKey[bool]()
PLANTED = pytest.StashKey[contextlib.ExitStack]()

CAPABILITIES = pytest.StashKey[Capabilities]()

_SETTINGS_INPUT = "queue_settings"
_HANDOFF_INPUT = "queue_handoff"
_CAPABILITIES_INPUT = "queue_capabilities"


class WorkerNode(Protocol):
    """A test process as pytest-xdist shows it to the controlling one."""

    workerinput: dict[str, object]


# -- before the run --------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings of the gate."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the scenarios side by side, where nothing speaks against it."""
    switch_on_parallel(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the settings once: in the controlling process, which hands them to the others."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[ARMED] = False
    if is_worker(config):
        settings = settings_from_plain(worker_input(config)[_SETTINGS_INPUT])
    else:
        settings = read_settings(config)
        _prepare_run(config, settings)
    config.stash[SETTINGS] = settings
    _plant(config, settings.plant)


def _plant(config: pytest.Config, name: str | None) -> None:
    """Have the defect that was asked for in this process and its children, and no other."""
    os.environ.pop(PLANTED_VARIABLE, None)
    if name is not None:
        config.stash[PLANTED] = contextlib.ExitStack()
        config.stash[PLANTED].enter_context(planted(DEFECTS[name]))


def _prepare_run(config: pytest.Config, settings: Settings) -> None:
    """Make the gate, which is nothing until it is armed, where anything is to run at all."""
    if settings.db is not None and took_settings_from(config, settings.db.parent):
        raise pytest.UsageError(
            f"pytest took its settings from {config.rootpath}, where the queue is. "
            f"Put the scenarios first, or write --queue-db={settings.db}"
        )
    gate = config.stash[GATE] = Gate(config, settings)
    if not is_run(config):
        return
    config.pluginmanager.register(Controller(gate), "queuedrill-controller")
    if names_scenarios(config):
        ask_for_junit(config, settings.report_dir)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the defect out again."""
    if PLANTED in config.stash:
        config.stash[PLANTED].close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is needed to run the same again."""
    gate = config.stash.get(GATE, None)
    if gate is None or gate.recorder is None:
        return []
    settings = gate.settings
    subject = settings.db or "a queue made for this run"
    return [f"queuedrill: seed {settings.seed}, profile {settings.profile}, subject {subject}"]


# -- collection ------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Arm the gate where there is a scenario, and leave out what is not for this run."""
    scenarios = [item for item in items if is_scenario(item)]
    if not scenarios:
        return
    if is_run(config):
        _arm(config)
    selection = select(items, config.stash[SETTINGS], _offer(config))
    _list_not_applicable(config, selection.not_applicable)
    if selection.left_out:
        items[:] = selection.runs
        config.hook.pytest_deselected(items=selection.left_out)
    for item in scenarios:
        describe_item(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say, where the test runs, whether its check is inconclusive."""
    report = yield
    if item.config.stash[ARMED]:
        judge_phase(item, report, call)
    return report


def _arm(config: pytest.Config) -> None:
    config.stash[ARMED] = True
    if is_worker(config):
        join_run(Path(worker_input(config)[_HANDOFF_INPUT]))
    else:
        config.stash[GATE].arm()


def _offer(config: pytest.Config) -> Offer | None:
    """Return what the queue can do; None where nothing is run, and so nobody was asked."""
    if not is_run(config):
        return None
    if is_worker(config):
        declared = worker_input(config)[_CAPABILITIES_INPUT]
        capabilities = Capabilities.from_hello({"capabilities": declared})
    else:
        capabilities = config.stash[GATE].capabilities()
    config.stash[CAPABILITIES] = capabilities
    return Offer(config.stash[SETTINGS].command(), capabilities)


def _list_not_applicable(config: pytest.Config, left_out: list[NotApplicable]) -> None:
    if is_worker(config):
        hand_over(Path(worker_input(config)[_HANDOFF_INPUT]), left_out)
    else:
        config.stash[GATE].not_applicable(left_out)


# -- fixtures --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def queue_settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of the run, the same in every test process."""
    return pytestconfig.stash[SETTINGS]


@pytest.fixture(scope="session")
def queue_capabilities(pytestconfig: pytest.Config) -> Capabilities:
    """What the driver of this run declared; a scenario judges by nothing else."""
    return pytestconfig.stash[CAPABILITIES]


@pytest.fixture
def queue_random(request: pytest.FixtureRequest, queue_settings: Settings) -> random.Random:
    """Random numbers that depend on the seed of the run and the id of the test alone."""
    return random.Random(f"{queue_settings.seed}:{request.node.nodeid}")


@pytest.fixture
def evidence(request: pytest.FixtureRequest, queue_settings: Settings) -> Evidence:
    """Takes what the test saw into the record of its check."""
    return Evidence(request.node.user_properties, queue_settings.report_dir)


# -- the controlling process -----------------------------------------------------------------


class Controller:
    """The hooks of the process that keeps the run; a test process has none of them."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Arm the gate where the scenarios are named, before anything can go wrong."""
        if names_scenarios(session.config):
            self._gate.arm()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerNode) -> None:
        """Hand the settings, the seed among them, to a test process."""
        node.workerinput[_SETTINGS_INPUT] = settings_to_plain(self._gate.settings)
        node.workerinput[_HANDOFF_INPUT] = str(self._gate.handoff)
        node.workerinput[_CAPABILITIES_INPUT] = asdict(self._gate.capabilities())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Learn from a test process whether it collected a scenario, and how many checks."""
        if self._gate.was_armed_by_worker():
            self._gate.arm()
            self._gate.planned(len(ids))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note how many checks there will be."""
        if session.items:
            self._gate.planned(len(session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that could not be read."""
        if report.failed and self._gate.recorder is not None:
            self._gate.recorder.uncollected(report)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a check begins."""
        if self._gate.recorder is not None:
            self._gate.recorder.begun(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a phase of a check, before pytest's own junit.xml sees its properties."""
        if self._gate.recorder is not None:
            self._gate.recorder.report(report)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note why the run stops."""
        self._gate.interruption = str(excinfo.value) or "Ctrl-C"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Come to the verdict: exit status, junit.xml, reports and summary all say it.

        Around all others: pytest writes junit.xml in between, and may still change its status.
        """
        self._gate.conclude(int(session.exitstatus))
        try:
            yield
        except OSError as error:
            if self._gate.finished_run() is None:
                raise
            session.exitstatus = self._gate.unwritten(error)
        else:
            session.exitstatus = self._gate.publish(int(session.exitstatus))
        run = self._gate.finished_run()
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if run is not None and reporter is not None:
            print_summary(reporter, run, self._gate.report_paths())

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Let go of the guardian, and leave no child process behind."""
        self._gate.close()
