"""How much a salvage brings back of a damaged queue, beside what is at hand without it.

    python benchmarks/salvage.py [--tasks 4500] [--sqlite3 COMMAND] [--json]

The peers are rowid bisection with the standard library, and the ``.recover`` of the sqlite3 command
where one is installed and has it (Debian's and Ubuntu's are built without, and end with an error
and an empty database that is sound). A task counts if it is as it was, byte for byte, and a peer's
rows count wherever they are: those that ``.recover`` puts into its lost-and-found are no queue, so
they are counted apart. At least as many as by either peer are wanted, of every kind of damage.
"""

import argparse
import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.salvage import salvage
from harness.bisection import bisected
from harness.salvaging import ALL_COLUMNS, COLUMNS, Tasks, as_released, balance, make_known
from harness.salvaging import tasks_in as salvaged_tasks_in
from scenarios.test_salvage import DAMAGES, Damage

SEED = 1
DELETED_PART = 0.25
TIMEOUT_S = 300


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What ``.recover`` gave.

    Attributes:
        whole: tasks that are in their table as they were.
        lost_and_found: rows that it puts into a table of no queue.
        revived: tasks in their table that were deleted.
        seconds: of the clock.
    """

    whole: int
    lost_and_found: int
    revived: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """One kind of damage.

    Attributes:
        damage: its id.
        tasks: how many there were.
        whole: how many a salvage brought back as they were.
        altered: how many it brought back as something else, and did not tell.
        revived: how many deleted ones it brought back, and did not tell.
        seconds: how long it took, on the clock.
        bisected: how many rowid bisection brought back as they were.
        bisected_seconds: how long that took.
        recovered: what ``.recover`` gave; None where there is none that works.
    """

    damage: str
    tasks: int
    whole: int
    altered: int
    revived: int
    seconds: float
    bisected: int
    bisected_seconds: float
    recovered: Recovered | None

    @property
    def enough(self) -> bool:
        """Whether it is at least what the peers give."""
        return self.whole >= max(self.bisected, self.recovered.whole if self.recovered else 0)


def main() -> int:
    """Print the results; return 1 where a peer gave more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=4500)
    parser.add_argument("--sqlite3", default="sqlite3", help="the command to ask for .recover")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    why_not = lacks_recover(asked.sqlite3)
    command = None if why_not else asked.sqlite3
    results = [measure(damage, asked.tasks, command) for damage in DAMAGES]
    if asked.json:
        told = {"recover": why_not or "works", "results": [asdict(each) for each in results]}
        print(json.dumps(told, indent=1))
    else:
        print(f".recover of {asked.sqlite3}: {why_not or 'works'}")
        for each in results:
            print(line(each))
    return int(not all(each.enough for each in results))


def line(result: Result) -> str:
    """Return the result as one line."""
    ratio = f"{result.whole / result.bisected:.2f}" if result.bisected else "all"
    text = (
        f"{result.damage:14} {result.whole:5} of {result.tasks} ({result.seconds:.1f} s), "
        f"{result.altered} altered untold, {result.revived} revived untold; "
        f"bisection {result.bisected:5} ({result.bisected_seconds:.1f} s): {ratio} of it"
    )
    if result.recovered is None:
        return text
    peer = result.recovered
    return (
        f"{text}; .recover {peer.whole:5} and {peer.lost_and_found} in lost-and-found, "
        f"{peer.revived} revived ({peer.seconds:.1f} s)"
    )


def lacks_recover(command: str) -> str:
    """Return why the command cannot be asked for ``.recover``, or "".

    Its exit status and the number of rows are looked at: a command without it makes an empty
    database, of which every check says that it is sound.
    """
    if shutil.which(command) is None:
        return "no such command is installed"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        known = make_known(path, 20, 0, random.Random(SEED))
        done = script_of(command, path)
        if done.returncode != 0:
            return f"does not work here: {done.stderr.decode(errors='replace').strip()}"
        recovered = recover(command, path, known)
        return "" if recovered.whole == len(known) else "does not bring back a sound file"


def script_of(command: str, path: Path) -> "subprocess.CompletedProcess[bytes]":
    """Run ``.recover``; return what it printed."""
    return subprocess.run(
        [command, str(path), ".recover"], capture_output=True, timeout=TIMEOUT_S, check=False
    )


def recover(command: str, path: Path, known: Tasks) -> Recovered:
    """Return what ``.recover`` gives of the file."""
    began_s = time.monotonic()
    script = script_of(command, path).stdout
    out = path.with_name("recovered.db")
    subprocess.run(
        [command, str(out)], input=script, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    seconds = time.monotonic() - began_s
    found: dict[int, tuple[object, ...]] = {}
    beside = 0
    with contextlib.closing(sqlite3.connect(out)) as connection:
        connection.text_factory = lambda content: content.decode(errors="replace")
        with contextlib.suppress(sqlite3.Error):
            rows = connection.execute(f"SELECT id, {', '.join(COLUMNS)} FROM task_queue")
            found.update((row[0], as_released(row[1:])) for row in rows)
        with contextlib.suppress(sqlite3.Error):
            (beside,) = connection.execute("SELECT count(*) FROM lost_and_found").fetchone()
    out.unlink(missing_ok=True)
    return Recovered(
        whole=sum(known.get(task) == row for task, row in found.items()),
        lost_and_found=beside,
        revived=len(found.keys() - known.keys()),
        seconds=seconds,
    )


def measure(damage: Damage, count: int, command: str | None) -> Result:
    """Return the result of one kind of damage."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "queue.db", Path(folder) / "out.db"
        known = make_known(path, count, int(count * DELETED_PART), random.Random(SEED))
        with damage.choose(path, SEED).inject(path):
            began_s = time.monotonic()
            report = salvage(path, out)
            salvaged_s = time.monotonic()
            by_sqlite = bisected(path, ALL_COLUMNS)
            bisected_s = time.monotonic()
            found = salvaged_tasks_in(out) if report.out is not None else {}
            of = balance(known, found, report)
            return Result(
                damage=damage.id,
                tasks=of.total,
                whole=of.whole,
                altered=of.altered,
                revived=of.revived,
                seconds=salvaged_s - began_s,
                bisected=sum(
                    known.get(task) == as_released(row[: len(COLUMNS)])
                    for task, row in by_sqlite.items()
                ),
                bisected_seconds=bisected_s - salvaged_s,
                recovered=None if command is None else recover(command, path, known),
            )


if __name__ == "__main__":
    raise SystemExit(main())
