"""Runs the trials, some side by side, and tells each as it ends."""

import shutil
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.planted import Defect
from harness.profile import Profile
from harness.selftest.gaterun import GateRan, GateRun, run_gate
from harness.selftest.memory import Clean, Memory
from harness.selftest.trial import FOLDER, State, Trial, asked_of, judge_trial
from reports.model import Outcome, Verdict

KEPT_FOLDER = "selftest"


@dataclass(frozen=True)
class Bench:
    """Where trials are made.

    Attributes:
        folder: of the reports.
        memory: takes every result.
        jobs: how many runs go on side by side.
    """

    folder: Path
    memory: Memory
    jobs: int = 2
    _cut_off: threading.Event = field(default_factory=threading.Event)

    def try_defects(self, defects: Iterable[Defect], seed: int, *, whole: bool) -> Iterator[Trial]:
        """Try each defect once; yield each trial as it ends.

        Args:
            defects: to be tried.
            seed: of all their random choices.
            whole: run all of the gate on each, not only the checks that must see it.
        """
        with ThreadPoolExecutor(self.jobs) as pool:
            running = [pool.submit(self._try, each, seed, whole) for each in defects]
            try:
                for done in as_completed(running):
                    trial = done.result()
                    self.memory.add(trial, _now())
                    yield trial
            except BaseException:
                self._cut_off.set()
                raise
            finally:
                for left in running:
                    left.cancel()

    def run_clean(self, seed: int) -> Clean:
        """Run the whole gate on the core as it is."""
        ran = self._ran([FOLDER], seed, None, Profile.GATE, f"clean-{seed}", alone=False)
        clean = Clean(
            seed=seed,
            ready=ran.report.get("verdict") == Verdict.READY,
            failed=tuple(_not_passed(ran)),
        )
        if clean.ready:
            self._forget(f"clean-{seed}")
        self.memory.add(clean, _now())
        return clean

    def _try(self, defect: Defect, seed: int, whole: bool) -> Trial:
        name = f"{defect.name}-{seed}"
        checks = [FOLDER] if whole else asked_of(defect)
        ran = self._ran(checks, seed, defect.name, defect.profile, name, alone=True)
        trial = judge_trial(defect, seed, ran, whole=whole)
        if trial.state is State.CAUGHT or self._cut_off.is_set():
            self._forget(name)
        return trial

    def _ran(
        self,
        checks: list[str],
        seed: int,
        plant: str | None,
        profile: Profile,
        name: str,
        *,
        alone: bool,
    ) -> GateRan:
        run = GateRun(
            checks=checks,
            seed=seed,
            plant=plant,
            profile=profile,
            folder=self._kept(name),
            alone=alone,
        )
        return run_gate(run)

    def _kept(self, name: str) -> Path:
        return self.folder / KEPT_FOLDER / name

    def _forget(self, name: str) -> None:
        """Delete what a run left; what is surprising is kept, and of a run cut off nothing."""
        shutil.rmtree(self._kept(name), ignore_errors=True)


def _not_passed(ran: GateRan) -> Iterator[str]:
    for check in ran.report.get("checks", ()):
        if check["outcome"] != Outcome.PASSED:
            yield f"{check['id']}: {check['message']}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
