"""What the checkers look at: the history, put in order by task once."""

import bisect
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from harness.checkers.windows import Windows
from harness.drivers.protocol import Capabilities
from harness.history import FinalTask, Operation, Outcome

CLOCK_ERROR_S = 0.005
HELD = ("leased", "processing")
OPEN = ("queued", *HELD)

Name = str | int
"""What a task is called here: its producer's key, or the queue's id where it has none."""


@dataclass(frozen=True, kw_only=True)
class RecoveryBudget:
    """How long the tasks of a lost holder may take; who reclaims, and how often, defines it.

    Attributes:
        lease_s: of the claims, in seconds.
        timeout_s: how long after its end a lease counts as stale, in seconds.
        reclaim_every_s: the longest pause between two reclaims, in seconds.
        work_s: from there until the task is claimed, worked on and completed, in seconds.
    """

    lease_s: float
    timeout_s: float = 0.0
    reclaim_every_s: float = 0.0
    work_s: float = 5.0

    @property
    def seconds(self) -> float:
        """From the fault to the end of the work."""
        return self.lease_s + self.timeout_s + self.reclaim_every_s + self.work_s


@dataclass(frozen=True, kw_only=True)
class Starvation:
    """When somebody starves: asked so long in vain while so many others were served.

    Attributes:
        seconds: of asking, or of waiting.
        others_count: how many others were served meanwhile.
    """

    seconds: float = 10.0
    others_count: int = 50


@dataclass(frozen=True)
class Strike:
    """A fault of the history.

    Attributes:
        worker: who was struck, or nothing.
        start_s: when it began.
        end_s: when it ended; infinity where that is not known.
        lost: whether that worker is gone for good.
    """

    worker: str
    start_s: float
    end_s: float
    lost: bool


class TaskHistory:
    """All operations on one task, each list in the order in which they were asked for.

    Attributes:
        name: of the task.
        ops: all of them. An enqueue or claim that was surely not done is none.
        enqueues: those that put it in, or may have.
        claims: those that handed it out.
        actions: what holders asked for, refused or not, and releases by hand.
        final: the task at the end; more than one where the queue has it several times.
    """

    __slots__ = ("actions", "claims", "enqueues", "final", "name", "ops")

    def __init__(self, name: Name) -> None:
        self.name = name
        self.ops: list[Operation] = []
        self.enqueues: list[Operation] = []
        self.claims: list[Operation] = []
        self.actions: list[Operation] = []
        self.final: tuple[FinalTask, ...] = ()

    @property
    def status(self) -> str | None:
        """What the queue says of it at the end; None where that is not known."""
        return self.final[0].status if len(self.final) == 1 else None


class Index:
    """A history put in order.

    Attributes:
        tasks: by their names.
        claims: every claim by its worker, served or not.
        unknown_claims: those of which nobody knows what they took, if anything.
        reclaims: those that took a task away, or may have.
        restores: those that were done, or may have been.
        faults: what was done to the queue on purpose.
    """

    def __init__(self, operations: Iterable[Operation], final: Iterable[FinalTask]) -> None:
        self.tasks: dict[Name, TaskHistory] = {}
        self.claims: dict[str, list[Operation]] = defaultdict(list)
        self.unknown_claims: list[Operation] = []
        self.reclaims: list[Operation] = []
        self.restores: list[Operation] = []
        self.faults: list[Operation] = []
        self._names: dict[int, Name] = {}
        takers = {
            "enqueue": self._take_enqueue,
            "claim": self._take_claim,
            "heartbeat": self._take_action,
            "complete": self._take_action,
            "fail": self._take_action,
            "release": self._take_action,
            "reclaim": self._take_reclaim,
            "restore": self._take_restore,
            "fault": self.faults.append,
        }
        for op in operations:
            taker = takers.get(op.op)
            if taker is not None:
                taker(op)
        for task in final:
            self._task(task.key, task.id).final += (task,)

    def _task(self, key: str | None, task_id: int | None) -> TaskHistory:
        name: Name
        if key is not None:
            name = key
            if task_id is not None:
                self._names[task_id] = key
        else:
            assert task_id is not None, "an operation on a task names it"
            name = self._names.get(task_id, task_id)
        task = self.tasks.get(name)
        if task is None:
            task = self.tasks[name] = TaskHistory(name)
        return task

    def _take_enqueue(self, op: Operation) -> None:
        if op.outcome is not Outcome.FAILED and (op.key, op.task_id) != (None, None):
            task = self._task(op.key, op.task_id)
            task.enqueues.append(op)
            task.ops.append(op)

    def _take_claim(self, op: Operation) -> None:
        self.claims[op.worker].append(op)
        if op.outcome is Outcome.UNKNOWN:
            self.unknown_claims.append(op)
        elif op.outcome is Outcome.OK and op.task_id is not None:
            task = self._task(op.key, op.task_id)
            task.claims.append(op)
            task.ops.append(op)

    def _take_action(self, op: Operation) -> None:
        if op.key is None and op.task_id is None:
            return
        task = self._task(op.key, op.task_id)
        task.actions.append(op)
        task.ops.append(op)

    def _take_reclaim(self, op: Operation) -> None:
        if op.outcome is Outcome.UNKNOWN or (op.ok and op.facts.get("count", 1)):
            self.reclaims.append(op)

    def _take_restore(self, op: Operation) -> None:
        if op.outcome is not Outcome.FAILED:
            self.restores.append(op)


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that the checkers look at.

    Attributes:
        operations: the history, in the order in which they were asked for. A fault is an operation
            ``fault`` of the worker that it struck, with ``lost`` among its facts where that
            worker is gone for good.
        final: the tasks at the end, or None where they could not be read.
        capabilities: what the queue promises.
        clock_error_s: how far the clocks that judge leases may differ, in seconds.
        budget: within what time lost work must be done, or None where that is not judged.
        starvation: when a worker or producer counts as starving.
    """

    operations: tuple[Operation, ...]
    final: tuple[FinalTask, ...] | None
    capabilities: Capabilities = field(default_factory=Capabilities)
    clock_error_s: float = CLOCK_ERROR_S
    budget: RecoveryBudget | None = None
    starvation: Starvation = field(default_factory=Starvation)

    def acknowledged(self, op: str) -> list[Operation]:
        """Return the operations of that name that were acknowledged."""
        return [operation for operation in self.operations if operation.op == op and operation.ok]

    @cached_property
    def index(self) -> Index:
        """The history by task."""
        return Index(self.operations, self.final or ())

    @property
    def tasks(self) -> Iterable[TaskHistory]:
        """Every task that the history or the end knows."""
        return self.index.tasks.values()

    @cached_property
    def reclaims(self) -> Windows:
        """When tasks may have been taken from their holders."""
        return Windows.of(self.index.reclaims)

    @cached_property
    def restores(self) -> Windows:
        """When the queue may have been put back to what it was."""
        return Windows.of(self.index.restores)

    @cached_property
    def strikes(self) -> tuple[Strike, ...]:
        """The faults. A worker's death is over at once; it is what follows that takes time."""
        return tuple(_strike(op) for op in self.index.faults)

    @cached_property
    def _restored_s(self) -> list[float]:
        return sorted(op.invoked_s for op in self.index.restores)

    def epoch(self, op: Operation) -> int:
        """Return how many restores had begun before the operation."""
        return bisect.bisect_right(self._restored_s, op.invoked_s)

    def restored_between(self, start_s: float, end_s: float) -> bool:
        """Return whether a restore may have been under way in that time."""
        return self.restores.meet(start_s, end_s)


def _strike(op: Operation) -> Strike:
    lost = bool(op.facts.get("lost"))
    ended_s = op.returned_s if op.returned_s is not None else float("inf")
    return Strike(op.worker, op.invoked_s, op.invoked_s if lost else ended_s, lost)
