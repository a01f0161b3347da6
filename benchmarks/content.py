"""What the content check costs, beside an integrity check and a plain reading of the table.

    python benchmarks/content.py [--tasks 500000] [--payload-bytes 400] [--repeats 3] [--json]

A queue of finished tasks is read row by row (the floor), checked by ``integrity_check`` and by
``quick_check``, recorded for the first time, and compared with its record while that is written
anew. The ratios are to the integrity check and to the reading, in one run, as the processor counts
it. Memory is the peak of the process beyond what it had before the comparison.
"""

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core import QueueDatabase, QueueMaintenance
from core.connection import connect_stdlib
from core.content import QueueContent
from core.contentrecord import record_path

MEGABYTE = 1024 * 1024
MOMENT = "2026-01-01 00:00:00.123"
TIMES = (
    "finished_at_utc", "created_at_utc", "updated_at_utc", "run_after_utc", "reserved_at_utc",
    "processing_started_utc",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Result:
    """One queue.

    Attributes:
        tasks: finished tasks in it.
        megabytes: of the file.
        record_megabytes: of the record.
        seconds: of the processor by what was done, the least of the repeats.
        memory_megabytes: what the comparison had allocated at most.
    """

    tasks: int
    megabytes: float
    record_megabytes: float
    seconds: dict[str, float]
    memory_megabytes: float


def make_queue(path: Path, tasks: int, payload_bytes: int) -> None:
    """Leave a queue of so many completed tasks."""
    filling = "x" * payload_bytes
    columns = ", ".join(("type", "payload", "status", "locked_by", *TIMES))
    marks = ", ".join("?" for _column in TIMES)
    rows = ((f'{{"n": {number}, "filling": "{filling}"}}', *[MOMENT] * len(TIMES))
            for number in range(tasks))  # fmt: skip
    with QueueDatabase(path, create=True) as database:
        with database.transaction() as connection:
            connection.executemany(
                f"INSERT INTO task_queue ({columns}) VALUES ('t', ?, 'completed', 'w', {marks})",
                rows,
            )
        QueueMaintenance(database).checkpoint("TRUNCATE")


def least(repeats: int, act: Callable[[], object]) -> float:
    """Return the least seconds of the processor that the act took."""
    took_s = []
    for _repeat in range(repeats):
        began_s = time.process_time()
        act()
        took_s.append(time.process_time() - began_s)
    return min(took_s)


def drain(connection: sqlite3.Connection, sql: str) -> None:
    """Read every row."""
    for _row in connection.execute(sql):
        pass


def check(path: Path) -> None:
    """Compare and record; all must be as recorded."""
    with QueueDatabase(path, read_only=True) as database:
        result = QueueMaintenance(database).check_content()
    assert result.ok


def record(path: Path) -> None:
    """Record for the first time."""
    record_path(path).unlink(missing_ok=True)
    check(path)


def allocated(path: Path) -> float:
    """Return the MB that a comparison has allocated at most."""
    with contextlib.closing(connect_stdlib(path.as_uri(), timeout_s=5)) as connection:
        tracemalloc.start()
        QueueContent(path).compare(connection)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak / MEGABYTE


def measure(tasks: int, payload_bytes: int, repeats: int) -> Result:
    """Return the result for a queue of so many tasks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        make_queue(path, tasks, payload_bytes)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            seconds = {
                "read the table": least(
                    repeats, lambda: drain(connection, "SELECT * FROM task_queue NOT INDEXED")
                ),
                "quick_check": least(repeats, lambda: drain(connection, "PRAGMA quick_check")),
                "integrity_check": least(
                    repeats, lambda: drain(connection, "PRAGMA integrity_check")
                ),
            }
        seconds["record"] = least(1, lambda: record(path))
        seconds["compare and record"] = least(repeats, lambda: check(path))
        return Result(
            tasks=tasks,
            megabytes=path.stat().st_size / MEGABYTE,
            record_megabytes=record_path(path).stat().st_size / MEGABYTE,
            seconds=seconds,
            memory_megabytes=allocated(path),
        )


def show(result: Result) -> None:
    """Print the table."""
    print(
        f"{result.tasks} finished tasks, {result.megabytes:.0f} MB; the record "
        f"{result.record_megabytes:.1f} MB; allocated at most {result.memory_megabytes:.1f} MB"
    )
    print(f"{'':<20}{'CPU s':>8}{'MB/s':>8}{'to integrity':>14}{'to reading':>12}")
    checked, read = result.seconds["integrity_check"], result.seconds["read the table"]
    for name, seconds in result.seconds.items():
        print(
            f"{name:<20}{seconds:>8.2f}{result.megabytes / seconds:>8.0f}"
            f"{seconds / checked:>14.2f}{seconds / read:>12.2f}"
        )


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=500_000)
    parser.add_argument("--payload-bytes", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    settings = parser.parse_args()
    result = measure(settings.tasks, settings.payload_bytes, settings.repeats)
    if settings.json:
        print(json.dumps(asdict(result), indent=2))
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
