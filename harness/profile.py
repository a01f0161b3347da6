"""How much a run of the gate does."""

from enum import StrEnum


class Profile(StrEnum):
    """How much a run does; each profile runs all that the one before it does."""

    GATE = "gate"
    NIGHTLY = "nightly"
    SOAK = "soak"

    def includes(self, least: "Profile") -> bool:
        """Return whether a check that needs ``least`` runs in this profile."""
        order = list(Profile)
        return order.index(least) <= order.index(self)
