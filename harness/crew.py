"""The worker processes of one scenario; all of them are gone when it ends."""

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from harness.drivers.client import Driver, DriverError
from harness.drivers.command import CORE, DriverCommand
from harness.history import History
from harness.worker import Worker


class Crew:
    """Starts workers, and ends those that are left.

    Args:
        history: where all their operations are written.
        folder: where what they say on stderr is kept.
        command: of the driver.
    """

    def __init__(self, history: History, folder: Path, command: DriverCommand = CORE) -> None:
        self.history = history
        self._folder = folder
        self._command = command
        self._workers: list[Worker] = []

    def start(
        self,
        database: Path,
        name: str,
        *,
        clock_offset_ms: int = 0,
        durability: str = "full",
    ) -> Worker:
        """Return a worker on the queue, in a process of its own.

        Args:
            database: the queue's file.
            name: of the worker, unlike all others of this crew.
            clock_offset_ms: how wrong its clock is, in milliseconds.
            durability: of what it acknowledges.

        Raises:
            DriverError: it does not start.
            CommandError: its clock is to be wrong, and cannot be.
        """
        words = self._command.words(
            database, clock_offset_ms=clock_offset_ms, durability=durability
        )
        return self.start_program(words, name)

    def start_program(self, command: Sequence[str], name: str) -> Worker:
        """Return a worker over the driver that the command starts.

        Raises:
            DriverError: it does not start.
        """
        driver = Driver(command, name=name, stderr_path=self._folder / f"{name}.stderr")
        worker = Worker(driver, self.history)
        self._workers.append(worker)
        return worker

    def start_all(self, database: Path, prefix: str, count: int) -> list[Worker]:
        """Return so many workers, named by the prefix and a number."""
        return [self.start(database, f"{prefix}{number}") for number in range(count)]

    def start_side_by_side(self, commands: Mapping[str, Sequence[str]]) -> list[Worker]:
        """Return a worker for each name and command, in their order; they start at one time.

        Args:
            commands: by name. The queue is there already: no driver may have to make it, since
                two of them would.

        Raises:
            DriverError: one does not start.
        """
        with ThreadPoolExecutor(len(commands)) as pool:
            return list(pool.map(self.start_program, commands.values(), commands))

    def close(self) -> None:
        """End all workers that are left, also where one of them cannot be ended."""
        with contextlib.ExitStack() as closing:
            while self._workers:
                closing.callback(_close, self._workers.pop().driver)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _close(driver: Driver) -> None:
    with contextlib.suppress(DriverError):
        driver.close()
