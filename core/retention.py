"""Which backups stay: the last so many, or so many days, weeks and months.

Only backups of this queue that were proved sound count as kept. The newest sound one always stays.
Those without a manifest are never touched, and neither are those whose manifest cannot be read:
whose they are is not known, and a later version of this program may know. A broken one goes only
when it is older than everything that is kept.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .catalog import BackupInfo
from .errors import InvalidArgumentError


@dataclass(frozen=True)
class RetentionPolicy:
    """How many backups stay. A backup stays if any of the rules keeps it.

    Days, weeks (ISO, from Monday) and months are those of UTC; a rule counts those that have a
    sound backup, and keeps the newest of each.

    Args:
        last: the newest so many.
        daily: one for each of so many days.
        weekly: one for each of so many weeks.
        monthly: one for each of so many months.

    Raises:
        InvalidArgumentError: a number is negative, or nothing would be kept.
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that keep nothing."""
        for name in ("last", "daily", "weekly", "monthly"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InvalidArgumentError(what=name, value=value, cure="Give 0 or more backups.")
        if not any((self.last, self.daily, self.weekly, self.monthly)):
            raise InvalidArgumentError(
                what="the retention policy", value=self, cure="Keep at least 1 backup."
            )


@dataclass(frozen=True)
class RetentionPlan:
    """What a retention run would do.

    Attributes:
        keep: sound backups that stay, newest first.
        remove: backups that go, newest first.
        broken: backups found broken that stay for now, newest first; they count for nothing.
        untouched: backups without a manifest or with an unreadable one, newest first; only
            people remove them.
    """

    keep: tuple[Path, ...]
    remove: tuple[Path, ...]
    broken: tuple[Path, ...]
    untouched: tuple[Path, ...]


class _Rule:
    """Keeps the newest sound backup of each of the first so many periods."""

    def __init__(self, most: int, period: Callable[[BackupInfo], Hashable]) -> None:
        self._most = most
        self._period = period
        self._kept: set[Hashable] = set()

    def wants(self, info: BackupInfo) -> bool:
        return len(self._kept) < self._most and self._period(info) not in self._kept

    def keep(self, info: BackupInfo) -> None:
        self._kept.add(self._period(info))


def _rules(policy: RetentionPolicy) -> list[_Rule]:
    return [
        _Rule(policy.last, lambda info: info.path),
        _Rule(policy.daily, lambda info: info.created_at_utc.date()),
        _Rule(policy.weekly, lambda info: info.created_at_utc.isocalendar()[:2]),
        _Rule(policy.monthly, lambda info: (info.created_at_utc.year, info.created_at_utc.month)),
    ]


def plan(
    backups: Sequence[BackupInfo],
    policy: RetentionPolicy,
    is_sound: Callable[[BackupInfo], bool],
) -> RetentionPlan:
    """Return what stays and what goes; nothing is touched.

    Args:
        backups: all backups of this queue, newest first.
        policy: how many stay.
        is_sound: proves one; asked only of those that would be kept, since proving reads the
            whole file.
    """
    rules = _rules(policy)
    keep: list[BackupInfo] = []
    spare: list[BackupInfo] = []
    broken: list[BackupInfo] = []
    for info in backups:
        if info.manifest is None:
            continue
        wanting = [rule for rule in rules if rule.wants(info)]
        if keep and not wanting:
            spare.append(info)
        elif is_sound(info):
            keep.append(info)
            for rule in wanting:
                rule.keep(info)
        else:
            broken.append(info)
    oldest_kept = keep[-1] if keep else None
    return RetentionPlan(
        keep=_paths(keep),
        # Both are empty without a sound backup: then nothing goes at all.
        remove=_paths(spare + _older(broken, oldest_kept)),
        broken=_paths([info for info in broken if info not in _older(broken, oldest_kept)]),
        untouched=_paths([info for info in backups if info.manifest is None]),
    )


def _older(broken: list[BackupInfo], than: BackupInfo | None) -> list[BackupInfo]:
    return [info for info in broken if than is not None and info.created_ms < than.created_ms]


def _paths(infos: list[BackupInfo]) -> tuple[Path, ...]:
    newest_first = sorted(infos, key=lambda info: (info.created_ms, info.path.name), reverse=True)
    return tuple(info.path for info in newest_first)
