"""The command that starts a driver, with places for what differs from start to start."""

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.drivers.fields import Kind
from harness.drivers.operations import CAPABILITIES, MAINTENANCE
from harness.drivers.protocol import Capabilities

DB, CLOCK, DURABILITY = "{db}", "{clock_offset_ms}", "{durability}"
_PLACES = re.compile("|".join(map(re.escape, (DB, CLOCK, DURABILITY))))
_CORE_DRIVER = Path(__file__).with_name("core_driver.py")
NEEDS = (
    *(field.name for field in CAPABILITIES if field.kind is Kind.TRUTH),
    *MAINTENANCE,
    "at-least-once",
    "at-most-once",
    "clock",
    "core",
)
"""What a check can need: what hello declares, a clock that can be set, or our own core."""


class CommandError(ValueError):
    """The command cannot be used; the message says why, and the cure."""


@dataclass(frozen=True)
class DriverCommand:
    """Program and arguments of a driver.

    Attributes:
        template: the words, with ``{db}``, ``{clock_offset_ms}`` and ``{durability}`` in them.
        text: as it was given, for reports.
    """

    template: tuple[str, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> "DriverCommand":
        """Return the command of a command line; no shell ever sees it.

        Quotes group words as a POSIX shell's do. On Windows a backslash is a character like others.

        Raises:
            CommandError: it cannot be split, or has no place for the queue's file.
        """
        lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
        lexer.whitespace_split = True
        lexer.commenters = ""
        if os.name == "nt":
            lexer.escape = ""
        try:
            words = tuple(lexer)
        except ValueError as error:
            raise CommandError(
                f"it cannot be split into words ({error}). Check its quotes"
            ) from None
        if not any(DB in word for word in words):
            raise CommandError(
                "it does not say where the queue's file goes. Put {db} into it, for example: "
                "python mine.py --db {db} --clock-offset-ms {clock_offset_ms}"
            )
        return cls(words, text)

    @property
    def has_clock(self) -> bool:
        """Whether the driver can be given a wrong clock."""
        return any(CLOCK in word for word in self.template)

    def offers(self, need: str, capabilities: Capabilities) -> bool:
        """Return whether what a check needs is there.

        Args:
            need: one of ``NEEDS``.
            capabilities: what the driver declared.
        """
        if need == "clock":
            return self.has_clock
        return self == CORE if need == "core" else capabilities.has(need)

    def words(
        self, database: Path, *, clock_offset_ms: int = 0, durability: str = "full"
    ) -> list[str]:
        """Return program and arguments for one start.

        Args:
            database: the queue's file.
            clock_offset_ms: how wrong the driver's clock is, in milliseconds.
            durability: what acknowledgements are to survive, ``full`` or ``normal``.

        Raises:
            CommandError: the clock is to be wrong, and the command has no place for it.
        """
        if clock_offset_ms and not self.has_clock:
            raise CommandError(
                f"the command {self.text!r} has no {CLOCK}, so this driver's clock cannot be wrong"
            )
        values = {DB: str(database), CLOCK: str(clock_offset_ms), DURABILITY: durability}
        # In one go: a value is not looked through for the other places.
        return [_PLACES.sub(lambda place: values[place[0]], word) for word in self.template]


CORE = DriverCommand(
    (
        *(sys.executable, "-X", "utf8", str(_CORE_DRIVER)),
        *("--db", DB, "--clock-offset-ms", CLOCK, "--durability", DURABILITY),
    ),
    "queuedrill's own core",
)
"""The driver over our own core."""


def core_command(
    database: Path, *, clock_offset_ms: int = 0, durability: str = "full"
) -> list[str]:
    """Return the words that start the driver over our own core; see ``DriverCommand.words``."""
    return CORE.words(database, clock_offset_ms=clock_offset_ms, durability=durability)
