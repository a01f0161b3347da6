"""``report.html``: one file without script and without network, for the person who was woken.

Nothing that a database or a test says is trusted: every value is escaped, characters that cannot
be shown are spelled out, and the page's own policy allows its style sheet and nothing else.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import figures
from reports.files import write_atomically
from reports.measures import LABELS, cell_rows, limit_rows, measure_rows, run_measures
from reports.model import Check, Finding, Outcome, Run
from reports.text import printable
from reports.verdict import judge, of_outcome

HTML_NAME = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_WORST_FIRST = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.SKIPPED, Outcome.PASSED)
_LEVELS_WORST_FIRST = ("CRITICAL", "WARNING", "UNKNOWN", "OK")
_MARKS = {
    Outcome.FAILED: "FAIL",
    Outcome.INCONCLUSIVE: "OPEN",
    Outcome.SKIPPED: "SKIP",
    Outcome.PASSED: "PASS",
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """The checks of one scenario file, the worst first."""

    name: str
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome in it."""
        return self.checks[0].outcome

    def count(self, outcome: Outcome) -> int:
        """Return how many of its checks ended so."""
        return sum(check.outcome is outcome for check in self.checks)


def write_html(run: Run, path: Path) -> None:
    """Put ``report.html`` in place."""
    write_atomically(path, render(run).encode("utf-8", "backslashreplace"))


def render(run: Run) -> str:
    """Return the page of the run."""
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    page = _environment().get_template("report.html.j2")
    return page.render(
        run=run,
        judgement=judge(run),
        style=Markup(style),  # noqa: S704 - our own file, no value in it
        style_hash=_policy_hash(style),
        counts=[(outcome, len(of_outcome(run, outcome))) for outcome in _WORST_FIRST],
        headline=run_measures(run),
        limits=limit_rows(run),
        findings=_finding_rows(run),
        measures=measure_rows(run),
        cells=cell_rows(run),
        groups=groups_of(run),
        labels=LABELS,
        marks=_MARKS,
    )


def groups_of(run: Run) -> list[Group]:
    """Return the checks by the file they are in; the worst group first, likewise within one."""
    by_file: dict[str, list[Check]] = {}
    for check in run.checks:
        by_file.setdefault(check.group or check.id.partition("::")[0], []).append(check)
    groups = [
        Group(name=name, checks=tuple(sorted(checks, key=_badness)))
        for name, checks in by_file.items()
    ]
    return sorted(groups, key=lambda group: _badness(group.checks[0]))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=figures.figure,
        quantity=figures.quantity,
        duration=figures.duration,
        moment=figures.moment,
        bar=figures.limit_bar,
        anchor=_anchor,
        link=_link,
    )
    return environment


def _shown(value: object) -> object:
    """Spell out what cannot be shown; runs on every value before it is escaped."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy_hash(style: str) -> str:
    digest = hashlib.sha256(style.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _badness(check: Check) -> int:
    return _WORST_FIRST.index(check.outcome)


def _finding_rows(run: Run) -> list[tuple[Finding, Check]]:
    """What is not in order, each finding once, with the first check that had it.

    A check may pass with a warning.
    """
    first: dict[Finding, Check] = {}
    for check in run.checks:
        for finding in check.findings:
            if finding.level.upper() != "OK":
                first.setdefault(finding, check)
    return sorted(first.items(), key=lambda row: _severity(row[0]))


def _severity(finding: Finding) -> int:
    level = finding.level.upper()
    return _LEVELS_WORST_FIRST.index(level) if level in _LEVELS_WORST_FIRST else 0


def _anchor(check_id: str) -> str:
    """A name for a link within the page: letters and digits whatever the test's id holds."""
    return "c" + hashlib.sha256(check_id.encode("utf-8", "replace")).hexdigest()[:12]


def _link(artefact: str) -> str:
    """A link to a file below the report, or nothing for any other path or scheme."""
    path = artefact.replace("\\", "/")
    outside = path.startswith("/") or ":" in path or ".." in path.split("/")
    return "" if outside else "./" + quote(path, errors="replace")
