"""What a collected test says about itself: its promise, and the four lines of its module."""

import inspect
import re
from dataclasses import dataclass

import pytest

from reports.text import first_line

_LABELS = {
    "claim": "Claim",
    "fault_plan": "Faults",
    "method": "Method",
    "failure_means": "A failure means",
}
_LABELLED = re.compile(
    r"^[ \t]*(?:[*_]{1,2})?(" + "|".join(_LABELS.values()) + r")(?:[*_]{1,2})?:[*_]*[ \t]*",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class About:
    """The words of a check, for the reports."""

    title: str
    group: str
    claim: str
    fault_plan: str
    method: str
    failure_means: str


def about(item: pytest.Item) -> About:
    """Return what the test and its module say in their docstrings."""
    function = getattr(item, "function", None)
    module = getattr(item, "module", None)
    sections = labelled_lines(inspect.getdoc(module) or "")
    promise = first_line(inspect.getdoc(function) or "") or item.name
    return About(
        title=promise.rstrip(".") + _parameters(item),
        group=item.nodeid.partition("::")[0],
        **sections,
    )


def labelled_lines(docstring: str) -> dict[str, str]:
    """Return the text after each of the four labels, on one line; empty where one is missing."""
    found = list(_LABELLED.finditer(docstring))
    ends = [match.start() for match in found[1:]] + [len(docstring)]
    texts = {
        match[1]: " ".join(docstring[match.end() : end].partition("\n\n")[0].split())
        for match, end in zip(found, ends, strict=True)
    }
    return {name: texts.get(label, "") for name, label in _LABELS.items()}


def _parameters(item: pytest.Item) -> str:
    """Tell the rows of one parametrised promise apart."""
    _, bracket, rest = item.name.partition("[")
    return f" [{rest}" if bracket else ""
