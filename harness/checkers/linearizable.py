"""Some order of what was done to each task, in keeping with real time, explains all that was seen.

Tasks do not touch each other, so each is judged alone, and the whole is right if each is.
"""

import math
from collections.abc import Iterator

from harness.checkers.holding import is_lost
from harness.checkers.machine import ABSENT, ANY, COMPLETED, DEAD, QUEUED, Held, Machine, State
from harness.checkers.record import Record, TaskHistory
from harness.checkers.ruling import Ruling, Valid, Violation, not_applicable, ruled, unknown
from harness.checkers.search import Search, TooManyWaysError, Unexplained, World
from harness.checkers.windows import Windows, end_of, returned_s
from harness.history import Operation, Outcome

_STORY_COUNT = 8


def linearizable(record: Record) -> Ruling:
    """The history of each task is one that queued, held, completed and dead_letter allow.

    A reclaim that took anything away may have taken any held task; a lease that has run out frees
    nothing by itself; an operation without an answer was done at any time since, or never.
    """
    name = "linearizable"
    world = _world(record)
    seen, given_up, violations = 0, 0, list[Violation]()
    for task in record.tasks:
        if not task.claims and not task.actions and task.status in (None, "queued"):
            # It was never handed out.
            continue
        seen += 1
        if _Plain(world, task).explains(task):
            continue
        ops = tuple(_constraining(world, task))
        try:
            wrong = Search(world, ops, known=bool(task.enqueues), status=task.status).run()
        except TooManyWaysError:
            given_up += 1
            continue
        if wrong is not None:
            violations.append(_violation(task, ops, wrong))
    if not seen:
        return not_applicable(name, "no task was handed out")
    ruling = ruled(name, seen, violations)
    if given_up and ruling.valid is Valid.TRUE:
        return unknown(name, f"the operations of {given_up} tasks overlap in too many ways")
    return ruling


def _world(record: Record) -> World:
    return World(
        machine=Machine(fenced=record.capabilities.fencing),
        freed=record.reclaims,
        taken=Windows.of(record.index.unknown_claims),
        restored=record.restores,
        leases=record.capabilities.leases,
        clock_error_s=record.clock_error_s,
    )


def _constraining(world: World, task: TaskHistory) -> Iterator[Operation]:
    """Yield the operations that say anything about the task's state."""
    ends_s: dict[str | None, float] = {}
    for op in task.ops:
        if op.op in ("claim", "heartbeat") and op.ok:
            ends_s[op.fence] = max(_lease_end_s(world, op), ends_s.get(op.fence, -math.inf))
        if is_lost(op):
            # Where its lease may have run out, a queue may refuse it though nobody else has it.
            if returned_s(op) < ends_s.get(op.fence, -math.inf) - world.clock_error_s:
                yield op
        elif op.outcome is not Outcome.FAILED and (op.op != "heartbeat" or op.ok):
            yield op


def _lease_end_s(world: World, op: Operation) -> float:
    """Return when the lease ends at the earliest, in seconds."""
    return op.invoked_s + float(op.facts.get("lease_s", 0)) if world.leases else math.inf


class _Plain:
    """Tries the order of the calls, each at the first moment left to it; most tasks need no more.

    That it does not explain a history says nothing: another order may.
    """

    def __init__(self, world: World, task: TaskHistory) -> None:
        self._world = world
        self._state: State = ABSENT if task.enqueues else ANY
        self._now_s = -math.inf
        self._lease_end_s = math.inf

    def explains(self, task: TaskHistory) -> bool:
        """Return whether this order explains all that was seen of the task."""
        for op in task.ops:
            if op.outcome is Outcome.UNKNOWN and op.op != "enqueue":
                # It is tried as if it had never happened.
                continue
            if op.outcome is Outcome.FAILED:
                if self._is_refused_wrongly(op):
                    return False
                continue
            if not self._take(op):
                return False
            self._now_s = max(self._now_s, op.invoked_s)
            if self._now_s > end_of(op):
                return False
        return self._ends(task.status)

    def _take(self, op: Operation) -> bool:
        state, kind = self._state, op.op
        if kind == "enqueue":
            self._state = QUEUED if state == ABSENT else state
        elif kind == "claim":
            if isinstance(state, Held):
                self._now_s = self._world.freed.earliest_s(self._now_s)
            elif state not in (QUEUED, ANY):
                return False
            self._state = Held(op.fence)
            self._lease_end_s = _lease_end_s(self._world, op)
        elif not isinstance(state, Held) or state.fence != op.fence or kind == "release":
            return False
        elif kind == "heartbeat":
            self._lease_end_s = max(self._lease_end_s, _lease_end_s(self._world, op))
        elif kind == "complete":
            self._state = COMPLETED
        else:
            self._state = DEAD if op.facts.get("status") == "dead_letter" else QUEUED
        return True

    def _is_refused_wrongly(self, op: Operation) -> bool:
        holds = isinstance(self._state, Held) and self._state.fence == op.fence
        surely_s = self._lease_end_s - self._world.clock_error_s
        return holds and is_lost(op) and returned_s(op) < surely_s

    def _ends(self, status: str | None) -> bool:
        machine = self._world.machine
        if status is None or machine.ends_as(self._state, status):
            return True
        # Somebody may have taken it from its holder meanwhile.
        freed = self._world.freed.earliest_s(self._now_s) < math.inf
        return freed and any(machine.ends_as(each, status) for each in machine.freed(self._state))


def _violation(task: TaskHistory, ops: tuple[Operation, ...], wrong: Unexplained) -> Violation:
    states = " or ".join(_shown(state) for state in wrong.states)
    if wrong.op is None:
        sentence = (
            f"no order explains task {task.name}: it is {task.status} at the end, after it was "
            f"{states}"
        )
        return Violation(sentence, ops[-_STORY_COUNT:])
    done = f"{wrong.op.op} by {wrong.op.worker}"
    verb = "accepted" if wrong.op.ok else "refused"
    sentence = (
        f"no order explains task {task.name}: {done} was {verb} at {wrong.op.returned_s:.3f} s, "
        f"when it was {states}"
    )
    before = [op for op in ops if op.invoked_s <= returned_s(wrong.op)]
    story = before[-_STORY_COUNT:]
    return Violation(sentence, tuple(story if wrong.op in story else [*story, wrong.op]))


def _shown(state: State) -> str:
    if isinstance(state, Held):
        return f"held under {state.fence or 'an unknown token'}"
    return state
