"""Producers and workers that go on for as long as a body runs."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Self

from harness.errands import ask_until_served, told_busy
from harness.history import History, Operation
from harness.waiting import wait_until
from harness.worker import Worker

_TIMEOUT_S = 20.0
_IDLE_PAUSE_S = 0.01


class Load:
    """Producers put tasks in and workers work them off, one after the other, for the body.

    Each worker claims a task, extends its lease and completes it. Who is told that the queue is
    busy asks again; what else is not acknowledged stops nobody, unless the driver is gone. Every
    task is put down when the body ends.

    Args:
        producers: each is one process; none where there is only to be worked.
        workers: likewise.
        prefix: what the tasks' keys begin with.
        filling: text that makes the payloads as large as wanted.

    Attributes:
        history: where all of it is written down.
    """

    def __init__(
        self,
        producers: Sequence[Worker],
        workers: Sequence[Worker] = (),
        *,
        prefix: str,
        filling: str = "",
    ) -> None:
        self.history: History = next(iter((*producers, *workers))).history
        self._loops: list[tuple[Callable[[Worker], None], Worker]] = [
            *((self._put_in, producer) for producer in producers),
            *((self._work_off, worker) for worker in workers),
        ]
        self._prefix = prefix
        self._filling = filling
        self._stop = threading.Event()
        self._done: list[Operation] = []
        self._pool = ThreadPoolExecutor(len(self._loops))
        self._running: list[Future[None]] = []

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations that have returned so far, in the order of their answers."""
        return tuple(self._done)

    def wait_for_acknowledgement(
        self, since_s: float, op: str = "enqueue", *, timeout_s: float = _TIMEOUT_S
    ) -> Operation:
        """Return an operation that was asked for after the moment and acknowledged.

        Args:
            since_s: on the history's clock.
            op: which; a claim that found nothing is none.
            timeout_s: how long to wait, in seconds.

        Raises:
            WaitedTooLongError: there was none for a while.
        """
        return wait_until(
            lambda: next((each for each in self._done[::-1] if _answers(each, op, since_s)), None),
            f"an acknowledged {op} under load",
            timeout_s=timeout_s,
        )

    def wait_for_each(
        self, ops: Sequence[str], since_s: float = 0.0, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Return when each of the operations was asked for after the moment and acknowledged.

        Raises:
            WaitedTooLongError: one was not.
        """
        for op in ops:
            self.wait_for_acknowledgement(since_s, op, timeout_s=timeout_s)

    def wait_for_count(self, count: int) -> None:
        """Return when each process has had so many answers.

        Raises:
            WaitedTooLongError: one of them had not, for a while.
        """
        wait_until(lambda: self._least_answers() >= count, f"{count} answers each", timeout_s=60.0)

    def wait_for_stall(self, least_s: float, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Return when every process has waited so long for an answer that has not come yet.

        Raises:
            WaitedTooLongError: one was always answered sooner.
        """
        wait_until(
            lambda: self._names() <= self.stalled(least_s), "a stall of all", timeout_s=timeout_s
        )

    def wait_for_refusal(self, since_s: float, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Return when every process was told after the moment that the queue is busy.

        Raises:
            WaitedTooLongError: one was not, for a while.
        """
        wait_until(
            lambda: (
                self._names()
                <= {op.worker for op in self._returned_after(since_s) if told_busy(op)}
            ),
            "a refusal of all",
            timeout_s=timeout_s,
        )

    def wait_until_all_are_served(self) -> None:
        """Return when every process has had an acknowledgement from now on.

        Raises:
            WaitedTooLongError: one had none, for a while.
        """
        since_s = self.history.now_s()
        wait_until(
            lambda: self._names() <= {op.worker for op in self._returned_after(since_s) if op.ok},
            "an acknowledgement to all",
            timeout_s=_TIMEOUT_S,
        )

    def stalled(self, least_s: float) -> set[str]:
        """Return the names of those that have waited so long for an answer, and still do."""
        limit_s = self.history.now_s() - least_s
        return {
            op.worker
            for op in self.history.operations()
            if op.returned_s is None and op.invoked_s <= limit_s
        }

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(loop, worker) for loop, worker in self._loops]
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for running in self._running:
            running.result()

    def _names(self) -> set[str]:
        return {worker.name for _loop, worker in self._loops}

    def _least_answers(self) -> int:
        counts = Counter(op.worker for op in self.operations())
        return min(counts[name] for name in self._names())

    def _returned_after(self, since_s: float) -> Iterator[Operation]:
        return (op for op in self.operations() if (op.returned_s or 0.0) > since_s)

    def _put_in(self, producer: Worker) -> None:
        number = 0
        while self._goes_on(producer):
            key = f"{self._prefix}-{producer.name}-{number:05d}"
            self._served(partial(producer.enqueue, key, filling=self._filling))
            number += 1

    def _work_off(self, worker: Worker) -> None:
        while self._goes_on(worker):
            if self._served(worker.claim).task_id is None:
                self._stop.wait(_IDLE_PAUSE_S)
                continue
            self._served(worker.heartbeat)
            self._served(worker.complete)

    def _goes_on(self, worker: Worker) -> bool:
        return not self._stop.is_set() and worker.driver.exit_status is None

    def _served(self, ask: Callable[[], Operation]) -> Operation:
        return ask_until_served(ask, self._done.append)


def _answers(op: Operation, name: str, since_s: float) -> bool:
    found_nothing = name == "claim" and op.task_id is None
    return op.op == name and op.ok and op.invoked_s > since_s and not found_nothing
