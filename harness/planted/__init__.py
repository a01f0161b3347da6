"""Queues with one known defect each: what the gate must call red, or it is blind.

Each defect shows by construction and not by luck wherever that can be had: no race has to be won.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from harness.planted import (
    backup,
    claiming,
    durability,
    health,
    leases,
    maintenance,
    restore,
    retention,
)
from harness.planted.defect import PLANTED_VARIABLE, Catch, Change, Defect, planted

DEFECTS: Mapping[str, Defect] = {
    defect.name: defect
    for module in (
        backup,
        claiming,
        durability,
        health,
        leases,
        maintenance,
        restore,
        retention,
    )
    for defect in module.DEFECTS
}
"""All of them by name, group by group."""

__all__ = [
    "DEFECTS",
    "PLANTED_VARIABLE",
    "Catch",
    "Change",
    "Defect",
    "planted",
    "planted_by_parent",
]


def planted_by_parent() -> AbstractContextManager[None]:
    """Have the defect in this process that the process which started it has; usually none."""
    name = os.environ.get(PLANTED_VARIABLE)
    return nullcontext() if name is None else planted(DEFECTS[name])
