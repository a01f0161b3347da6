"""A moment at which a process can be looked at or killed: what it is called, everywhere here."""

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Step:
    """One moment.

    Attributes:
        number: from 1; strace counts each kind of call by itself, all others count through.
        what: a system call, or what comes next or was just done, for people.
        changed: whether files may be other than they were at the step before.
    """

    number: int
    what: str
    changed: bool = field(default=True, compare=False)

    def __str__(self) -> str:
        return f"step {self.number}, {self.what}"
