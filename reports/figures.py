"""Figures as a reader takes them in: rounded, with their unit, and as a bar against a limit."""

from datetime import datetime

from markupsafe import Markup

from reports.model import Bound, Limit

_MINUTE_S = 60
_HOUR_S = 3600
_LARGE = 100_000
_BAR_WIDTH, _BAR_HEIGHT, _LIMIT_AT = 120, 12, 84


def figure(value: float | None) -> str:
    """Return the number in at most four digits, large ones in groups of three."""
    if value is None:
        return "not observed"
    if float(value).is_integer() or abs(value) >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:,.4g}"


def quantity(value: float | None, unit: str) -> str:
    """Return the number with its unit; seconds from a minute on as minutes and hours."""
    if value is not None and unit == "s":
        return duration(value)
    return figure(value) if value is None or not unit else f"{figure(value)} {unit}"


def duration(seconds: float) -> str:
    """Return a length of time, for example ``0.25 s`` or ``3 h 12 min``."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < _MINUTE_S:
        return f"{figure(round(seconds, 3))} s"
    if seconds < _HOUR_S:
        minutes, rest = divmod(round(seconds), _MINUTE_S)
        return f"{minutes} min {rest} s"
    hours, rest = divmod(round(seconds), _HOUR_S)
    return f"{hours:,} h {rest // _MINUTE_S} min"


def moment(text: str) -> str:
    """Return an ISO time as ``2026-03-01 12:00:00 UTC``, or the text where it is none."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return text or "-"


def limit_bar(limit: Limit) -> Markup:
    """Return a drawing of the figure against its limit, which stands at the same place in all.

    Attributes alone, no style: the page's policy forbids styles within it.
    """
    share = _share(limit)
    width = round(min(max(share, 0.0) * _LIMIT_AT, _BAR_WIDTH), 1)
    label = "within" if limit.ok else "beyond"
    return Markup(
        '<svg class="bar {label}" viewBox="0 0 {total} {height}" width="{total}" '
        'height="{height}" aria-hidden="true">'
        '<rect class="track" width="{total}" height="{height}" rx="3"/>'
        '<rect class="value" width="{width}" height="{height}" rx="3"/>'
        '<rect class="mark" x="{at}" y="-1" width="2" height="{tall}"/></svg>'
    ).format(
        label=f"{label} {limit.kind.value}",
        total=_BAR_WIDTH,
        height=_BAR_HEIGHT,
        tall=_BAR_HEIGHT + 2,
        width=width,
        at=_LIMIT_AT,
    )


def margin_of(observed: float | None, limit: float, kind: Bound) -> float | None:
    """Return what is left up to the limit; below zero where it is passed."""
    if observed is None:
        return None
    return limit - observed if kind is Bound.MAX else observed - limit


def _share(limit: Limit) -> float:
    if limit.observed is None:
        return 0.0
    if not limit.limit:
        return 0.0 if limit.observed <= 0 else 2.0
    return limit.observed / limit.limit
