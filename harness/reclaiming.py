"""Who takes tasks away from dead holders, and how often: together they define the recovery time."""

import threading
from typing import Self

from harness.drivers.client import DriverWrongError
from harness.history import Operation
from harness.waiting import wait_until
from harness.worker import LEASE_S, Worker

_TIMEOUT_S = 30.0


class Reclaimer:
    """One worker that reclaims for as long as the body runs, at even pauses.

    Args:
        worker: asks for it.
        every_s: the pause between two reclaims, in seconds.

    Raises:
        DriverWrongError: at its end, where the driver did what the protocol does not allow.
    """

    def __init__(self, worker: Worker, *, every_s: float) -> None:
        self._worker = worker
        self._every_s = every_s
        self._stop = threading.Event()
        self._wrong: DriverWrongError | None = None
        self._thread = threading.Thread(target=self._work, name="reclaimer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(_TIMEOUT_S)
        if self._wrong is not None and kind is None:
            raise self._wrong

    def _work(self) -> None:
        try:
            while not self._stop.wait(self._every_s) and self._worker.driver.exit_status is None:
                self._worker.reclaim()
        except DriverWrongError as error:
            self._wrong = error


def reclaim_until_freed(worker: Worker, *, timeout_s: float = _TIMEOUT_S) -> Operation:
    """Return the reclaim that took a task from its holder.

    Raises:
        WaitedTooLongError: none did in that time.
    """

    def reclaim() -> Operation | None:
        operation = worker.reclaim()
        return operation if operation.facts.get("count") else None

    return wait_until(reclaim, "the end of a lease", timeout_s=timeout_s)


def claim_when_there(
    worker: Worker, *, lease_s: float = LEASE_S, timeout_s: float = _TIMEOUT_S
) -> Operation:
    """Return the first claim that got a task.

    Raises:
        WaitedTooLongError: none did in that time.
    """

    def claim() -> Operation | None:
        operation = worker.claim(lease_s=lease_s)
        return operation if operation.task_id is not None else None

    return wait_until(claim, "a task to be claimed", timeout_s=timeout_s)
