"""A correct queue in virtual time, with workers that overlap, crash and oversleep.

Each operation is called, takes effect some time later and is answered later still; a crash may
come anywhere between. What comes out is the history that the harness would have written down.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.checkers import Record
from harness.drivers.protocol import Capabilities
from harness.history import FinalTask, Operation, Outcome

PROMISES = Capabilities(
    leases=True, fencing=True, retries=True, priorities=True, delays=True, order=True
)
_LOST = "lease-lost: somebody else has it"
Actor = Iterator[float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What happens to the queue.

    Attributes:
        tasks: how many are put in.
        producers: how many put them in.
        workers: how many work at any time; one that dies is replaced.
        crashes: how likely a worker dies at each step.
        failures: how likely work fails.
        oversleeps: how likely a worker works past its lease.
        heartbeats: how likely a worker extends its lease while it works.
        priorities: how many there are.
        delayed: how likely a task is due later.
        latency_s: of an operation, at the most.
        work_s: of a task, at the most.
        pause_s: of a producer between two tasks, at the most.
        lease_s: of each claim.
        reclaim_every_s: between two reclaims.
    """

    tasks: int = 12
    producers: int = 2
    workers: int = 3
    crashes: float = 0.0
    failures: float = 0.0
    oversleeps: float = 0.0
    heartbeats: float = 0.0
    priorities: int = 1
    delayed: float = 0.0
    latency_s: float = 0.02
    work_s: float = 0.1
    pause_s: float = 0.05
    lease_s: float = 1.0
    reclaim_every_s: float = 0.5


@dataclass(slots=True)
class _Task:
    id: int
    key: str
    rank: tuple[int, int]
    status: str = "queued"
    attempts: int = 0
    token: str | None = None
    lease_end_s: float = 0.0


@dataclass(slots=True)
class _Draft:
    fields: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


class ModelQueue:
    """Runs a plan; the same plan and seed give the same history."""

    MAX_ATTEMPTS = 3

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._random = random.Random(seed)
        self._now_s = 0.0
        self._drafts: list[_Draft] = []
        self._tasks: dict[str, _Task] = {}
        self._ready: list[tuple[tuple[int, int], str]] = []
        self._later: list[tuple[float, str]] = []
        self._held: set[str] = set()
        self._open = plan.tasks
        self._tokens = itertools.count(1)
        self._names = itertools.count(1)
        self._agenda: list[tuple[float, int, Actor]] = []
        self._turns = itertools.count()

    def run(self, **known: Any) -> Record:
        """Return what was seen."""
        plan = self._plan
        for number in range(plan.producers):
            self._start(
                self._producer(f"producer{number}", range(number, plan.tasks, plan.producers))
            )
        for _number in range(plan.workers):
            self._start(self._worker(f"worker{next(self._names)}"))
        self._start(self._keeper())
        while self._agenda:
            self._now_s, _turn, actor = heapq.heappop(self._agenda)
            pause_s = next(actor, None)
            if pause_s is not None:
                heapq.heappush(self._agenda, (self._now_s + pause_s, next(self._turns), actor))
        known.setdefault("capabilities", PROMISES)
        return Record(operations=tuple(self._operations()), final=self._final(), **known)

    # -- the actors --------------------------------------------------------------------------

    def _producer(self, name: str, numbers: range) -> Actor:
        for number in numbers:
            yield self._random.random() * self._plan.pause_s
            key = f"k{number}"
            priority = self._random.randrange(self._plan.priorities)
            delay_s = 0.5 if self._random.random() < self._plan.delayed else 0.0
            facts = {"digest": key, "priority": priority}
            if delay_s:
                facts["delay_s"] = delay_s
            draft = self._call(name, "enqueue", key=key, facts=facts)
            yield self._latency_s()
            draft.fields["task_id"] = self._put(key, priority, delay_s)
            yield self._latency_s()
            answered = self._random.random() >= self._plan.crashes
            if answered:
                self._answer(draft)
            else:
                draft.fields["task_id"] = None

    def _worker(self, name: str) -> Actor:
        while self._open:
            draft = self._call(name, "claim", facts={"lease_s": self._plan.lease_s})
            yield self._latency_s()
            if self._dies():
                return self._replace(name)
            task = self._take()
            taken = self._seen(task)
            yield self._latency_s()
            if self._dies():
                return self._replace(name)
            self._answer(draft, **taken)
            if task is None:
                yield 0.02
                continue
            yield from self._work(name, task, str(taken["fence"]))
            if self._dies():
                return self._replace(name)

    def _work(self, name: str, task: _Task, token: str) -> Actor:
        yield self._random.random() * self._plan.work_s
        about = {"key": task.key, "task_id": task.id, "fence": token}
        if self._random.random() < self._plan.heartbeats:
            facts = {"lease_s": self._plan.lease_s}
            yield from self._ask(name, "heartbeat", about, facts, lambda: self._extend(task, token))
        if self._random.random() < self._plan.oversleeps:
            yield 2.5 * self._plan.lease_s
        fails = self._random.random() < self._plan.failures
        change = self._end if fails else self._complete
        yield from self._ask(
            name, "fail" if fails else "complete", about, {}, lambda: change(task, token)
        )

    def _ask(
        self,
        name: str,
        op: str,
        about: dict[str, Any],
        facts: dict[str, Any],
        change: Callable[[], dict[str, Any] | None],
    ) -> Actor:
        """An operation of a holder; unanswered now and then."""
        draft = self._call(name, op, **about, facts=facts)
        yield self._latency_s()
        if self._random.random() < self._plan.crashes / 2:
            return
        told = change()
        yield self._latency_s()
        if self._random.random() < self._plan.crashes:
            return
        if told is None:
            self._answer(draft, outcome=Outcome.FAILED, error=_LOST)
        else:
            draft.facts |= told
            self._answer(draft)

    def _keeper(self) -> Actor:
        while self._open:
            yield self._plan.reclaim_every_s
            draft = self._call("keeper", "reclaim", facts={"timeout_s": 0.0})
            yield self._latency_s()
            stale = [key for key in self._held if self._tasks[key].lease_end_s < self._now_s]
            for key in sorted(stale):
                self._end(self._tasks[key], self._tasks[key].token)
            draft.facts["count"] = len(stale)
            yield self._latency_s()
            self._answer(draft)

    # -- the queue ---------------------------------------------------------------------------

    def _put(self, key: str, priority: int, delay_s: float) -> int:
        task = _Task(len(self._tasks) + 1, key, (priority, len(self._tasks)))
        self._tasks[key] = task
        if delay_s:
            heapq.heappush(self._later, (self._now_s + delay_s, key))
        else:
            heapq.heappush(self._ready, (task.rank, key))
        return task.id

    def _take(self) -> _Task | None:
        while self._later and self._later[0][0] <= self._now_s:
            _due_s, key = heapq.heappop(self._later)
            heapq.heappush(self._ready, (self._tasks[key].rank, key))
        if not self._ready:
            return None
        _rank, key = heapq.heappop(self._ready)
        task = self._tasks[key]
        task.status, task.token = "leased", f"t{next(self._tokens)}"
        task.lease_end_s = self._now_s + self._plan.lease_s
        self._held.add(key)
        return task

    def _extend(self, task: _Task, token: str) -> dict[str, Any] | None:
        if task.token != token:
            return None
        task.lease_end_s = self._now_s + self._plan.lease_s
        return {}

    def _complete(self, task: _Task, token: str) -> dict[str, Any] | None:
        if task.token != token:
            return None
        self._leave(task, "completed")
        return {}

    def _end(self, task: _Task, token: str | None) -> dict[str, Any] | None:
        if task.token != token:
            return None
        task.attempts += 1
        if task.attempts >= self.MAX_ATTEMPTS:
            self._leave(task, "dead_letter")
        else:
            task.status, task.token = "queued", None
            self._held.discard(task.key)
            heapq.heappush(self._ready, (task.rank, task.key))
        return {"status": task.status}

    def _leave(self, task: _Task, status: str) -> None:
        task.status, task.token = status, None
        self._held.discard(task.key)
        self._open -= 1

    # -- what is written down ----------------------------------------------------------------

    def _start(self, actor: Actor) -> None:
        heapq.heappush(self._agenda, (self._now_s, next(self._turns), actor))

    def _latency_s(self) -> float:
        return self._random.random() * self._plan.latency_s

    def _dies(self) -> bool:
        return self._random.random() < self._plan.crashes

    def _replace(self, name: str) -> None:
        self._answer(self._call(name, "fault", facts={"fault": "killed-worker", "lost": True}))
        self._start(self._worker(f"worker{next(self._names)}"))

    def _seen(self, task: _Task | None) -> dict[str, Any]:
        if task is None:
            return {}
        facts = {"attempts": task.attempts, "max_attempts": self.MAX_ATTEMPTS, "digest": task.key}
        return {"task_id": task.id, "key": task.key, "fence": task.token, "facts": facts}

    def _call(self, worker: str, op: str, **known: Any) -> _Draft:
        facts = known.pop("facts", {})
        fields = {"worker": worker, "op": op, "invoked_s": self._now_s, **known}
        draft = _Draft(fields, facts)
        self._drafts.append(draft)
        return draft

    def _answer(self, draft: _Draft, **told: Any) -> None:
        draft.facts |= told.pop("facts", {})
        draft.fields |= {"returned_s": self._now_s, "outcome": Outcome.OK} | told

    def _operations(self) -> Iterator[Operation]:
        for number, draft in enumerate(self._drafts, 1):
            yield Operation(number=number, facts=draft.facts, **draft.fields)

    def _final(self) -> tuple[FinalTask, ...]:
        return tuple(
            FinalTask(
                id=task.id,
                key=task.key,
                status=task.status,
                attempts=task.attempts,
                max_attempts=self.MAX_ATTEMPTS,
                digest=task.key,
            )
            for task in self._tasks.values()
        )
