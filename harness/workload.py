"""Load: tasks that arrive on a schedule, a queue filled fast, and one worked off.

Arrivals are an open loop: each is sent at its moment whether or not the one before was answered,
so a queue that stalls cannot slow down its own test.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from harness.drivers.client import REQUEST_TIMEOUT_S, DriverWrongError
from harness.history import History, Operation
from harness.worker import LEASE_S, InFlight, Worker

IDLE_PAUSE_S = 0.02
_LEAD_S = 0.01
_REFUSED_MOST = 20


@dataclass(frozen=True)
class Arrivals:
    """Tasks at an even rate.

    Attributes:
        per_minute: how many arrive in a minute.
        count: how many in all.
    """

    per_minute: float
    count: int

    @property
    def lasts_s(self) -> float:
        """For how long tasks arrive, in seconds."""
        return self.count * 60.0 / self.per_minute

    def moments_s(self) -> Iterator[float]:
        """Return when each arrives, in seconds from the start."""
        return (number * 60.0 / self.per_minute for number in range(self.count))


@dataclass(frozen=True)
class Produced:
    """What an open loop did.

    Attributes:
        operations: its enqueues, in the order of their arrivals.
        latest_s: by how much the tardiest was sent after its moment, in seconds. Where it is
            large, this machine was too slow to make the load that was asked for.
        began_s: the moment of the first arrival, on the history's clock.
    """

    operations: tuple[Operation, ...]
    latest_s: float
    began_s: float = 0.0


def produce(
    worker: Worker, arrivals: Arrivals, *, prefix: str, stop: threading.Event | None = None
) -> Produced:
    """Send the arrivals on their schedule from one producer; see ``produce_all``."""
    return produce_all([worker], arrivals, prefix=prefix, stop=stop)


def produce_all(
    producers: Sequence[Worker],
    arrivals: Arrivals,
    *,
    prefix: str,
    stop: threading.Event | None = None,
) -> Produced:
    """Send the arrivals on their schedule, the producers by turns.

    Each enqueue has ``scheduled_s`` among its facts, from which its latency counts. It returns
    once all are answered or given up.

    Args:
        producers: each is one process.
        arrivals: the schedule.
        prefix: what the tasks' keys begin with.
        stop: when set, no more are sent.
    """
    stop = stop or threading.Event()
    began_s = producers[0].history.now_s() + _LEAD_S
    moments = list(enumerate(began_s + moment_s for moment_s in arrivals.moments_s()))

    def send(turn: int) -> tuple[dict[int, Operation], float]:
        return _send(producers[turn], moments[turn :: len(producers)], prefix, stop)

    with ThreadPoolExecutor(len(producers)) as pool:
        sent = list(pool.map(send, range(len(producers))))
    answered = {number: op for operations, _late_s in sent for number, op in operations.items()}
    return Produced(
        operations=tuple(answered[number] for number in sorted(answered)),
        latest_s=max(late_s for _operations, late_s in sent),
        began_s=began_s,
    )


def _send(
    producer: Worker, moments: Sequence[tuple[int, float]], prefix: str, stop: threading.Event
) -> tuple[dict[int, Operation], float]:
    """Send each at its moment, and settle the answers beside that, as they come."""
    clock = producer.history
    flights: dict[int, Future[Operation]] = {}
    latest_s = 0.0
    with ThreadPoolExecutor(1) as settling:
        for number, moment_s in moments:
            if stop.wait(max(0.0, moment_s - clock.now_s())):
                break
            latest_s = max(latest_s, clock.now_s() - moment_s)
            flight = producer.send_enqueue(f"{prefix}-{number:05d}", scheduled_s=moment_s)
            deadline_s = clock.now_s() + REQUEST_TIMEOUT_S
            flights[number] = settling.submit(_settle, flight, clock, deadline_s)
    return {number: flight.result() for number, flight in flights.items()}, latest_s


def _settle(flight: InFlight, clock: History, deadline_s: float) -> Operation:
    return flight.settle(max(0.0, deadline_s - clock.now_s()))


def fill(
    producers: Sequence[Worker], count: int, *, prefix: str = "t", filling: str = ""
) -> tuple[Operation, ...]:
    """Put so many tasks in as fast as the producers can, side by side; return the enqueues.

    It ends by itself: every request has its deadline, and a producer that does not answer one
    sends no more.
    """

    def put_in(number: int) -> list[Operation]:
        done: list[Operation] = []
        for index in range(number, count, len(producers)):
            done.append(producers[number].enqueue(f"{prefix}-{index:05d}", filling=filling))
            if not done[-1].ok:
                break
        return done

    with ThreadPoolExecutor(len(producers)) as pool:
        return tuple(op for ops in pool.map(put_in, range(len(producers))) for op in ops)


def work_off(
    workers: Sequence[Worker],
    until: Callable[[], bool],
    *,
    timeout_s: float,
    lease_s: float = LEASE_S,
    idle_pause_s: float = IDLE_PAUSE_S,
) -> bool:
    """Claim and complete with all workers side by side; return whether the end was reached.

    A worker that is refused again and again gives up: a broken queue must not fill the history.
    Where a driver is wrong all of them end.

    Args:
        workers: each is one process.
        until: whether all is done; asked when a worker finds nothing to do.
        timeout_s: when to give up, in seconds.
        lease_s: of each claim.
        idle_pause_s: how long a worker waits before it asks again, in seconds; see
            ``idle_pauses_s``.

    Raises:
        DriverWrongError: a driver does what the protocol does not allow.
    """
    end_s = time.monotonic() + timeout_s
    wrong = threading.Event()

    def work(worker: Worker) -> bool:
        try:
            return work_alone(worker)
        except DriverWrongError:
            wrong.set()
            raise

    def work_alone(worker: Worker) -> bool:
        refused, pauses_s = 0, idle_pauses_s(worker.name, idle_pause_s)
        while time.monotonic() < end_s and refused < _REFUSED_MOST and not wrong.is_set():
            operation = worker.claim(lease_s=lease_s)
            if operation.task_id is not None:
                refused = 0 if worker.complete().ok else refused + 1
            elif until():
                return True
            else:
                refused = 0 if operation.ok else refused + 1
                time.sleep(next(pauses_s))
        return until()

    with ThreadPoolExecutor(len(workers)) as pool:
        return all(list(pool.map(work, workers)))


def idle_pauses_s(worker: str, mean_s: float) -> Iterator[float]:
    """Yield pauses of half to three halves of the mean, the same for the same worker each time.

    Even pauses beside even arrivals fall into step: one worker then asks just too late each time.
    """
    chance = random.Random(worker)
    while True:
        yield mean_s * chance.uniform(0.5, 1.5)
