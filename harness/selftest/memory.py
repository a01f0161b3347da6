"""What all trials so far came to, kept in a file that only grows."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.planted import DEFECTS, Defect
from harness.selftest.trial import State, Trial
from reports.detection import CleanRuns, DefectRow, Detection
from reports.plain import to_line

MEMORY_NAME = "selftest.jsonl"


@dataclass(frozen=True, kw_only=True)
class Clean:
    """A run of the whole gate without a defect.

    Attributes:
        seed: of the run.
        ready: whether it was READY; else it cried wolf.
        failed: ids of the checks that were not passed.
    """

    seed: int
    ready: bool
    failed: tuple[str, ...]


class Memory:
    """The trials of all selftests that reported to one folder.

    Args:
        folder: of the reports; made where missing.
        code: digest of the sources that are tried now.
    """

    def __init__(self, folder: Path, code: str) -> None:
        self.path = folder / MEMORY_NAME
        self.code = code

    def add(self, entry: Trial | Clean, at: str) -> None:
        """Put one trial down, so that it stays whatever comes next.

        Args:
            entry: what came of it.
            at: when it ended, UTC, ISO 8601.
        """
        kind = "clean" if isinstance(entry, Clean) else "trial"
        line = to_line({"kind": kind, "at": at, "code": self.code, "what": entry})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            stream.write(line.encode("ascii") + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def detection(self, defects: Iterable[Defect] = tuple(DEFECTS.values())) -> Detection | None:
        """Return what is known of the gate's power; None where nothing was tried yet."""
        entries = list(self._entries())
        if not entries:
            return None
        own = [entry for entry in entries if entry["code"] == self.code]
        trials = [entry["what"] for entry in own if entry["kind"] == "trial"]
        return Detection(
            ended=str(entries[-1]["at"]),
            code=self.code if own else str(entries[-1]["code"]),
            rows=tuple(_row(defect, trials) for defect in defects),
            clean=_clean(own),
            clean_ever=_clean(entries),
            current=bool(own),
        )

    def _entries(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="ascii", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                # The last line of a run that was cut off.
                continue
            yield entry


def _row(defect: Defect, trials: list[dict[str, Any]]) -> DefectRow:
    """Put the trials of a defect together; a seed that was tried again counts with its last."""
    by_seed = {trial["seed"]: trial for trial in trials if trial["name"] == defect.name}
    caught = [each for each in by_seed.values() if each["state"] == State.CAUGHT]
    files = (
        failed.partition("::")[0] for t in by_seed.values() if t["whole"] for failed in t["failed"]
    )
    return DefectRow(
        name=defect.name,
        group=defect.group,
        wrong=defect.wrong,
        profile=defect.profile.value,
        caught=len(caught),
        tried=len(by_seed),
        by=tuple(dict.fromkeys(said for each in caught for said in each["by"])),
        missed_seeds=tuple(s for s, each in by_seed.items() if each["state"] != State.CAUGHT),
        red_in=tuple(sorted(set(files))),
    )


def _clean(entries: list[dict[str, Any]]) -> CleanRuns:
    runs = [entry["what"] for entry in entries if entry["kind"] == "clean"]
    return CleanRuns(runs=len(runs), alarms=sum(not run["ready"] for run in runs))
