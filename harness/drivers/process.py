"""The process of a driver, and those that it starts: all of them are killed and stopped together.

A driver may be a script whose work is done by children (a shell, or Python on Windows, where the
program of a virtual environment is only a launcher).
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from harness import children


class DriverProcess:
    """A program with pipes to its input and output; its stderr goes to a file.

    Args:
        command: program and arguments.
        stderr_path: what it says there is added to this file.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], stderr_path: Path) -> None:
        stderr_path.parent.mkdir(parents=True, exist_ok=True)
        # A group of its own: Ctrl-C at the keyboard is the harness's to handle.
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        with stderr_path.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                creationflags=flags,
                start_new_session=os.name == "posix",
            )
        children.register(self.pid)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How the process ended, as ``subprocess`` has it, or None while it runs."""
        return self._process.poll()

    @property
    def stdin(self) -> IO[bytes]:
        """Its input."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> io.BufferedReader:
        """Its output."""
        assert isinstance(self._process.stdout, io.BufferedReader)
        return self._process.stdout

    def wait(self, timeout_s: float) -> int | None:
        """Return how it ended, or None where it has not in that time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Kill the process (SIGKILL, TerminateProcess) and those that it started.

        What it started is looked for even where the process itself has ended.
        """
        if sys.platform == "win32":
            family = self._family()
            self._process.kill()
            for member in family[1:]:
                with contextlib.suppress(psutil.Error):
                    member.kill()
        else:
            # The id of a group stays taken for as long as it has a member.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def suspend(self) -> None:
        """Stop the process and those that it started, where they are.

        Raises:
            psutil.NoSuchProcess: it has ended.
        """
        self._require_alive()
        if sys.platform == "win32":
            for member in self._family():
                member.suspend()
        else:
            os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of them go on.

        Raises:
            psutil.NoSuchProcess: it has ended.
        """
        self._require_alive()
        if sys.platform == "win32":
            for member in self._family():
                member.resume()
        else:
            os.killpg(self.pid, signal.SIGCONT)

    def suspended(self) -> bool:
        """Return whether the system says that all of them stand still.

        Raises:
            psutil.NoSuchProcess: it has ended.
        """
        self._require_alive()
        still = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        return all(member.status() in still for member in self._family())

    def close_pipes(self) -> None:
        """Close both pipes; nobody may be reading or writing them."""
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                stream.close()

    def _family(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []

    def _require_alive(self) -> None:
        if self.exit_status is not None:
            raise psutil.NoSuchProcess(self.pid)


def was_killed(exit_status: int | None) -> bool:
    """Return whether an exit status is that of a process that was killed.

    Windows tells a killed process by nothing but its status not being 0.
    """
    if os.name == "nt":
        return exit_status not in (None, 0)
    return exit_status == -int(getattr(signal, "SIGKILL", 9))


def ended_by_itself(exit_status: int) -> bool:
    """Return whether nobody is known to have ended the process: it has exited, or crashed.

    Windows tells a crash from a kill by nothing: there only an exit with status 0 is known.
    """
    if os.name == "nt":
        return exit_status == 0
    return exit_status not in _ENDED_BY_OTHERS


def how_it_ended(exit_status: int) -> str:
    """Return the end of a process in words."""
    if exit_status >= 0:
        return f"exit status {exit_status}"
    try:
        return signal.Signals(-exit_status).name
    except ValueError:
        return f"signal {-exit_status}"


_ENDED_BY_OTHERS = tuple(
    -int(getattr(signal, name, 0))
    for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)
)
