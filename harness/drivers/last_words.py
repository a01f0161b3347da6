"""The end of what a driver said on its standard error, fit to be shown."""

from pathlib import Path

from reports.text import printable

_SHOWN_CHARACTERS = 300
# A driver may have written without end: the rest of the file is not read.
_READ_BYTES = 4096


def last_words(path: Path) -> str:
    """Return the last of it in one line, or nothing where there is no file.

    Args:
        path: of the file that has its standard error.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _READ_BYTES))
            said = stream.read(_READ_BYTES)
    except FileNotFoundError:
        return ""
    return printable(" ".join(said.decode("utf-8", "replace").split()))[-_SHOWN_CHARACTERS:]
