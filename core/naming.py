"""The file names of backups: made, checked and read back."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from .errors import InvalidBackupNameError
from .timestamps import from_datetime, to_datetime

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NAME_MOST = 64
_FILE = re.compile(
    r"queue_backup_(?:(?P<name>.+)_)?(?P<stamp>\d{8}_\d{6})(?:-(?P<number>\d+))?\.db", re.ASCII
)
_STAMP = "%Y%m%d_%H%M%S"
# Outside of these a local time may have no moment in UTC that Python can name.
_YEAR_LEAST, _YEAR_MOST = 1971, 9998


@dataclass(frozen=True)
class BackupName:
    """What a backup's file name says.

    Attributes:
        name: the name given when it was made, or None.
        local_time: local time without a zone, as written in the name.
    """

    name: str | None
    local_time: datetime


def check_name(name: str | None) -> None:
    """Return if the name may be part of a file name in the backup folder, and nowhere else.

    Raises:
        InvalidBackupNameError: it is empty, too long, or has other characters.
    """
    if name is None:
        return
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidBackupNameError(what="the backup name", value=name, detail=_fault_of(name))


def _fault_of(name: object) -> str:
    if not isinstance(name, str):
        return "it is no text"
    if not name:
        return "it is empty"
    if "/" in name or "\\" in name:
        return "it would leave the folder"
    if len(name) > _NAME_MOST:
        return f"it has {len(name)} characters"
    if not name[0].isalnum():
        return "it does not begin with a letter or a digit"
    return "it has other characters"


def file_name(name: str | None, moment_ms: int, number: int) -> str:
    """Return the file name of a backup.

    Args:
        name: a checked name, or None.
        moment_ms: the snapshot's time, UTC milliseconds; the name shows it as local time.
        number: 1 for the first of that second, then 2, 3 …
    """
    stamp = to_datetime(moment_ms).astimezone().strftime(_STAMP)
    middle = f"{name}_" if name else ""
    suffix = "" if number == 1 else f"-{number}"
    return f"queue_backup_{middle}{stamp}{suffix}.db"


def read_file_name(path: PurePath) -> BackupName | None:
    """Return what the file name says, or None if it is not a backup's."""
    match = _FILE.fullmatch(path.name)
    if match is None:
        return None
    try:
        local_time = datetime.strptime(match["stamp"], _STAMP)  # noqa: DTZ007 - the name has no zone
    except ValueError:
        return None
    if not _YEAR_LEAST <= local_time.year <= _YEAR_MOST:
        return None
    return BackupName(match["name"], local_time)


def local_to_ms(local_time: datetime) -> int:
    """Return UTC milliseconds of a local time without a zone, as this machine's zone has it."""
    return from_datetime(local_time.astimezone())
