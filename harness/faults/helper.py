"""A helper process of a fault: started, heard, ended by the end of its input, and reaped."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from harness import children

TIMEOUT_S = 30.0


class Helper:
    """A program that says lines, and ends when its input does.

    Args:
        program: its file name in this folder, or its path.
        arguments: its own.
    """

    def __init__(self, program: str | Path, *arguments: object) -> None:
        path = Path(__file__).parent / program
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", str(path), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        children.register(self.pid)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How it ended, as ``subprocess`` has it, or None while it runs."""
        return self._process.poll()

    def line(self) -> str:
        """Return the next line that it says; empty where it ends, or says nothing for long."""
        assert self._process.stdout is not None
        timer = threading.Timer(TIMEOUT_S, self._process.kill)
        timer.start()
        try:
            return self._process.stdout.readline().decode("utf-8", "replace").strip()
        finally:
            timer.cancel()

    def tell(self, line: str) -> None:
        """Say a line to it; one that has ended hears nothing."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def end(self) -> int:
        """Return its exit status, once it has ended by itself or was killed; harmless twice."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._reap()

    def kill(self) -> int:
        """Return its exit status, once it was killed; harmless twice."""
        self._process.kill()
        return self._reap()

    def _reap(self) -> int:
        status = self._process.wait(TIMEOUT_S)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        return status


@contextlib.contextmanager
def helper(program: str | Path, *arguments: object) -> Iterator[Helper]:
    """Run the program for the body; it is gone afterwards, however the body ends."""
    process = Helper(program, *arguments)
    try:
        yield process
    finally:
        process.end()
