"""What our own core promises; its driver declares it, and so a run need not ask."""

from harness.drivers.operations import MAINTENANCE
from harness.drivers.protocol import Capabilities


def core_capabilities(durability: str = "full") -> Capabilities:
    """Return what the driver over our own core declares.

    Args:
        durability: of enqueue, complete and fail.
    """
    return Capabilities(
        leases=True,
        fencing=True,
        priorities=True,
        delays=True,
        order=True,
        keys=True,
        retries=True,
        delivery="at-least-once",
        durability=durability,
        maintenance=MAINTENANCE,
    )
