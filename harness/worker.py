"""A driver process whose every operation is written down before it is sent and when it returns."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from harness.drivers.client import (
    REQUEST_TIMEOUT_S,
    Driver,
    DriverError,
    DriverWrongError,
    Pending,
)
from harness.drivers.protocol import Message
from harness.history import FinalTask, History, Operation, Ticket, digest_of, final_tasks

LEASE_S = 60.0
TASK_TYPE = "drill"


class InFlight:
    """An operation that was sent; ``settle`` says what came of it.

    Args:
        ticket: where the outcome is written down.
        pending: the request.
        learn: told the answer once it is acknowledged.

    Attributes:
        answer: the driver's answer once it is settled and acknowledged, else None.
    """

    def __init__(
        self, ticket: Ticket, pending: Pending, learn: Callable[[Message], None] | None = None
    ) -> None:
        self._ticket = ticket
        self._pending = pending
        self._learn = learn
        self.answer: Message | None = None

    def answered(self) -> bool:
        """Return whether ``settle`` would return at once."""
        return self._pending.answered()

    def settle(self, timeout_s: float = REQUEST_TIMEOUT_S) -> Operation:
        """Return the operation with its outcome, written down.

        Args:
            timeout_s: without an answer in that time the outcome is unknown.

        Raises:
            DriverWrongError: the driver does what the protocol does not allow, which says nothing
                about the queue. The operation is written down before.
        """
        try:
            self.answer = self._pending.wait(timeout_s)
        except DriverWrongError as error:
            self._ticket.unknown(str(error))
            raise
        except DriverError as error:
            end = self._ticket.unknown if error.unknown else self._ticket.failed
            return end(str(error))
        if self._learn is not None:
            self._learn(self.answer)
        return self._ticket.ok(**_learned(self.answer))


class Worker:
    """One worker or producer of a drill.

    Args:
        driver: its process.
        history: where its operations are written.

    Attributes:
        name: of the driver, and the name under which it claims.
        task: what it holds as far as it knows, as the driver told it, else None.
    """

    def __init__(self, driver: Driver, history: History) -> None:
        self.driver = driver
        self.history = history
        self.name = driver.name
        self.task: Message | None = None

    # -- putting in ------------------------------------------------------------------------

    def enqueue(self, key: str, **settings: Any) -> Operation:  # noqa: ANN401 - JSON
        """Put one task in; see ``send_enqueue``."""
        return self.send_enqueue(key, **settings).settle()

    def send_enqueue(
        self,
        key: str,
        *,
        filling: str = "",
        scheduled_s: float | None = None,
        **settings: Any,  # noqa: ANN401 - JSON
    ) -> InFlight:
        """Send one task without waiting for the acknowledgement.

        Args:
            key: the task's name in the history; it is also its idempotency key.
            filling: text that makes the payload as large as wanted.
            scheduled_s: when it was to be sent, on the history's clock; kept as a fact.
            settings: further fields of the protocol's ``enqueue``.
        """
        payload = {"key": key, "filling": filling}
        facts = settings if scheduled_s is None else {**settings, "scheduled_s": scheduled_s}
        digest = digest_of(payload)
        ticket = self.history.begin(self.name, "enqueue", key=key, digest=digest, **facts)
        pending = self.driver.send("enqueue", type=TASK_TYPE, payload=payload, key=key, **settings)
        return InFlight(ticket, pending)

    # -- working off -----------------------------------------------------------------------

    def claim(self, *, lease_s: float = LEASE_S) -> Operation:
        """Claim the next task; the operation's ``task_id`` is None where there was none."""
        return self.send_claim(lease_s=lease_s).settle()

    def send_claim(self, *, lease_s: float = LEASE_S) -> InFlight:
        """Send a claim without waiting; the task is held once it is settled."""

        def take(answer: Message) -> None:
            self.task = answer["task"]

        self.task = None
        ticket = self.history.begin(self.name, "claim", lease_s=lease_s)
        pending = self.driver.send("claim", worker=self.name, lease_s=lease_s)
        return InFlight(ticket, pending, take)

    def heartbeat(self, *, lease_s: float = LEASE_S) -> Operation:
        """Extend the lease of the held task."""
        return self.send_about("heartbeat", lease_s=lease_s).settle()

    def complete(self) -> Operation:
        """Complete the held task."""
        return self.send_about("complete").settle()

    def fail(self, error: str, *, retry_after_s: float = 0.0) -> Operation:
        """Give the held task back as failed."""
        return self.send_about("fail", error=error, retry_after_s=retry_after_s).settle()

    def send_about(self, op: str, **settings: Any) -> InFlight:  # noqa: ANN401 - JSON
        """Send an operation about the held task without waiting for its answer.

        Args:
            op: ``heartbeat``, ``complete`` or ``fail``.
            settings: the other fields that it needs.
        """
        assert self.task is not None, "a task must be claimed before"
        ticket = self.history.begin(
            self.name,
            op,
            key=_key_of(self.task),
            task_id=int(self.task["id"]),
            fence=_fence_of(self.task),
            **settings,
        )
        return InFlight(ticket, self.driver.send(op, task=self.task, **settings))

    # -- looking after it ------------------------------------------------------------------

    def reclaim(self, *, timeout_s: float = 0.0) -> Operation:
        """Free the tasks of dead holders; the operation's facts have their ``count``."""
        ticket = self.history.begin(self.name, "reclaim", timeout_s=timeout_s)
        return InFlight(ticket, self.driver.send("reclaim", timeout_s=timeout_s)).settle()

    def final(self) -> tuple[FinalTask, ...]:
        """Return all tasks as the queue has them now.

        Raises:
            DriverError: they cannot be had.
        """
        return final_tasks(self.driver.request("snapshot", timeout_s=60.0)["tasks"])


def _learned(answer: Message) -> dict[str, Any]:
    """Return what an answer adds to its operation."""
    learned: dict[str, Any] = {}
    if "task_id" in answer:
        learned["task_id"] = answer["task_id"]
    task = answer.get("task")
    if isinstance(task, Mapping):
        learned |= {"task_id": task["id"], "key": _key_of(task), "fence": _fence_of(task)}
        learned["facts"] = {
            "attempts": task["attempts"],
            "max_attempts": task["max_attempts"],
            "digest": digest_of(task["payload"]),
        }
    elif "count" in answer or "status" in answer:
        learned["facts"] = {name: answer[name] for name in ("count", "status") if name in answer}
    return learned


def _key_of(task: Mapping[str, Any]) -> str | None:
    payload = task["payload"]
    return str(payload["key"]) if isinstance(payload, dict) and "key" in payload else None


def _fence_of(task: Mapping[str, Any]) -> str:
    return json.dumps(task.get("token"))
