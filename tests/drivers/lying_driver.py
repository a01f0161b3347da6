"""Our own core's driver with one lie: ``python lying_driver.py LIE QUEUE_FILE CLOCK_OFFSET_MS``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import lies_of_speech  # noqa: F401 - it enters its lies into the table
import lies_of_tasks  # noqa: F401 - likewise
import lies_of_upkeep  # noqa: F401 - likewise
import oddities  # noqa: F401 - likewise
from lies import LIES, ODDITIES

from core.clock import SystemClock
from harness.drivers.core_driver import serve


def main(name, path, offset_ms):
    """Answer as the lie does."""
    kind = ODDITIES[name] if name in ODDITIES else LIES[name][0]
    serve(kind(path, SystemClock(offset_ms), "full"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
