"""Parts of the core that are text: one of their conditions left out, or put wrong."""

from collections.abc import Callable


def reworded(*changes: tuple[str, str]) -> Callable[[str], str]:
    """Return what makes the wrong text of the right one.

    Args:
        changes: what stands in it, and what is to stand there.
    """

    def make(right: str) -> str:
        for stands, instead in changes:
            assert stands in right, f"{stands!r} is not in {right!r}"
            right = right.replace(stands, instead)
        return right

    return make
