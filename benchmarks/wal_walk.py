"""How fast a write-ahead log is walked, beside other ways to know what is in it.

    python benchmarks/wal_walk.py [--megabytes 4 100] [--repeats 3] [--json]

Each size is a log of one-page commits with pages of 4096 bytes. It is read (the floor), recovered
by SQLite on a copy, walked, and summed word after word in plain Python, as the documentation has
the checksum. The ratios are to the reading and of the plain sums to the walk, in one run, as the
processor counts it.
"""

import argparse
import contextlib
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core import wal
from core.paths import wal_of
from core.walsum import FRAME_HEADER_BYTES, checksum

PAGE_BYTES = 4096
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Result:
    """One size of a log.

    Attributes:
        megabytes: of the log.
        frames: in it.
        read_s: reading it, seconds of the processor, the least of the repeats; likewise below.
        recovered_s: SQLite recovers it.
        walked_s: the walk.
        plain_s: the checksums word after word.
    """

    megabytes: float
    frames: int
    read_s: float
    recovered_s: float
    walked_s: float
    plain_s: float


def make_log(folder: Path, megabytes: float) -> Path:
    """Return a database whose log was left behind and is so long."""
    made, left = folder / "made.db", folder / "left.db"
    with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as connection:
        for pragma in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            "wal_autocheckpoint = 0",
            "synchronous = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("CREATE TABLE t (x)")
        while wal_of(made).stat().st_size < megabytes * MEGABYTE:
            connection.execute("INSERT INTO t VALUES (randomblob(3000))")
        for source, target in ((made, left), (wal_of(made), wal_of(left))):
            shutil.copyfile(source, target)
    return left


def least(repeats: int, act: Callable[[], object]) -> float:
    """Return the least seconds of the processor that the act took."""
    took_s = []
    for _repeat in range(repeats):
        began_s = time.process_time()
        act()
        took_s.append(time.process_time() - began_s)
    return min(took_s)


def recover(path: Path) -> None:
    """Have SQLite read the log of a copy; the copying is part of what this way costs."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / path.name
        for source, target in ((path, copy), (wal_of(path), wal_of(copy))):
            shutil.copyfile(source, target)
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()


def sum_plainly(path: Path) -> None:
    """Take the checksums word after word."""
    log = path.read_bytes()
    size = FRAME_HEADER_BYTES + PAGE_BYTES
    sums = checksum(log[:24], (0, 0), "<")
    for place in range(32, len(log) - size + 1, size):
        sums = checksum(log[place : place + 8], sums, "<")
        sums = checksum(log[place + FRAME_HEADER_BYTES : place + size], sums, "<")


def measure(megabytes: float, repeats: int) -> Result:
    """Return the result for a log of this size."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_log(Path(folder), megabytes)
        log = wal_of(path)
        walk = wal.walk(log)
        assert walk.damage == "none"
        assert walk.committed == walk.frames
        return Result(
            megabytes=walk.size_bytes / MEGABYTE,
            frames=walk.frames,
            read_s=least(repeats, log.read_bytes),
            recovered_s=least(repeats, lambda: recover(path)),
            walked_s=least(repeats, lambda: wal.walk(log)),
            plain_s=least(repeats, lambda: sum_plainly(log)),
        )


def show(results: list[Result]) -> None:
    """Print the table."""
    print(f"{'MB':>7}  {'way':<12}  {'CPU s':>7}  {'MB/s':>7}  {'to reading':>10}")
    for result in results:
        ways = {
            "read": result.read_s,
            "SQLite": result.recovered_s,
            "walk": result.walked_s,
            "word by word": result.plain_s,
        }
        for name, seconds in ways.items():
            print(
                f"{result.megabytes:>7.1f}  {name:<12}  {seconds:>7.3f}  "
                f"{result.megabytes / max(seconds, 1e-6):>7.0f}  "
                f"{seconds / max(result.read_s, 1e-6):>10.1f}"
            )
        print(f"{'':>7}  the walk is {result.plain_s / result.walked_s:.1f} times as fast as "
              "word by word")  # fmt: skip


def main() -> int:
    """Return 1 where the walk is no faster than word by word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[4, 100])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    settings = parser.parse_args()
    results = [measure(megabytes, settings.repeats) for megabytes in settings.megabytes]
    if settings.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        show(results)
    return 1 if any(result.walked_s > result.plain_s for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
