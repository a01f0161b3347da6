"""A program that maps the queue's file into its memory and writes there by mistake.

Nobody calls write: what is mapped is the file (https://www.sqlite.org/mmap.html).
"""

import json
import mmap
import os
import sys
from pathlib import Path

_STRAY = b"where does this pointer lead to?" * 16


def main(database: Path, offset: int) -> dict[str, int]:
    """Return how many bytes went into the file."""
    descriptor = os.open(database, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[offset : offset + len(_STRAY)] = _STRAY
    os.close(descriptor)
    return {"written": len(_STRAY)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
