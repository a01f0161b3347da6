"""The life of one task as a state machine: what each operation may make of each state."""

from dataclasses import dataclass

from harness.history import Operation, Outcome


@dataclass(frozen=True, slots=True)
class Held:
    """Some worker has it.

    Attributes:
        fence: the token of that holding; None where nobody was told of it.
    """

    fence: str | None


State = str | Held
ABSENT, QUEUED, COMPLETED, DEAD = "absent", "queued", "completed", "dead_letter"
ANY = "any"
"""Nothing is known: it was there before the history began, or a restore brought it back."""

_STATUSES: dict[str, State] = {"queued": QUEUED, "completed": COMPLETED, "dead_letter": DEAD}


class Machine:
    """What operations do to a task.

    Args:
        fenced: whether a holder that lost its task is refused, as the queue promises; where it
            is not, a late holder may change the task all the same.
    """

    def __init__(self, *, fenced: bool) -> None:
        self.fenced = fenced

    def after(self, state: State, op: Operation) -> tuple[State, ...]:
        """Return what the task may be after the operation; nothing where it cannot be done.

        A failed operation here is one that was refused because its worker no longer holds it.
        """
        if op.op == "enqueue":
            return (QUEUED,) if state == ABSENT else (state,)
        if op.op == "claim":
            return (Held(op.fence),) if state in (QUEUED, ANY) else ()
        if op.op == "release":
            return (QUEUED, DEAD) if isinstance(state, Held) else (state,)
        if op.outcome is Outcome.FAILED:
            return () if self.fenced and state == Held(op.fence) else (state,)
        if not self._may(state, op):
            return ()
        return self._by_holder(state, op)

    def freed(self, state: State) -> tuple[State, ...]:
        """Return what reclaiming makes of the task."""
        return (QUEUED, DEAD) if isinstance(state, Held) else ()

    def ends_as(self, state: State, status: str) -> bool:
        """Return whether the queue may show a task in that state with that status."""
        if state == ANY or (status not in _STATUSES and status not in ("leased", "processing")):
            return True
        return isinstance(state, Held) if status not in _STATUSES else state == _STATUSES[status]

    def _may(self, state: State, op: Operation) -> bool:
        if self.fenced:
            return state in (Held(op.fence), ANY)
        return state != ABSENT

    def _by_holder(self, state: State, op: Operation) -> tuple[State, ...]:
        if op.op == "complete":
            return (COMPLETED,)
        if op.op == "heartbeat":
            return (Held(op.fence),) if state == ANY else (state,)
        told = op.facts.get("status")
        ended: tuple[State, ...] = (_STATUSES[told],) if told in _STATUSES else (QUEUED, DEAD)
        return ended if self.fenced else (*ended, state)
