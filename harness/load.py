"""Producers that put tasks in for as long as a body runs, and what that body did to them."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from harness.history import History, Operation
from harness.waiting import wait_until
from harness.worker import Worker

_TIMEOUT_S = 20.0


class Load:
    """Each producer puts in one task after the other; all have stopped when the body ends.

    A task that is not acknowledged does not stop its producer, unless the driver is gone.

    Args:
        producers: each is one process.
        prefix: what the tasks' keys begin with.
        filling: text that makes the payloads as large as wanted.
    """

    def __init__(self, producers: Sequence[Worker], *, prefix: str, filling: str = "") -> None:
        self._producers = producers
        self._prefix = prefix
        self._filling = filling
        self._stop = threading.Event()
        self._done: list[Operation] = []
        self._pool = ThreadPoolExecutor(len(producers))
        self._running: list[Future[None]] = []

    def operations(self) -> tuple[Operation, ...]:
        """Return the enqueues that have returned so far."""
        return tuple(self._done)

    def wait_for_acknowledgement(self, since_s: float) -> Operation:
        """Return an enqueue that was asked for after the moment and acknowledged.

        Args:
            since_s: on the history's clock.

        Raises:
            WaitedTooLongError: there was none for a while.
        """
        return wait_until(
            lambda: next((op for op in self._done[::-1] if op.ok and op.invoked_s > since_s), None),
            "an acknowledgement under load",
            timeout_s=_TIMEOUT_S,
        )

    def wait_for_stall(self, least_s: float) -> None:
        """Return when every producer has waited so long for an answer that has not come yet.

        Raises:
            WaitedTooLongError: one was always answered sooner.
        """
        history = self._producers[0].history
        names = {producer.name for producer in self._producers}
        wait_until(lambda: names <= _waiting(history, least_s), "a stall", timeout_s=_TIMEOUT_S)

    def inside(self, start_s: float, end_s: float) -> list[Operation]:
        """Return the acknowledged enqueues that began and ended between the two moments."""
        return [
            op
            for op in self.operations()
            if op.ok and start_s <= op.invoked_s and (op.returned_s or 0.0) <= end_s
        ]

    def meeting(self, start_s: float, end_s: float) -> list[Operation]:
        """Return the enqueues that were under way at any time between the two moments."""
        return [
            op
            for op in self.operations()
            if op.invoked_s < end_s and (op.returned_s or end_s) > start_s
        ]

    def longest_stall_s(self, start_s: float, end_s: float) -> float:
        """Return how long the slowest enqueue took that met the time between the two moments."""
        met = self.meeting(start_s, end_s)
        return max(((op.returned_s or end_s) - op.invoked_s for op in met), default=0.0)

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._put_in, each) for each in self._producers]
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for running in self._running:
            running.result()

    def _put_in(self, producer: Worker) -> None:
        number = 0
        while not self._stop.is_set() and producer.driver.exit_status is None:
            key = f"{self._prefix}-{producer.name}-{number:05d}"
            self._done.append(producer.enqueue(key, filling=self._filling))
            number += 1


def _waiting(history: History, least_s: float) -> set[str]:
    limit_s = history.now_s() - least_s
    return {
        op.worker
        for op in history.operations()
        if op.returned_s is None and op.invoked_s <= limit_s
    }
