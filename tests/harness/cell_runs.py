"""Runs of a cell written by hand: tasks that arrive once a second, each with its own fate."""

from histories import Script, final

from harness.cells import Cell, CellRun
from harness.checkers import Ruling, Valid
from harness.effort import Effort

PER_MINUTE = 60
LASTS_S = 10.0
WORKERS_COUNT = 2
BEGAN_S = 100.0
COUNT = 10
KEPT = Ruling(name="promises-kept", valid=Valid.TRUE)
IDLE = Effort(lasted_s=LASTS_S, processors=2, harness_s=1.0, queue_s=2.0, machine_s=5.0)
BUSY = Effort(lasted_s=LASTS_S, processors=2, harness_s=3.0, queue_s=4.0, machine_s=19.8)


class Load:
    """Tasks that arrive, and the run that they make."""

    def __init__(self):
        self.script = Script()
        self.done = []

    def task(
        self, number, *, late_s=0.0, lasted_s=0.1, claimed_after_s=0.25, done_after_s=0.5, **known
    ):
        """Add a task of that number; ``done_after_s`` is None where nobody ever takes it."""
        at_s = BEGAN_S + number
        self.script.enqueue(
            f"k{number}",
            at_s + late_s,
            lasted_s=lasted_s,
            task_id=number,
            facts={"scheduled_s": at_s},
            **known,
        )
        if done_after_s is not None:
            claimed_s = at_s + late_s + claimed_after_s
            self.script.claim(f"w{number}", number, claimed_s - 0.05, lasted_s=0.05)
            end_s = at_s + done_after_s
            self.script.about("complete", f"w{number}", number, end_s - 0.1)
            self.done.append(final(number))
        return self

    def tasks(self, numbers, **known):
        """Add several that all fare alike."""
        for number in numbers:
            self.task(number, **known)
        return self

    def run(self, *, effort=IDLE, kept=KEPT, latest_s=0.0, asked=True):
        """Return what was seen; the workers were asked all the time, or for their tasks only."""
        for number in range(WORKERS_COUNT if asked else 0):
            self.script.add(f"asked{number}", "claim", BEGAN_S, lasted_s=LASTS_S)
        return CellRun(
            cell=Cell(per_minute=PER_MINUTE, workers=WORKERS_COUNT, lasts_s=LASTS_S),
            record=self.script.record(*self.done),
            kept=kept,
            began_s=BEGAN_S,
            latest_s=latest_s,
            effort=effort,
        )
