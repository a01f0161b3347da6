"""One way to corrupt a database."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.ways.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way that SQLite's page names, made to happen.

    Attributes:
        id: the page's section and a word, stable.
        asked: what happens, for people.
        happens: makes it happen in processes of its own; returns what was seen of it. Nobody has
            the queue open afterwards.
        found_by: the findings of the health check of which one must be critical; none for a way
            that the health check is known not to see.
        journal: mode that the queue is in before.
        machine: what the machine must have for it (``equipment.py``).
    """

    id: str
    asked: str
    happens: Callable[[Stage], str]
    found_by: tuple[str, ...] = ("database.integrity", "file.opens")
    journal: str = "wal"
    machine: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.id
