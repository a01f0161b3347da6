"""Queues with one known defect each: what the gate must call red, or it is blind.

Each defect shows by construction and not by luck wherever that can be had: no race has to be won.
"""

from collections.abc import Mapping

from harness.planted import (
    backup,
    claiming,
    content,
    corrupting,
    disk,
    durability,
    health,
    hostile,
    lease_times,
    leases,
    maintenance,
    power,
    restore,
    retention,
    salvage,
)
from harness.planted.defect import Catch, Change, Defect, planted

DEFECTS: Mapping[str, Defect] = {
    defect.name: defect
    for module in (
        backup,
        claiming,
        content,
        disk,
        durability,
        health,
        hostile,
        leases,
        lease_times,
        maintenance,
        power,
        restore,
        retention,
        salvage,
        corrupting,
    )
    for defect in module.DEFECTS
}
"""All of them by name, group by group."""

__all__ = ["DEFECTS", "Catch", "Change", "Defect", "planted"]
