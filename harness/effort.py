"""What a load cost this machine, and who took it: the harness, the queue's processes, others.

A queue that gives way on a machine whose processors are all busy has not shown where it breaks.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

_BUSY_LEAST = 0.95
_ONE_PROCESS_LEAST = 0.8
_LEFT_LEAST = 0.1


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Who used the processors for how long, each in seconds of one processor.

    Attributes:
        lasted_s: for how long it was looked at.
        processors: how many the machine has.
        harness_s: used by this process, which cannot use more than one of them.
        queue_s: by the processes that were asked for the queue, with those that they started.
        machine_s: by all there is.
    """

    lasted_s: float
    processors: int
    harness_s: float
    queue_s: float
    machine_s: float

    @property
    def others_s(self) -> float:
        """What other programs used, in seconds of one processor."""
        return max(0.0, self.machine_s - self.harness_s - self.queue_s)

    def share(self, used_s: float) -> float:
        """Return how many processors that was on average."""
        return used_s / self.lasted_s if self.lasted_s > 0 else 0.0

    def exhausted(self) -> str:
        """Return why this machine could not give more; empty where it could."""
        if self.share(self.machine_s) >= _BUSY_LEAST * self.processors:
            return f"all its processors were busy ({self})"
        if self.share(self.harness_s) >= _ONE_PROCESS_LEAST:
            return f"the harness had no more to give ({self})"
        return ""

    def crowded(self) -> str:
        """Return why the queue's processes had next to no time; empty where they had.

        What they use themselves is no reason: a queue that needs all processors is a slow one.
        """
        elsewhere = self.share(self.harness_s + self.others_s)
        return str(self) if elsewhere >= (1 - _LEFT_LEAST) * self.processors else ""

    def __str__(self) -> str:
        """Return who used how much of the processors."""
        shares = [self.share(each) for each in (self.harness_s, self.queue_s, self.others_s)]
        return "of {} the harness used {:.2f}, the queue's processes {:.2f}, others {:.2f}".format(
            self.processors, *shares
        )


class Meter:
    """Looks at the accounts of the system now, and again when it is read.

    Args:
        pids: of the processes that work for the queue.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._began_s = time.monotonic()
        self._harness_s = time.process_time()
        self._queue_s = self._used_by_queue_s()
        self._machine_s = _used_by_all_s()

    def read(self) -> Effort:
        """Return what was used since the meter was made."""
        return Effort(
            lasted_s=time.monotonic() - self._began_s,
            processors=psutil.cpu_count() or 1,
            harness_s=time.process_time() - self._harness_s,
            queue_s=max(0.0, self._used_by_queue_s() - self._queue_s),
            machine_s=_used_by_all_s() - self._machine_s,
        )

    def _used_by_queue_s(self) -> float:
        return sum(_used_by_family_s(pid) for pid in self._pids)


def _used_by_family_s(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        times = [each.cpu_times() for each in family]
    except psutil.Error:
        return 0.0
    return float(sum(each.user + each.system for each in times))


def _used_by_all_s() -> float:
    """Return what all processors have worked since the start; waiting for a disk is no work."""
    times = psutil.cpu_times()._asdict()
    # A guest's time is in that of its host already.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(spent_s for name, spent_s in times.items() if name not in idle))
