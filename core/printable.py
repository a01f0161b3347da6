"""Text that comes from a database or a file name, made harmless for a terminal and a log."""


def visible(text: str) -> str:
    r"""Return the text with everything that does not print written as an escape.

    Control characters can move the cursor and rewrite what was printed, and marks of direction can
    swap it; both are shown as ``\x1b`` or ``\u202e``. So the result is always one line.
    """
    return "".join(mark if mark.isprintable() else _escaped(mark) for mark in text)


def _escaped(mark: str) -> str:
    return mark.encode("unicode_escape").decode("ascii")
