"""How many states of power cuts are judged in a second, beside the least that it could take.

    python benchmarks/power_cuts.py [--operations enqueue backup …] [--repeats 3] [--json]

The floor writes the same states into the same folder, opens each and runs one integrity_check,
and does nothing else. Ours chooses the cuts, builds the states, drops those that were seen, and
writes, opens, checks, reads and judges the others. Both times are those of the processor, by turns
in one run, and the best of each counts. At least half of the floor is wanted over all operations.
"""

import argparse
import contextlib
import gc
import json
import logging
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.disk.cuts import Budget
from harness.disk.left import DATABASE, Found
from harness.disk.model import State
from harness.disk.operations import OPERATIONS, Recorded, new_disk
from harness.disk.promised import Promised
from harness.disk.sweep import Sweep, lay_out

LIMIT = 0.5
BUDGET = Budget(enumerated=128, drawn=40)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One operation.

    Attributes:
        operation: its name.
        cuts: that were judged.
        states: different ones among them.
        floor_a_second: states written, opened and checked in a second of the processor.
        ours_a_second: states judged in one.
        ratio: of ours to the floor.
    """

    operation: str
    cuts: int
    states: int
    floor_a_second: float
    ours_a_second: float
    ratio: float


class Keeping(Sweep):
    """A sweep that keeps what it has laid out."""

    def found(self, state: State) -> Found:
        """Return what is found of a state, which is kept."""
        kept.setdefault(state.digest, state)
        return super().found(state)


kept: dict[bytes, State] = {}


def timed(action: Callable[[], object]) -> float:
    """Return how long it took, in seconds of the processor."""
    gc.collect()
    began_s = time.process_time()
    action()
    return time.process_time() - began_s


def floor(states: list[State], folder: Path) -> None:
    """Write, open and check each."""
    path = folder / DATABASE
    for state in states:
        lay_out(state, folder)
        # Where a restore was cut off there may be no database.
        with (
            contextlib.closing(sqlite3.connect(path)) as connection,
            contextlib.suppress(sqlite3.DatabaseError),
        ):
            connection.execute("PRAGMA integrity_check").fetchall()


def measure(recorded: Recorded, repeats: int) -> Result:
    """Return the result of one operation."""
    promised = recorded.promised()
    kept.clear()
    keeping = Keeping(recorded.record, promised.wrong, recorded.folder)
    survey = keeping.run(BUDGET, random.Random(1), new_disk())
    states = list(kept.values())
    gc.freeze()
    floor_s, ours_s = [], []
    for _repeat in range(repeats):
        floor_s.append(timed(lambda: floor(states, recorded.folder)))
        ours_s.append(timed(lambda: ours(recorded, promised)))
    best = min(floor_s) / min(ours_s)
    return Result(
        operation=recorded.operation.name,
        cuts=survey.cuts,
        states=len(states),
        floor_a_second=len(states) / min(floor_s),
        ours_a_second=len(states) / min(ours_s),
        ratio=best,
    )


def ours(recorded: Recorded, promised: Promised) -> None:
    """Judge all states.

    Raises:
        SystemExit: one is not as it may be.
    """
    survey = recorded.sweep(promised).run(BUDGET, random.Random(1), new_disk())
    if survey.failures:
        raise SystemExit(str(survey.failures[0]))


def main() -> int:
    """Print the results; return 1 where the ratio over all of them is below the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    # Each restore that is found cut off is told in the log.
    logging.disable()
    results = []
    for name in asked.operations:
        with (
            tempfile.TemporaryDirectory() as scratch,
            OPERATIONS[name].recorded(Path(scratch)) as recorded,
        ):
            results.append(measure(recorded, asked.repeats))
    if asked.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        for result in results:
            print(
                f"{result.operation:18} {result.states:6} states"
                f"  floor {result.floor_a_second:6.0f}/s  ours {result.ours_a_second:6.0f}/s"
                f"  {result.ratio:.2f} of the floor"
            )
    floor_s = sum(result.states / result.floor_a_second for result in results)
    ours_s = sum(result.states / result.ours_a_second for result in results)
    if not asked.json:
        print(f"all: {floor_s / ours_s:.2f} of the floor (at least {LIMIT} is wanted)")
    return int(floor_s / ours_s < LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
