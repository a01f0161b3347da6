"""What a queue is held against: each limit, who has set it, and the file that can.

    # queuedrill.toml
    [limits]
    wal_mb = { warn = 50, fail = 100 }
    size_mb = { fail = 2048 }
    stale_after_s = 600

The command line goes before the environment, that before the file, that before the runbook.
"""

import contextlib
import difflib
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from core.errors import InvalidArgumentError
from core.thresholds import AtLeast, AtMost, Thresholds

CONFIG_NAME = "queuedrill.toml"
RUNBOOK = "the runbook"
_TABLE = "limits"
_SIDES = ("warn", "fail")


class LimitError(ValueError):
    """A limit cannot be used; the message says why, and the cure."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One limit as it is in force.

    Attributes:
        name: as it is written in the file and on the command line.
        warn: what may not be passed without a warning; None where nothing warns.
        fail: what may not be passed at all; None where nothing fails.
        unit: of both.
        kind: ``max``, ``min``, or ``value`` for a figure that is no limit but makes one (``fail``).
        origin: who has set it.
    """

    name: str
    warn: float | None
    fail: float | None
    unit: str
    kind: str
    origin: str = RUNBOOK

    def as_word(self) -> str:
        """Return it as ``Limits.with_words`` takes it."""
        if self.kind == "value":
            return f"{self.name}={self.fail!r}"
        sides = ("" if side is None else repr(side) for side in (self.warn, self.fail))
        return f"{self.name}={'/'.join(sides)}"

    def __str__(self) -> str:
        """Return it in words, with who has set it."""
        if self.kind == "value":
            return f"{self.fail:g} {self.unit} ({self.origin})"
        side = "above" if self.kind == "max" else "below"
        parts = [
            f"{word} {side} {figure:g} {self.unit}"
            for word, figure in (("warns", self.warn), ("fails", self.fail))
            if figure is not None
        ]
        return f"{', '.join(parts) or 'no limit'} ({self.origin})"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All limits of a run.

    Attributes:
        bounds: by the order of ``Thresholds``, those of a restore behind them.
    """

    bounds: tuple[Bound, ...]

    def __getitem__(self, name: str) -> Bound:
        return next(bound for bound in self.bounds if bound.name == name)

    def thresholds(self) -> Thresholds:
        """Return those that the health check knows."""
        known: dict[str, Any] = {}
        for field in fields(Thresholds):
            known[field.name] = _to_threshold(self[field.name], field.default)
        return Thresholds(**known)

    def with_file(self, path: Path) -> "Limits":
        """Return them with what the file says.

        Raises:
            LimitError: it cannot be read, or says something that is no limit.
        """
        limits = self
        with _said_by(str(path)):
            for name, value in _read_table(path).items():
                limits = limits.with_value(name, value, str(path))
        return limits

    def with_words(self, words: Iterable[str], origin: str) -> "Limits":
        """Return them with those given as ``NAME=WARN/FAIL``; either side may be left empty.

        Raises:
            LimitError: a word is no limit.
        """
        limits = self
        for word in words:
            name, equals, value = word.partition("=")
            with _said_by(origin):
                if not equals:
                    raise LimitError(f"{word!r} is no limit. Give NAME=WARN/FAIL, as wal_mb=50/100")
                limits = limits.with_value(name.strip(), _parse(name, value), origin)
        return limits

    def with_value(self, name: str, value: object, origin: str) -> "Limits":
        """Return them with one set anew.

        Args:
            name: of the limit.
            value: a number, which is the one that fails, or a table with ``warn`` and ``fail``.
            origin: who sets it.

        Raises:
            LimitError: there is no such limit, or the value makes none.
        """
        _require_known(name, [bound.name for bound in self.bounds], "limit")
        bound = replace(_changed(self[name], value), origin=origin)
        _require_sense(bound)
        limits = Limits(bounds=tuple(bound if each.name == name else each for each in self.bounds))
        try:
            limits.thresholds()
        except InvalidArgumentError as error:
            raise LimitError(str(error)) from None
        return limits


@contextlib.contextmanager
def _said_by(origin: str) -> Iterator[None]:
    """Let an error of the body say who gave what is wrong."""
    try:
        yield
    except LimitError as error:
        raise LimitError(f"{origin}: {error}") from None


def runbook_limits() -> Limits:
    """Return the limits that hold where nobody has set others."""
    return Limits(bounds=(*map(_from_threshold, fields(Thresholds)), *_RESTORE))


def limits_in_force(
    file: Path | None, folders: Iterable[Path], given: Iterable[tuple[Iterable[str], str]]
) -> Limits:
    """Return the runbook's limits with what others have set.

    Args:
        file: takes the place of one that is looked for.
        folders: where ``queuedrill.toml`` is looked for; the first counts.
        given: words as ``Limits.with_words`` takes them and who gives them, the farthest first.

    Raises:
        LimitError: something of it is no limit.
    """
    limits = runbook_limits()
    file = file or find_config(folders)
    if file is not None:
        limits = limits.with_file(file)
    for words, origin in given:
        limits = limits.with_words(words, origin)
    return limits


def find_config(folders: Iterable[Path]) -> Path | None:
    """Return the first ``queuedrill.toml`` that lies in one of the folders, or None."""
    return next((path for folder in folders if (path := folder / CONFIG_NAME).is_file()), None)


_RESTORE = (
    Bound(name="rpo_s", warn=None, fail=None, unit="s", kind="max"),
    Bound(name="rto_s", warn=None, fail=None, unit="s", kind="max"),
)
"""How much work a restore may cost, and how long it may take; the runbook sets no figure."""


def _from_threshold(field: Any) -> Bound:  # noqa: ANN401 - a field of a dataclass
    default = field.default
    if isinstance(default, AtMost | AtLeast):
        kind = "max" if isinstance(default, AtMost) else "min"
        return Bound(
            name=field.name,
            warn=default.warning,
            fail=default.critical,
            unit=default.unit,
            kind=kind,
        )
    return Bound(name=field.name, warn=None, fail=default, unit="s", kind="value")


def _to_threshold(bound: Bound, default: object) -> object:
    if bound.kind == "value":
        return bound.fail
    assert bound.warn is not None, "no limit of the health check is without a warning"
    if isinstance(default, AtMost):
        return AtMost(bound.warn, bound.fail, bound.unit)
    assert bound.fail is not None
    return AtLeast(bound.warn, bound.fail, bound.unit)


def _changed(bound: Bound, value: object) -> Bound:
    if isinstance(value, bool) or not isinstance(value, int | float | Mapping):
        raise LimitError(f"{bound.name}: {value!r} is no number. Give one, or warn and fail")
    if not isinstance(value, Mapping):
        return _moved(bound, {"fail": value})
    for side in value:
        _require_known(str(side), _SIDES, f"{bound.name}.")
    return _moved(bound, value)


def _moved(bound: Bound, given: Mapping[str, object]) -> Bound:
    """Set one side or both; a warning that nobody has moved never lies beyond the failure."""
    figures = {side: _figure(bound.name, side, value) for side, value in given.items()}
    moved = replace(
        bound, warn=figures.get("warn", bound.warn), fail=figures.get("fail", bound.fail)
    )
    if "warn" in given or moved.warn is None or moved.fail is None:
        return moved
    nearer = min if bound.kind == "max" else max
    return replace(moved, warn=nearer(moved.warn, moved.fail))


def _figure(name: str, side: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(float(value)) or float(value) < 0:  # type: ignore[arg-type]
        raise LimitError(f"{name}.{side}: {value!r} is no number of 0 or more")
    return float(value)  # type: ignore[arg-type]


def _require_sense(bound: Bound) -> None:
    if bound.kind == "value" and bound.warn is not None:
        raise LimitError(f"{bound.name} is one figure, and warns of nothing. Give one number")
    if bound.warn is None or bound.fail is None:
        return
    passed = bound.warn > bound.fail if bound.kind == "max" else bound.warn < bound.fail
    if passed:
        raise LimitError(
            f"{bound.name} fails at {bound.fail:g} before it warns at {bound.warn:g}. Let it warn "
            "no later than it fails"
        )


def _require_known(name: str, known: Iterable[str], what: str) -> None:
    names = list(known)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    said = f"{what}{name}" if what.endswith(".") else f"{what} {name!r}"
    raise LimitError(f"there is no {said}. Did you mean {near[0]!r}? There are: {', '.join(names)}")


def _parse(name: str, value: str) -> object:
    if "/" not in value:
        return _number(name, value)
    sides = dict(zip(_SIDES, value.split("/", 1), strict=True))
    return {side: _number(name, text) for side, text in sides.items() if text.strip()}


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LimitError(
            f"{name}: {text!r} is no number. Give NAME=WARN/FAIL, as wal_mb=50/100"
        ) from None


def _read_table(path: Path) -> Mapping[str, object]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LimitError(f"it cannot be read: {error}") from None
    for name in content:
        _require_known(name, [_TABLE], "table")
    table = content.get(_TABLE, {})
    if not isinstance(table, Mapping):
        raise LimitError(f"{_TABLE} is no table. Write [{_TABLE}] above its limits")
    return table
