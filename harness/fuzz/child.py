"""A program that tries one case of the fuzzer after another, and says a line of JSON for each."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil

from harness.fuzz.trying import Ground, alone, limit_memory
from harness.inherited import planted_by_parent

MEMORY_MB = 1024
PEAK_MB = 300


def main() -> None:
    """Try the case of each number that is read; say what came of it, and end with the input."""
    limit_memory(MEMORY_MB)
    process = psutil.Process()
    with planted_by_parent(), alone():
        ground = Ground(Path(sys.argv[1]))
        start_mb = process.memory_info().rss >> 20
        for line in sys.stdin:
            trial = ground.attempt(int(line))
            grown_mb = (process.memory_info().rss >> 20) - start_mb
            if grown_mb > PEAK_MB:
                trial.wrong.append(f"the process grew by {grown_mb} MB")
            sys.stdout.write(json.dumps(asdict(trial)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
