"""One trial of one defect: was it caught, and by whom?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.planted import Catch, Defect
from harness.selftest.gaterun import GateRan
from reports.model import Outcome

FOLDER = "scenarios"
Check = Mapping[str, Any]


class State(StrEnum):
    """What became of a defect."""

    CAUGHT = "caught"
    ELSEWHERE = "seen, but not by every check that must"
    MISSED = "missed"
    OPEN = "could not be tried"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of one trial.

    Attributes:
        name: of the defect.
        seed: of the run.
        state: what became of it.
        by: the checks that had to see it and did, each with what it said.
        failed: ids of all failed checks.
        whole: whether all of the gate was run, and not only those that must see it.
    """

    name: str
    seed: int
    state: State
    by: tuple[str, ...]
    failed: tuple[str, ...]
    whole: bool


def asked_of(defect: Defect) -> list[str]:
    """Return what pytest is given to run the checks that must see the defect."""
    ids = dict.fromkeys(f"{FOLDER}/{catch.scenario}" for catch in defect.catches)
    return [each for each in ids if not any(_covers(other, each) for other in ids)]


def _covers(other: str, one: str) -> bool:
    return other != one and one.startswith((f"{other}::", f"{other}["))


def judge_trial(defect: Defect, seed: int, ran: GateRan, *, whole: bool) -> Trial:
    """Return what the run says of the defect. A check that could not be made is no catch."""
    checks: Sequence[Check] = ran.report.get("checks", ())
    failed = [check for check in checks if check["outcome"] == Outcome.FAILED]
    seen = {catch: [check for check in failed if _sees(catch, check)] for catch in defect.catches}
    return Trial(
        name=defect.name,
        seed=seed,
        state=_state(ran, seen, failed),
        by=tuple(dict.fromkeys(_said(seen))),
        failed=tuple(_below(check) for check in failed),
        whole=whole,
    )


def _sees(catch: Catch, check: Check) -> bool:
    said = (
        str(check["message"]),
        *(str(limit["name"]) for limit in check["limits"] if not limit["ok"]),
    )
    return _below(check).startswith(catch.scenario) and any(catch.says in text for text in said)


def _state(ran: GateRan, seen: Mapping[Catch, Sequence[Check]], failed: Sequence[Check]) -> State:
    if all(seen.values()):
        return State.CAUGHT
    if failed:
        return State.ELSEWHERE
    return State.MISSED if ran.status == 0 else State.OPEN


def _said(seen: Mapping[Catch, Sequence[Check]]) -> Iterator[str]:
    for catch, checks in seen.items():
        for check in checks:
            yield f"{_below(check)}: {catch.says}"


def _below(check: Check) -> str:
    return str(check["id"]).removeprefix(f"{FOLDER}/")
