"""What has to be there after a power cut, by what was said before it came."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.disk.left import MISSING, Found
from harness.disk.record import Entry, marks

BEGUN, ACKNOWLEDGED = "begun", "acknowledged"


@dataclass(frozen=True)
class Promised:
    """Judges what is found; for one record.

    Attributes:
        before: what was found before the operation.
        after: what is found when it has ended, untouched.
        contents: of the queue, in the order in which it may have them.
        sets_aside: whether what is replaced has to be kept.
    """

    before: Found
    after: Found
    contents: tuple[str, ...]
    sets_aside: bool

    @classmethod
    def by(cls, record: Sequence[Entry], before: Found, after: Found) -> "Promised":
        """Return what the record promises.

        Args:
            record: of the operation, run to its end.
            before: what was found before it.
            after: what is found behind it.
        """
        said = marks(record, ACKNOWLEDGED)
        contents = [
            before.queue.content,
            *(str(each["content"]) for each in said if "content" in each),
        ]
        replaces = any("restored" in each for each in said)
        if replaces:
            contents.append(after.queue.content)
        return cls(before, after, tuple(contents), replaces and before.queue.content != MISSING)

    def wrong(self, found: Found, said: Sequence[Entry]) -> str:
        """Return what is wrong with what is found, or nothing.

        Args:
            found: after the cut.
            said: the marks until the cut.
        """
        return self._of_queue(found, said) or self._of_backups(found, said)

    def place(self, found: Found) -> int | None:
        """Return which of its contents the queue has, from 0; None for another or a bad one."""
        queue, before = found.queue, self.before.queue
        as_before = (queue.content, queue.wrong) == (before.content, before.wrong)
        if queue.content not in self.contents or (queue.wrong and not as_before):
            return None
        return self.contents.index(queue.content)

    def _of_queue(self, found: Found, said: Sequence[Entry]) -> str:
        place = self.place(found)
        if place is None:
            why = found.queue.wrong or f"it has {found.queue.content}, which it never had"
            return f"the queue is neither as before an operation nor as after it: {why}"
        done = [each["label"] for each in marks(said, ACKNOWLEDGED) if each.get("promised")]
        if place < self.least(said):
            return f"{done[-1]} was acknowledged and is lost"
        if place > len(marks(said, BEGUN)):
            return "the queue has what nobody had asked for yet"
        last = len(self.contents) - 1
        told = found.queue.told
        if told and {"old": 0, "new": last}.get(told) != place:
            return f"content {place} of {last} is told as the {told} one"
        if self.sets_aside and place == last and self.before.queue.content not in found.set_aside:
            return "the queue is replaced, and what was there before is not set aside"
        return ""

    def least(self, said: Sequence[Entry]) -> int:
        """Return the least place that the queue may have once this was said."""
        places = [
            self.contents.index(str(each.get("content", self.contents[-1])))
            for each in marks(said, ACKNOWLEDGED)
            if each.get("promised") and ("content" in each or "restored" in each)
        ]
        return max(places, default=0)

    def acknowledged(self, said: Sequence[Entry]) -> int:
        """Return the place of what was said last, promised or not."""
        return len([each for each in marks(said, ACKNOWLEDGED) if "content" in each])

    def _of_backups(self, found: Found, said: Sequence[Entry]) -> str:
        whole = {**self.before.kept.listed, **self.after.kept.listed}
        for name, digest in found.kept.listed.items():
            if name in found.kept.unproved:
                return f"{name} is listed and is not sound: {found.kept.unproved[name]}"
            if digest != whole.get(name):
                return f"{name} is listed and is not what was proved"
        wanted = set(self.before.kept.listed) & set(self.after.kept.listed)
        wanted |= {str(each["listed"]) for each in marks(said, ACKNOWLEDGED) if "listed" in each}
        gone = sorted(wanted - set(found.kept.listed))
        return f"{gone[0]} was reported and is not listed" if gone else ""
