"""The run written down line by line as it happens, and read back after it died."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from reports.model import Check, NotApplicable, Outcome, Run
from reports.plain import from_plain, to_line, to_plain

JOURNAL_NAME = "run.jsonl"


class Journal:
    """Keeps a run in a file; each line is with the operating system when a call returns.

    A killed process loses nothing of it. A power cut may: the gate is run again then. Where a line
    cannot be written (the disk is full) the journal ends with the one before it, and the run goes
    on: its reports are written from memory.

    Raises:
        OSError: the file cannot be begun.
    """

    def __init__(self, path: Path, run: Run) -> None:
        """Start the file anew with what is known before the first check."""
        self._stream: TextIO = path.open("w", encoding="ascii", newline="\n")
        self._ended = False
        self._stream.write(_line({"event": "run", "run": to_plain(run)}))
        self._stream.flush()

    def planned(self, count: int) -> None:
        """Say how many checks there will be."""
        self._write({"event": "planned", "count": count})

    def not_applicable(self, left_out: Sequence[NotApplicable]) -> None:
        """Say which checks were left out."""
        self._write({"event": "not applicable", "checks": to_plain(tuple(left_out))})

    def begun(self, check_id: str) -> None:
        """Say that a check begins."""
        self._write({"event": "begun", "id": check_id})

    def check(self, check: Check) -> None:
        """Add a check that ended."""
        self._write({"event": "check", "check": to_plain(check)})

    def end(self, run: Run) -> None:
        """Add how the run ended."""
        self._write({"event": "end", "run": to_plain(replace(run, checks=()))})

    def close(self) -> None:
        """Close the file. Twice is harmless."""
        with contextlib.suppress(OSError):
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, event: Mapping[str, object]) -> None:
        if self._ended:
            return
        try:
            self._stream.write(_line(event))
            self._stream.flush()
        except OSError:
            # Behind a line that is torn off nothing may follow.
            self._ended = True


@dataclass(frozen=True, kw_only=True)
class JournalContent:
    """A journal read back: the run, and the checks that began and left no result."""

    run: Run
    unfinished: tuple[str, ...]

    def as_run(self) -> Run:
        """Return the run with its unfinished checks as inconclusive ones."""
        left = tuple(_cut_off(check_id) for check_id in self.unfinished)
        return replace(self.run, checks=self.run.checks + left)


def read_journal(path: Path) -> JournalContent:
    """Return what the file holds; a line that was torn off is left out.

    Raises:
        FileNotFoundError: there is no journal.
        ValueError: it does not say what run it is of.
    """
    run: Run | None = None
    checks: list[Check] = []
    begun: list[str] = []
    planned: int | None = None
    not_applicable: tuple[NotApplicable, ...] = ()
    for event in _events(path):
        match event:
            case {"event": "run" | "end", "run": described}:
                run = from_plain(Run, described)
            case {"event": "planned", "count": int(count)}:
                planned = count
            case {"event": "not applicable", "checks": list(left_out)}:
                not_applicable = tuple(from_plain(NotApplicable, each) for each in left_out)
            case {"event": "begun", "id": str(check_id)}:
                begun.append(check_id)
            case {"event": "check", "check": described}:
                checks.append(from_plain(Check, described))
    if run is None:
        raise ValueError(f"{path} does not begin with the description of a run")
    ended = {check.id for check in checks}
    whole = replace(
        run,
        checks=tuple(checks),
        planned=planned or run.planned,
        not_applicable=not_applicable or run.not_applicable,
    )
    unfinished = tuple(dict.fromkeys(each for each in begun if each not in ended))
    return JournalContent(run=whole, unfinished=unfinished)


def _line(event: Mapping[str, object]) -> str:
    return to_line(event) + "\n"


def _events(path: Path) -> Iterator[object]:
    with path.open(encoding="ascii", errors="replace") as stream:
        for line in stream:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _cut_off(check_id: str) -> Check:
    return Check(
        id=check_id,
        title=check_id.rpartition("::")[2],
        group=check_id.partition("::")[0],
        outcome=Outcome.INCONCLUSIVE,
        seconds=0.0,
        message="The run ended while this check was running",
    )
