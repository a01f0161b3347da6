"""Text that comes from a database or a file name, made harmless for a terminal."""


def visible(text: str) -> str:
    """Return the text in one line, everything that does not print written as an escape."""
    # Help is shown without the core.
    from core.printable import visible as shown

    return shown(text)
