"""What became of every acknowledged task across a restore.

The backup's snapshot lies somewhere between the moment it was asked for and the moment it was
done. What was acknowledged before it was asked for must be there; what came later may be lost,
and is counted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.history import FinalTask, Operation


@dataclass(frozen=True, kw_only=True)
class Reckoning:
    """Every acknowledged task in one class.

    Attributes:
        kept: there, and no acknowledged completion undone.
        lost_within: gone; acknowledged after the backup was asked for.
        lost_beyond: gone though acknowledged before. A broken promise.
        resurrected: there and to run again, though completed after the backup was asked for.
        undone: likewise, though completed before. A broken promise.
        duplicated: there more than once. A broken promise.
        unexpected: there, and never put in. A broken promise.
        from_later: there, or completed, though that was asked for after the backup was done: the
            restored state is not the backup's. A broken promise.
        rpo_s: seconds from the backup to the last acknowledgement that was lost; 0 if none was.
    """

    kept: tuple[str, ...]
    lost_within: tuple[str, ...]
    lost_beyond: tuple[str, ...]
    resurrected: tuple[str, ...]
    undone: tuple[str, ...]
    duplicated: tuple[str, ...]
    unexpected: tuple[str, ...]
    from_later: tuple[str, ...]
    rpo_s: float

    @property
    def broken(self) -> dict[str, tuple[str, ...]]:
        """The classes that must be empty."""
        return {
            "lost beyond the backup": self.lost_beyond,
            "completed before the backup and undone": self.undone,
            "duplicated": self.duplicated,
            "never put in": self.unexpected,
            "from after the backup": self.from_later,
        }

    def __str__(self) -> str:
        """Return one line with all figures."""
        return (
            f"{len(self.kept)} kept, {len(self.lost_within)} lost since the backup, "
            f"{len(self.lost_beyond)} lost from before it, {len(self.resurrected)} completed "
            f"since and to run again, {len(self.undone)} completed before it and undone, "
            f"{len(self.duplicated)} duplicated, {len(self.unexpected)} never put in, "
            f"{len(self.from_later)} from after it"
        )


def reckon(
    operations: Sequence[Operation], backup: Operation, restored: Sequence[FinalTask]
) -> Reckoning:
    """Return the class of every task that was acknowledged before the restore.

    Args:
        operations: the history up to the disaster.
        backup: the operation that made the backup.
        restored: the tasks right after the restore.
    """
    since_s = backup.invoked_s
    present = {task.key: task for task in restored}
    acknowledged = {_key(op): _returned_s(op) for op in _done(operations, "enqueue")}
    completed = {_key(op): _returned_s(op) for op in _done(operations, "complete")}
    asked = {op.key for op in operations if op.op == "enqueue"}
    lost = {key: at_s for key, at_s in acknowledged.items() if key not in present}
    again = {
        key: at_s
        for key, at_s in completed.items()
        if key in present and present[key].status != "completed"
    }
    counts = Counter(str(task.key) for task in restored)
    return Reckoning(
        kept=tuple(key for key in acknowledged if key not in lost and key not in again),
        lost_within=tuple(key for key, at_s in lost.items() if at_s > since_s),
        lost_beyond=tuple(key for key, at_s in lost.items() if at_s <= since_s),
        resurrected=tuple(key for key, at_s in again.items() if at_s > since_s),
        undone=tuple(key for key, at_s in again.items() if at_s <= since_s),
        duplicated=tuple(key for key, count in counts.items() if count > 1),
        unexpected=tuple(str(task.key) for task in restored if task.key not in asked),
        from_later=tuple(_from_later(operations, backup, present)),
        rpo_s=max([0.0, *(at_s - since_s for at_s in lost.values())]),
    )


def _from_later(
    operations: Sequence[Operation], backup: Operation, present: Mapping[str | None, FinalTask]
) -> Iterator[str]:
    until_s = _returned_s(backup)
    for op in operations:
        task = present.get(op.key)
        if task is None or op.invoked_s <= until_s:
            continue
        if op.op == "enqueue" or (op.op == "complete" and task.status == "completed"):
            yield _key(op)


def _done(operations: Sequence[Operation], name: str) -> list[Operation]:
    return [op for op in operations if op.op == name and op.ok]


def _key(op: Operation) -> str:
    return str(op.key)


def _returned_s(op: Operation) -> float:
    assert op.returned_s is not None, "an acknowledged operation has returned"
    return op.returned_s
