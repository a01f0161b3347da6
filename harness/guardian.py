"""Writes the reports of a run whose controlling process was killed.

A process of its own that waits for one line on its input. Where the input ends without it, the
controlling process is gone: what it left running is killed, and the reports are written out of
the journal, INCONCLUSIVE.
"""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from harness import children
from reports.html import HTML_NAME, write_html
from reports.journal import JOURNAL_NAME, read_journal
from reports.json_report import JSON_NAME, write_json
from reports.junit import write_junit
from reports.model import Run, State

NOTE_NAME = "guardian-error.txt"
"""Says in the report folder why the guardian could not write."""
_DONE = b"done\n"
_CHECKOUT = Path(__file__).resolve().parent.parent
_STOP_DEADLINE_S = 15.0
# A process that was forked off the controlling one keeps the input open: look for it as well.
_LOOK_EVERY_S = 0.5


class Guardian:
    """The controlling process's end: starts the guardian, and says when it is not needed."""

    def __init__(self, report_dir: Path, junit: Path, handoff: Path) -> None:
        me = children.known_as(os.getpid())
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "harness.guardian",
                *("--report-dir", str(report_dir), "--junit", str(junit)),
                *("--handoff", str(handoff)),
                *("--pid", str(me.pid), "--created", repr(me.created)),
            ],
            cwd=_CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C and a closed terminal are for the run; the guardian outlives them.
            start_new_session=True,
            creationflags=_windows_flags(),
        )

    def dismiss(self) -> None:
        """Say that the reports are written, and wait for the guardian to end."""
        with self._process:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(_DONE)
                self._process.stdin.close()
            except OSError:
                # It is gone already: nothing is left to be said.
                pass
            try:
                self._process.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()


def _windows_flags() -> int:
    """Flags that exist on Windows alone; zero elsewhere."""
    names = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")
    return sum(getattr(subprocess, name, 0) for name in names)


def write_interrupted(report_dir: Path, junit: Path) -> None:
    """Write all reports of a run that was killed, out of its journal."""
    run = interrupted(read_journal(report_dir / JOURNAL_NAME).as_run())
    write_json(run, report_dir / JSON_NAME)
    write_html(run, report_dir / HTML_NAME)
    write_junit(run, junit)


def interrupted(run: Run) -> Run:
    """Return the run as one that ended without a word."""
    return replace(
        run,
        state=State.INTERRUPTED,
        ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
        runner_status=None,
        reason="The process that controlled the run was killed",
    )


def main() -> None:
    """Wait; then leave, or do what the controlling process cannot do any more."""
    given = _arguments()
    controlling = children.ChildProcess(pid=given.pid, created=given.created)
    if _was_dismissed(sys.stdin.buffer, controlling):
        return
    children.reap(children.registered(given.handoff / children.CHILDREN_NAME))
    shutil.rmtree(given.handoff, ignore_errors=True)
    try:
        write_interrupted(given.report_dir, given.junit)
    except Exception as error:
        # Nobody reads our output: the folder is where somebody looks.
        note = given.report_dir / NOTE_NAME
        note.write_text(f"{type(error).__name__}: {error}\n", encoding="ascii", errors="replace")
        raise


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report-dir", type=Path, required=True)
    parser.add_argument("--junit", type=Path, required=True)
    parser.add_argument("--handoff", type=Path, required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--created", type=float, required=True)
    return parser.parse_args()


def _was_dismissed(stream: IO[bytes], controlling: children.ChildProcess) -> bool:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # A pipe cannot be waited for with a deadline on Windows; a thread can.
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    while True:
        try:
            return lines.get(timeout=_LOOK_EVERY_S) == _DONE
        except queue.Empty:
            if not children.is_alive(controlling):
                return False


if __name__ == "__main__":
    try:
        main()
    finally:
        # The reading thread may still wait for a line that never comes.
        os._exit(0)
