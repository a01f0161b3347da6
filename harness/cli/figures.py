"""Figures as people read them."""

_MEGABYTE = 1024 * 1024
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def size(size_bytes: int) -> str:
    """Return a length in MB of 1024 * 1024 bytes, with two decimals."""
    return f"{size_bytes / _MEGABYTE:.2f} MB"


def age(seconds: float) -> str:
    """Return a span of time in its largest fitting unit; a negative one lies in the future."""
    for unit_s, name in _UNITS:
        if abs(seconds) >= unit_s:
            return f"{seconds / unit_s:.1f} {name}"
    return f"{seconds:.1f} s"


def utc(moment_ms: int) -> str:
    """Return the moment to the second, in UTC, saying so."""
    from core.timestamps import to_text

    return f"{to_text(moment_ms)[:19]} UTC"


def counts(by_status: dict[str, int]) -> str:
    """Return the number of tasks and how many are in each status."""
    total = sum(by_status.values())
    parts = ", ".join(f"{number} {status}" for status, number in sorted(by_status.items()))
    return f"{total} tasks ({parts})" if parts else "no tasks"


def number(value: int | None) -> str:
    """Return the number, or ``unknown`` where it could not be counted."""
    return "unknown" if value is None else str(value)


def quoted(path: object) -> str:
    """Return a path between quotes, ready to be pasted."""
    return f'"{path}"'
