"""How long the checkers take for a history, and how that grows.

    python benchmarks/checkers.py [--sizes 10000 100000 1000000] [--repeats 3] [--json]

Each size is a history of a correct queue with overlapping workers, crashes, retries, heartbeats,
delays and three priorities. The time is that of all checkers together, with putting the history
in order, as the processor counts it, so that what else the machine does changes it little; the
history is in memory before. The ratio is the time per operation
beside that of the smallest size: n log n would let it grow with log n.
"""

import argparse
import gc
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.checkers import CHECKERS, Record, Valid, judge
from tests.harness.queue_model import ModelQueue, Plan

OPERATIONS_A_TASK = 3.4
LIMIT_S = 20.0
LIMIT_OPERATIONS = 1_000_000
PLAN = Plan(
    producers=4,
    workers=6,
    crashes=0.002,
    failures=0.02,
    oversleeps=0.005,
    heartbeats=0.3,
    priorities=3,
    delayed=0.05,
    pause_s=0.07,
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One size.

    Attributes:
        operations: in the history.
        seconds: of the processor, the least of the repeats.
        all_seconds: of each repeat.
        microseconds_each: the least, by operation.
        ratio: of that to the smallest size's.
        n_log_n: what the ratio would be if the time grew as n log n.
        by_checker: seconds of each, the history being in order.
    """

    operations: int
    seconds: float
    all_seconds: tuple[float, ...]
    microseconds_each: float
    ratio: float
    n_log_n: float
    by_checker: dict[str, float]


def history(operations: int) -> Record:
    """Return a history of about so many operations; exactly so many where they suffice."""
    return ModelQueue(replace(PLAN, tasks=round(operations / OPERATIONS_A_TASK)), seed=1).run()


def judged(record: Record) -> float:
    """Return how long all checkers took, in seconds of the processor.

    Raises:
        SystemExit: a checker raised a false alarm, or had no answer.
    """
    fresh = replace(record)
    gc.collect()
    began_s = time.process_time()
    rulings = judge(fresh)
    took_s = time.process_time() - began_s
    wrong = [str(ruling) for ruling in rulings if ruling.valid in (Valid.FALSE, Valid.UNKNOWN)]
    if wrong:
        raise SystemExit("\n".join(wrong))
    return took_s


def by_checker(record: Record) -> dict[str, float]:
    """Return the seconds of each checker by itself."""
    took_s: dict[str, float] = {}
    began_s = time.process_time()
    assert record.index.tasks
    took_s["(putting it in order)"] = time.process_time() - began_s
    for checker in CHECKERS:
        began_s = time.process_time()
        judge(record, [checker])
        took_s[checker.__name__] = time.process_time() - began_s
    return took_s


def measure(sizes: list[int], repeats: int) -> list[Result]:
    """Return the result of each size."""
    results: list[Result] = []
    for size in sorted(sizes):
        record = history(size)
        # What was made for the benchmark is not looked through by the collector again and again.
        gc.collect()
        gc.freeze()
        took_s = tuple(judged(record) for _repeat in range(repeats))
        count = len(record.operations)
        each = min(took_s) / count * 1e6
        first = results[0] if results else None
        results.append(
            Result(
                operations=count,
                seconds=min(took_s),
                all_seconds=took_s,
                microseconds_each=each,
                ratio=each / first.microseconds_each if first else 1.0,
                n_log_n=math.log(count) / math.log(first.operations) if first else 1.0,
                by_checker=by_checker(replace(record)),
            )
        )
        gc.unfreeze()
    return results


def show(results: list[Result]) -> None:
    """Print the table."""
    print(f"{'operations':>10}  {'CPU s':>8}  {'us each':>8}  {'ratio':>6}  {'n log n':>7}")
    for result in results:
        print(
            f"{result.operations:>10}  {result.seconds:>8.2f}  {result.microseconds_each:>8.2f}  "
            f"{result.ratio:>6.2f}  {result.n_log_n:>7.2f}"
        )
    print()
    largest = results[-1]
    for name, seconds in sorted(largest.by_checker.items(), key=lambda pair: -pair[1]):
        print(f"{name:>24}  {seconds:>7.2f} s")


def main() -> int:
    """Return 1 where a million operations take longer than they may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    settings = parser.parse_args()
    results = measure(settings.sizes, settings.repeats)
    if settings.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        show(results)
    late = [
        result
        for result in results
        if result.seconds > LIMIT_S * max(1.0, result.operations / LIMIT_OPERATIONS)
    ]
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
