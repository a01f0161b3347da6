"""Lets pytest write junit.xml, adds what it cannot know, and stands in where it does not."""

import contextlib
from pathlib import Path
from typing import Protocol, cast

import pytest

from reports.junit import JUNIT_NAME, case_of_run, legal_xml, suite_properties, write_junit
from reports.model import Run


class _CaseWriter(Protocol):
    """The same of one test case."""

    attrs: dict[str, str]

    def _add_simple(self, tag: str, message: str, data: str | None = None) -> None: ...


class _SuiteWriter(Protocol):
    """The part of pytest's own writer that is used here."""

    logfile: str
    global_properties: list[tuple[str, str]]

    def add_global_property(self, name: str, value: object) -> None: ...

    def node_reporter(self, report: str) -> _CaseWriter: ...

    def add_stats(self, key: str) -> None: ...

    def pytest_sessionfinish(self) -> None: ...


def ask_for_junit(config: pytest.Config, report_dir: Path) -> None:
    """Have pytest write junit.xml into the report folder, unless it was told where."""
    if getattr(config.option, "xmlpath", "") is None:
        config.option.xmlpath = str(report_dir / JUNIT_NAME)


class JunitBridge:
    """The junit.xml of a run, whoever writes it."""

    def __init__(self, config: pytest.Config, report_dir: Path) -> None:
        self._config = config
        self._default = report_dir / JUNIT_NAME
        self._has_case = False

    @property
    def path(self) -> Path:
        """Where the file is or will be."""
        writer = self._writer()
        return self._default if writer is None else Path(writer.logfile)

    def begin(self, run: Run) -> None:
        """Put a file in place that says of the run that it has not ended.

        Raises:
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_junit(run, self.path)

    def add_run(self, run: Run) -> None:
        """Put the verdict, RPO, RTO and the like into the suite's properties.

        Not by ``record_testsuite_property``, which is lost in test processes. Where the run is not
        READY and no check is red, a case of its own says so.
        """
        writer = self._writer()
        if writer is None:
            return
        ours = suite_properties(run)
        names = {name for name, _ in ours}
        writer.global_properties[:] = [
            each for each in writer.global_properties if each[0] not in names
        ]
        for name, value in ours:
            writer.add_global_property(name, value)
        self._add_case(writer, run)

    def write_again(self) -> None:
        """Have the file written with the properties as they are now."""
        writer = self._writer()
        if writer is not None:
            writer.pytest_sessionfinish()

    def write_where_missing(self, run: Run) -> None:
        """Write the file where pytest was not there to do it."""
        if self._writer() is None:
            write_junit(run, self._default)

    def _add_case(self, writer: _SuiteWriter, run: Run) -> None:
        own = case_of_run(run)
        if own is None or self._has_case:
            return
        self._has_case = True
        classname, _, name = own.id.partition("::")
        case = writer.node_reporter(own.id)
        case.attrs.update(classname=classname, name=name)
        case._add_simple("error", legal_xml(own.message), legal_xml(own.message))
        writer.add_stats("error")

    def _writer(self) -> _SuiteWriter | None:
        # pytest has no public way to its writer; without it the file is written by us.
        with contextlib.suppress(ImportError, AttributeError):
            from _pytest.junitxml import xml_key  # noqa: PLC0415 - it may not be there

            return cast(_SuiteWriter | None, self._config.stash.get(xml_key, None))
        return None
