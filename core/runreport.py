"""What a maintenance run did, step by step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        name: what it does.
        ok: whether it did, and found nothing wrong.
        seconds: how long it took.
        detail: what came of it, or why it was not done.
        ran: whether it was begun at all.
    """

    name: str
    ok: bool
    seconds: float
    detail: str
    ran: bool = True


@dataclass(frozen=True)
class RunReport:
    """What a maintenance run did.

    Attributes:
        name: hourly, daily or weekly.
        started_utc: when it began.
        steps: in order.
    """

    name: str
    started_utc: str
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether every step was done and found nothing wrong."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def seconds(self) -> float:
        """How long all steps took together."""
        return sum(step.seconds for step in self.steps)

    def step(self, name: str) -> Step:
        """Return the step of this name.

        Raises:
            KeyError: the run has none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)
