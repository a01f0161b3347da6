"""One case of the fuzzer: which files, made wrong how. All of it follows from its number."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.fuzz.logs import claim, forge
from harness.fuzz.notes import change_bytes, change_fact, change_record, fitting
from harness.fuzz.pages import PAGES
from harness.fuzz.scatter import SCATTER
from harness.fuzz.statements import STATEMENTS
from harness.fuzz.stock import Sound, with_statements

Role = Literal["backup", "queue"]
_CHANGES_MOST = 3
_LOG_WAYS = (claim, forge, forge, forge, *SCATTER)


@dataclass
class Case:
    """Files that somebody else may have written.

    Attributes:
        number: all of it follows from that.
        role: whether they are put in the place of a backup, or of the queue itself.
        database: its content.
        manifest: of the backup, or None for one of the old kind.
        wal: of the queue, or None.
        record: of what its finished tasks held, or None.
        changes: what was made wrong, in words.
        differs: whether any byte is other than in a sound file.
    """

    number: int
    role: Role
    database: bytes
    manifest: bytes | None = None
    wal: bytes | None = None
    record: bytes | None = None
    changes: list[str] = field(default_factory=list)
    differs: bool = True


def make_case(number: int, stock: list[Sound], scratch: Path) -> Case:
    """Return the case of this number.

    Args:
        number: any integer.
        stock: the sound files.
        scratch: a name that is free.
    """
    chance = random.Random(f"fuzz {number}")
    sound = chance.choice(stock)
    if chance.random() < 0.3:  # noqa: PLR2004 - health takes longer
        return _queue(number, chance, sound, scratch)
    return _backup(number, chance, sound, scratch)


def _backup(number: int, chance: random.Random, sound: Sound, scratch: Path) -> Case:
    case = Case(number, "backup", sound.database)
    words = chance.random() < 0.1  # noqa: PLR2004 - one in ten has a sound database
    if not words:
        case.database = _changed(case, chance, sound.database, scratch)
    if words or chance.random() < 0.1:  # noqa: PLR2004 - as above
        change = chance.choice((change_fact, change_bytes))
        case.manifest = change(chance, fitting(sound.manifest, case.database))
        case.changes.append("manifest changed")
    elif chance.random() < 0.6:  # noqa: PLR2004 - most have one that fits
        case.manifest = fitting(sound.manifest, case.database)
    case.differs = (case.database, case.manifest) != (sound.database, sound.manifest)
    return case


def _queue(number: int, chance: random.Random, sound: Sound, scratch: Path) -> Case:
    case = Case(number, "queue", sound.database)
    if chance.random() < 0.2:  # noqa: PLR2004 - one in five has a sound database
        case.record = _changed_record(case, chance, sound.record)
        case.differs = case.record != sound.record
        return case
    if chance.random() < 0.5:  # noqa: PLR2004 - as often as not
        case.database = _changed(case, chance, sound.database, scratch)
        case.differs = case.database != sound.database
        return case
    wal, under = bytearray(sound.wal), bytearray(sound.under_wal)
    for content in (wal, under) if chance.random() < 0.3 else (wal,):  # noqa: PLR2004 - the -wal most
        for _ in range(chance.randint(1, _CHANGES_MOST)):
            if content:
                case.changes.append(chance.choice(_LOG_WAYS)(chance, content))
    case.database, case.wal = bytes(under), bytes(wal)
    case.differs = (case.database, case.wal) != (sound.under_wal, sound.wal)
    return case


def _changed_record(case: Case, chance: random.Random, record: bytes) -> bytes:
    if chance.random() < 0.8:  # noqa: PLR2004 - who knows, most
        case.changes.append("record changed")
        return change_record(chance, record)
    content = bytearray(record)
    case.changes.append(chance.choice(SCATTER)(chance, content))
    return bytes(content)


def _changed(case: Case, chance: random.Random, content: bytes, scratch: Path) -> bytes:
    """Return the content made wrong in one to three ways; each is written down in the case."""
    for _ in range(chance.randint(1, _CHANGES_MOST)):
        if chance.random() < 0.4:  # noqa: PLR2004 - the slower way
            make = chance.choice(STATEMENTS)
            content = with_statements(content, scratch, make(chance))
            case.changes.append(make.__name__)
        else:
            changed = bytearray(content)
            ways = PAGES if chance.random() < 0.7 else SCATTER  # noqa: PLR2004 - who knows, most
            if not changed:
                break
            case.changes.append(chance.choice(ways)(chance, changed))
            content = bytes(changed)
    return content
