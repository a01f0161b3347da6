"""Numbers that come in rising order, kept as the ranges that they make."""

from dataclasses import dataclass, field

_KEPT_RANGES = 1000
_SHOWN_RANGES = 10


@dataclass
class Ranges:
    """Numbers, told as narrowly as they can be: ``7, 40-44``.

    Attributes:
        count: how many there are.
        ranges: first and last of each range; of the first thousand ranges only.
    """

    count: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, number: int) -> None:
        """Take a number that is higher than all before."""
        self.count += 1
        if self.ranges and self.ranges[-1][1] == number - 1:
            self.ranges[-1] = (self.ranges[-1][0], number)
        elif len(self.ranges) < _KEPT_RANGES:
            self.ranges.append((number, number))

    def __str__(self) -> str:
        """Return the first ranges, and how many numbers there are beyond them."""
        shown = self.ranges[:_SHOWN_RANGES]
        words = [f"{first}" if first == last else f"{first}-{last}" for first, last in shown]
        more = self.count - sum(last - first + 1 for first, last in shown)
        return ", ".join(words) + (f" and {more} more" if more else "")
