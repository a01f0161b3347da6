"""``python -m harness.fuzz``: try files of others by the thousand, and keep what was found."""

import argparse
import sys
from pathlib import Path

from harness.fuzz.hunt import REPLAY, hunt


def main() -> int:
    """Try the cases that are asked for; return 1 where something was found."""
    given = _parser().parse_args()
    numbers = range(given.first, given.first + given.count)
    found = hunt(numbers, seconds=given.seconds, keep=given.keep)
    print(found)
    for answer, count in found.answers.most_common():
        print(f"  {count:>7}  {answer}")
    for trial in found.found:
        print(REPLAY.format(number=trial.number))
        for line in (*trial.changes, *trial.wrong):
            print(f"    {line!r}")
    return 1 if found.found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.fuzz", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=1000, help="how many cases")
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin none after so long")
    parser.add_argument("--keep", type=Path, help="folder for the files of what is found")
    return parser


if __name__ == "__main__":
    sys.exit(main())
