"""Writes a report so that a reader meets the old file or the new one, never half of one."""

import contextlib
import secrets
import time
from pathlib import Path

# A browser or a virus scanner may hold the old report on Windows for a moment.
_REPLACE_DEADLINE_S = 3.0
_REPLACE_WAIT_S = 0.05


def write_atomically(path: Path, content: bytes) -> None:
    """Put the content under the path, whole.

    Args:
        path: where; what was there before is replaced.
        content: all of the file.

    Raises:
        OSError: the folder cannot be written, or another program keeps the old file open; the
            old file is as it was.
    """
    # Not by tempfile: its files are for their owner alone, and a report is for others too.
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
        _replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _replace(source: Path, target: Path) -> None:
    deadline = time.monotonic() + _REPLACE_DEADLINE_S
    while True:
        try:
            source.replace(target)
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_REPLACE_WAIT_S)
        else:
            return
