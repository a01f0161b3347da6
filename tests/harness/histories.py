"""Histories written by hand."""

from typing import Any

from harness.checkers import Record
from harness.drivers.protocol import Capabilities
from harness.history import FinalTask, Operation, Outcome, digest_of

PROMISES = Capabilities(
    leases=True, fencing=True, retries=True, priorities=True, delays=True, order=True
)


class Script:
    """Operations one after the other, each of a tenth of a second unless told."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(self, worker: str, op: str, at_s: float, **known: Any) -> "Script":
        """Add an operation."""
        lasted_s = known.pop("lasted_s", 0.1)
        outcome = known.pop("outcome", Outcome.OK)
        returned_s = None if outcome is Outcome.UNKNOWN else at_s + lasted_s
        self.operations.append(
            Operation(
                number=len(self.operations) + 1,
                worker=worker,
                op=op,
                invoked_s=at_s,
                returned_s=returned_s,
                outcome=outcome,
                **known,
            )
        )
        return self

    def enqueue(self, key: str, at_s: float = 0.0, **known: Any) -> "Script":
        """Add an enqueue of a task with this key."""
        facts = {"digest": digest_of(key)} | known.pop("facts", {})
        known.setdefault("worker", "p")
        return self.add(op="enqueue", at_s=at_s, key=key, facts=facts, **known)

    def about(self, op: str, worker: str, task: int, at_s: float, **known: Any) -> "Script":
        """Add what the holder of this task asked for, under its own name as the token."""
        known = {"fence": worker, "key": f"k{task}", "task_id": task} | known
        return self.add(worker, op, at_s, **known)

    def kill(self, worker: str, at_s: float) -> "Script":
        """Add the death of a worker."""
        return self.add(worker, "fault", at_s, facts={"fault": "killed-worker", "lost": True})

    def claim(
        self,
        worker: str,
        task: int,
        at_s: float,
        *,
        fence: str | None = None,
        attempts: int = 0,
        lease_s: float = 60.0,
        key: str | None = None,
        digest: str | None = None,
        **known: Any,
    ) -> "Script":
        """Add a claim that handed out this task."""
        key = key or f"k{task}"
        facts = {
            "lease_s": lease_s,
            "attempts": attempts,
            "max_attempts": 5,
            "digest": digest or digest_of(key),
        } | known.pop("facts", {})
        fence = fence or worker
        return self.add(
            worker, "claim", at_s, task_id=task, key=key, fence=fence, facts=facts, **known
        )

    def record(self, *final: FinalTask, seen: bool = True, **known: Any) -> Record:
        """Return what the checkers look at."""
        known.setdefault("capabilities", PROMISES)
        return Record(operations=tuple(self.operations), final=final if seen else None, **known)


def final(task: int, status: str = "completed", **known: Any) -> FinalTask:
    """A task at the end, as the script's producers put it in."""
    key = known.pop("key", f"k{task}")
    facts = {"attempts": 0, "max_attempts": 5, "digest": digest_of(key)} | known
    return FinalTask(id=task, key=key, status=status, **facts)
