"""Which tests belong to the gate, and which of them run this time."""

from dataclasses import dataclass

import pytest

from harness.describe import about
from harness.drivers.command import CLOCK, NEEDS, DriverCommand
from harness.drivers.protocol import Capabilities
from harness.equipment import EQUIPMENT, UnknownEquipmentError, missing
from harness.profile import Profile
from harness.settings import Settings
from reports.model import NotApplicable

MARKERS = (
    "scenario: a check of the gate; one collected test with it arms verdict and reports",
    "queue_db: a check that judges the file under --queue-db, and is left out without one",
    "needs(name, ...): what the driver must declare, or it is left out as not applicable: "
    + ", ".join(NEEDS),
    "machine(name, ...): what the machine must have, or it is left out as not applicable: "
    + ", ".join(EQUIPMENT),
    "profile(name): the least profile in which it runs: gate, nightly or soak",
)

_OTHER_REASONS = {
    "core": "it judges queuedrill's own core, and another driver was given",
    "clock": f"the driver's command has no {CLOCK}",
}


def is_scenario(item: pytest.Item) -> bool:
    """Return whether the test belongs to the gate."""
    return item.get_closest_marker("scenario") is not None


@dataclass(frozen=True)
class Offer:
    """What the queue of this run can do.

    Attributes:
        command: of its driver.
        capabilities: that it declared.
    """

    command: DriverCommand
    capabilities: Capabilities

    def lacks(self, item: pytest.Item) -> list[str]:
        """Return what the test needs and is not there.

        Raises:
            pytest.UsageError: it needs something that nobody can declare.
        """
        needs = [str(need) for mark in item.iter_markers("needs") for need in mark.args]
        unknown = sorted(set(needs) - set(NEEDS))
        if unknown:
            raise pytest.UsageError(
                f"{item.nodeid}: needs({unknown[0]!r}) is nothing that a driver can declare. "
                f"Give some of: {', '.join(NEEDS)}"
            )
        return [need for need in needs if not self.command.offers(need, self.capabilities)]


@dataclass
class Selection:
    """The tests of a run.

    Attributes:
        runs: they are executed.
        left_out: they are not. Not skipped: a check that has no object says nothing, and must not
            count as open.
        not_applicable: those of them that judge what the driver does not declare, or what this
            machine cannot do.
    """

    runs: list[pytest.Item]
    left_out: list[pytest.Item]
    not_applicable: list[NotApplicable]


def select(items: list[pytest.Item], settings: Settings, offer: Offer | None) -> Selection:
    """Return which tests run with these settings.

    Args:
        items: all that were collected.
        settings: of the run.
        offer: what the queue can do; None leaves nothing out for it.

    Raises:
        pytest.UsageError: a marker names what there is not.
    """
    selection = Selection([], [], [])
    for item in items:
        lacking = offer.lacks(item) if offer is not None else []
        runs = _runs(item, settings)
        # A machine is asked for nothing that this run does not want of it.
        reasons = [*_reasons(lacking), *(_missing(item) if runs and offer is not None else ())]
        (selection.runs if runs and not reasons else selection.left_out).append(item)
        if runs and reasons:
            left_out = NotApplicable(
                id=item.nodeid, title=about(item).title, reason="; ".join(reasons)
            )
            selection.not_applicable.append(left_out)
    return selection


def _reasons(lacking: list[str]) -> list[str]:
    undeclared = [need for need in lacking if need not in _OTHER_REASONS]
    reasons = [_OTHER_REASONS[need] for need in lacking if need in _OTHER_REASONS]
    if undeclared:
        reasons.append(f"the driver does not declare: {', '.join(undeclared)}")
    return reasons


def _missing(item: pytest.Item) -> list[str]:
    needs = [str(need) for mark in item.iter_markers("machine") for need in mark.args]
    try:
        return missing(needs)
    except UnknownEquipmentError as error:
        raise pytest.UsageError(
            f"{item.nodeid}: machine({str(error)!r}) is nothing that a machine is asked for. "
            f"Give some of: {', '.join(EQUIPMENT)}"
        ) from None


def _runs(item: pytest.Item, settings: Settings) -> bool:
    if settings.db is None and item.get_closest_marker("queue_db") is not None:
        return False
    return settings.profile.includes(_least_profile(item))


def _least_profile(item: pytest.Item) -> Profile:
    marker = item.get_closest_marker("profile")
    if marker is None:
        return Profile.GATE
    name = marker.args[0] if marker.args else "nothing"
    try:
        return Profile(name)
    except ValueError:
        raise pytest.UsageError(
            f"{item.nodeid}: profile({name!r}) names no profile. Give one of: {', '.join(Profile)}"
        ) from None
