"""One run of the gate in the controlling process: from arming to the verdict."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import children
from harness.drivers.protocol import Capabilities
from harness.guardian import NOTE_NAME, Guardian
from harness.introduction import Introduction, ask_driver, handed_over
from harness.junit_bridge import JunitBridge
from harness.options import REPORT_DIR
from harness.recorder import Recorder
from harness.replay import replay_check, replay_run
from harness.selftest.code import code_digest
from harness.selftest.memory import Memory
from harness.settings import Settings
from harness.surroundings import environment
from reports.html import HTML_NAME, write_html
from reports.journal import JOURNAL_NAME, Journal
from reports.json_report import JSON_NAME, write_json
from reports.model import NotApplicable, Run, State, Verdict
from reports.verdict import judge

_ARMED_NAME = "armed"
_OK, _TESTS_FAILED, _INTERNAL_ERROR = 0, 1, 3
_REASONS = {
    2: "It was interrupted",
    3: "The test runner had an internal error",
    4: "The test runner was not used as it can be",
    5: "No check was selected",
    6: "There were more warnings than allowed",
}
_CAME_TO_AN_END = (_OK, _TESTS_FAILED, 5, 6)


class Gate:
    """Nothing at all until it is armed; from then on a run that always leaves its reports."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.recorder: Recorder | None = None
        self.interruption = ""
        self._handoff: Path | None = None
        self._guardian: Guardian | None = None
        self._junit = JunitBridge(config, settings.report_dir)
        self._run: Run | None = None
        self._is_published = False
        self._introduction: Introduction | None = None

    @property
    def handoff(self) -> Path:
        """The folder that this process shares with its test processes; of this run alone."""
        if self._handoff is None:
            self._handoff = Path(tempfile.mkdtemp(prefix="queuedrill-"))
        return self._handoff

    def arm(self) -> None:
        """Begin the run: journal, guardian, and reports that say it has not ended.

        Without those a run that dies would leave the last one's READY. Twice is harmless.

        Raises:
            pytest.UsageError: the reports cannot be written.
        """
        if self.recorder is not None:
            return
        run = self._beginning()
        try:
            self.settings.report_dir.mkdir(parents=True, exist_ok=True)
            journal = Journal(self.settings.report_dir / JOURNAL_NAME, run)
            self.recorder = Recorder(run, journal, self._replay)
            self._write(run)
            self._junit.begin(run)
            (self.settings.report_dir / NOTE_NAME).unlink(missing_ok=True)
        except OSError as error:
            raise pytest.UsageError(
                f"the reports cannot be written to {self.settings.report_dir} ({error}). "
                f"Give another folder: {REPORT_DIR.flag} DIR"
            ) from None
        os.environ[children.CHILDREN_VARIABLE] = str(self.handoff / children.CHILDREN_NAME)
        self._guardian = Guardian(self.settings.report_dir, self._junit.path, self.handoff)

    def was_armed_by_worker(self) -> bool:
        """Return whether a test process collected a scenario."""
        return (self.handoff / _ARMED_NAME).exists()

    def planned(self, count: int) -> None:
        """Note how many checks there will be; harmless while not armed."""
        if self.recorder is not None:
            self.recorder.planned(count)

    def capabilities(self) -> Capabilities:
        """Return what the driver of this run declares; it is asked once.

        Raises:
            pytest.UsageError: it does not start, or has no right answer.
        """
        if self._introduction is None:
            self._introduction = ask_driver(self.settings, self.handoff)
        return self._introduction.capabilities

    def not_applicable(self, left_out: Sequence[NotApplicable]) -> None:
        """Note which checks judge what the driver does not declare; harmless while not armed."""
        if self.recorder is not None:
            self.recorder.not_applicable(left_out)

    def conclude(self, runner_status: int) -> None:
        """Give the run its end, as far as pytest's own status says it; junit.xml gets its part."""
        if self.recorder is None:
            return
        if self._introduction is not None and self.settings.driver is not None:
            self.recorder.learned(self._introduction.facts())
        self.not_applicable((*self.recorder.run.not_applicable, *handed_over(self.handoff)))
        state = State.FINISHED if runner_status in _CAME_TO_AN_END else State.INTERRUPTED
        self._run = self.recorder.end(runner_status, state, self._reason(runner_status))
        self._junit.add_run(self._run)

    def publish(self, runner_status: int) -> int:
        """Write the reports, and return the exit status that agrees with them.

        A status that came up after ``conclude`` (too many warnings, an error at the end) is
        taken in.
        """
        if self.recorder is None:
            return runner_status
        is_new = self._run is None or self._run.runner_status != runner_status
        if is_new:
            self.conclude(runner_status)
        assert self._run is not None
        self._is_published = True
        try:
            if is_new:
                self._junit.write_again()
            self._write(self._run)
            self._junit.write_where_missing(self._run)
        except OSError as error:
            return self.unwritten(error)
        return judge(self._run).exit_status(runner_status)

    def unwritten(self, error: OSError) -> int:
        """Return the exit status of a run whose reports are not all there: never that of READY.

        A verdict that nobody can read up is none. The reports that can be written say why.
        """
        assert self._run is not None
        self._is_published = True
        if judge(self._run).verdict is Verdict.READY:
            reason = f"The reports could not be written: {error}"
            self._run = replace(self._run, state=State.INTERRUPTED, reason=reason)
        for write in (self._write_json, self._write_html):
            with contextlib.suppress(OSError):
                write(self._run)
        return judge(self._run).exit_status(self._run.runner_status)

    def finished_run(self) -> Run | None:
        """Return the run where it was armed and has ended."""
        return self._run

    def report_paths(self) -> list[Path]:
        """Return where the three reports are."""
        folder = self.settings.report_dir
        return [folder / HTML_NAME, folder / JSON_NAME, self._junit.path]

    def close(self) -> None:
        """End the run's helpers and what is left of its children. Twice is harmless."""
        if self.recorder is not None and not self._is_published:
            self.publish(_INTERNAL_ERROR)
        if self._guardian is not None:
            self._guardian.dismiss()
            self._guardian = None
        if self.recorder is not None:
            self.recorder.close()
        if self._handoff is not None:
            children.reap(children.registered(self._handoff / children.CHILDREN_NAME))
            shutil.rmtree(self._handoff, ignore_errors=True)
            os.environ.pop(children.CHILDREN_VARIABLE, None)
            self._handoff = None

    def _beginning(self) -> Run:
        return Run(
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
            seed=self.settings.seed,
            profile=self.settings.profile.value,
            judged=(self.settings.subject(),),
            environment=environment(self.config, self.settings),
            min_checks=self.settings.min_checks,
            replay=replay_run(self.config, self.settings),
            detection=Memory(self.settings.report_dir, code_digest()).detection(),
        )

    def _replay(self, check_id: str) -> str:
        return replay_check(self.config, self.settings, check_id)

    def _reason(self, runner_status: int) -> str:
        if runner_status in (_OK, _TESTS_FAILED):
            return ""
        reason = _REASONS.get(runner_status, f"It was ended with status {runner_status}")
        return f"{reason} ({self.interruption})" if self.interruption else reason

    def _write(self, run: Run) -> None:
        self._write_json(run)
        self._write_html(run)

    def _write_json(self, run: Run) -> None:
        write_json(run, self.settings.report_dir / JSON_NAME)

    def _write_html(self, run: Run) -> None:
        write_html(run, self.settings.report_dir / HTML_NAME)


def join_run(handoff: Path) -> None:
    """Say, from a test process, that a scenario was collected, and be reaped with the rest."""
    (handoff / _ARMED_NAME).touch()
    os.environ[children.CHILDREN_VARIABLE] = str(handoff / children.CHILDREN_NAME)
    children.register(os.getpid())
