"""A search for an order that explains the history of one task.

Wing and Gong's search in the form that Lowe gave it: operations take effect one by one, at some
moment between call and answer, and every way in which they may have done so is followed at once
as a set of configurations. It grows with how much overlaps, not with how long the history is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.checkers.machine import ABSENT, ANY, QUEUED, Held, Machine, State
from harness.checkers.windows import Windows
from harness.history import Operation, Outcome

CONFIGURATIONS_MOST = 20_000
_Configuration = tuple[State, frozenset[int]]


class TooManyWaysError(Exception):
    """So much overlaps that the search was given up; nothing is known of this task."""


@dataclass(frozen=True)
class World:
    """What may happen to any task without being named.

    Attributes:
        machine: what operations do.
        freed: when held tasks may be taken from their holders.
        taken: when a task may be handed to somebody who was never told.
        restored: when the queue may be put back to what it was.
        leases: whether a lease can run out.
        clock_error_s: how far the clocks that judge leases may differ, in seconds.
    """

    machine: Machine
    freed: Windows
    taken: Windows
    restored: Windows
    leases: bool
    clock_error_s: float


@dataclass(frozen=True)
class Unexplained:
    """No order explains the history up to here.

    Attributes:
        op: whose answer fits none; None where it is the end that does not fit.
        states: in which the task may have been before.
    """

    op: Operation | None
    states: tuple[State, ...]


class Search:
    """Follows one task.

    Args:
        world: in which it lives.
        ops: its operations, in the order in which they were asked for.
        known: whether nothing happened to it before them.
        status: of the task at the end; None where that is not known.
    """

    def __init__(
        self, world: World, ops: Sequence[Operation], *, known: bool, status: str | None
    ) -> None:
        self._world = world
        self._ops = ops
        self._status = status
        self._configurations: set[_Configuration] = {(ABSENT if known else ANY, frozenset())}
        self._pending: dict[int, Operation] = {}
        # Tokens that are still to be handed out.
        self._tokens = {number: op.fence for number, op in enumerate(ops) if op.op == "claim"}
        self._now_s = -math.inf

    def run(self) -> Unexplained | None:
        """Return where no order explains the history any more, or None where one explains it all.

        Raises:
            TooManyWaysError: so much overlaps that this cannot be told.
        """
        for moment_s, returned, number in _events(self._ops):
            self._pass_time(moment_s)
            if not returned:
                self._pending[number] = self._ops[number]
                continue
            before = self._configurations
            op = self._pending.pop(number)
            self._tokens.pop(number, None)
            self._configurations = {
                (state, done - {number}) for state, done in before if number in done
            }
            if not self._configurations:
                return Unexplained(op, _states(before))
            self._forget()
        self._pass_time(math.inf)
        if self._status is None or any(
            self._world.machine.ends_as(state, self._status)
            for state, _done in self._configurations
        ):
            return None
        return Unexplained(None, _states(self._configurations))

    def _pass_time(self, until_s: float) -> None:
        """Add every configuration that may come about by then."""
        world, since_s = self._world, self._now_s
        self._now_s = until_s
        freed, taken, restored = (
            windows.meet(since_s, until_s) for windows in (world.freed, world.taken, world.restored)
        )
        known = self._configurations
        new = list(known)
        while new:
            state, done = new.pop()
            found = [(after, done | {number}) for number, after in self._steps(state, done)]
            if freed:
                found += [(after, done) for after in world.machine.freed(state)]
            if taken and state == QUEUED:
                found.append((Held(None), done))
            if restored:
                found.append((ANY, done))
            for configuration in found:
                if configuration not in known:
                    known.add(configuration)
                    new.append(configuration)
            if len(known) > CONFIGURATIONS_MOST:
                raise TooManyWaysError

    def _steps(self, state: State, done: frozenset[int]) -> Iterator[tuple[int, State]]:
        for number, op in self._pending.items():
            if number in done:
                continue
            for after in self._world.machine.after(state, op):
                # What need not have happened and would change nothing need not be followed.
                if op.outcome is not Outcome.UNKNOWN or after != state:
                    yield number, after

    def _forget(self) -> None:
        """Let go of unanswered operations of a token that no configuration has, nor will have."""
        stale = [
            number
            for number, op in self._pending.items()
            if op.outcome is Outcome.UNKNOWN and op.op in ("complete", "fail")
        ]
        if not stale or any(op.op == "claim" for op in self._pending.values()):
            return
        states = {state for state, _done in self._configurations}
        if ANY in states or self._world.restored or not self._world.machine.fenced:
            return
        coming = set(self._tokens.values())
        gone = {
            number
            for number in stale
            if (fence := self._ops[number].fence) not in coming and Held(fence) not in states
        }
        for number in gone:
            del self._pending[number]
        if gone:
            self._configurations = {(state, done - gone) for state, done in self._configurations}


def _events(ops: Sequence[Operation]) -> list[tuple[float, bool, int]]:
    """Return calls and answers in time; at one moment the calls first, since these overlap."""
    events = []
    for number, op in enumerate(ops):
        events.append((op.invoked_s, False, number))
        if op.outcome is not Outcome.UNKNOWN and op.returned_s is not None:
            events.append((op.returned_s, True, number))
    events.sort()
    return events


def _states(configurations: set[_Configuration]) -> tuple[State, ...]:
    return tuple(sorted({state for state, _done in configurations}, key=str))
