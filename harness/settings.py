"""The settings of a run: from the command line, the environment, the ini file, or the default."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from harness.drivers.command import CORE, DriverCommand
from harness.limits import LimitError, Limits, limits_in_force, runbook_limits
from harness.options import (
    BACKUP_DIR,
    CONFIG,
    DB,
    DRIVER,
    LIMIT,
    MAX_RPO,
    MAX_RTO,
    MIN_CHECKS,
    OPTIONS,
    PLANT,
    PROFILE,
    REPORT_DIR,
    SEED,
    Option,
    split,
)
from harness.planted import DEFECTS
from harness.profile import Profile
from reports.plain import from_plain, to_plain

T = TypeVar("T")
_SEED_LIMIT = 2**31


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run was told, in paths that do not depend on the working directory.

    Attributes:
        db: the queue to judge, or None for one that the run makes itself.
        backup_dir: the folder of its backups, or None where none was named.
        driver: the command of the driver of the queues that the run makes, or None for our core's.
        report_dir: where the reports go.
        seed: of every random choice.
        profile: how much is run.
        min_checks: with fewer executed checks than this there is no verdict.
        limits: what the queue is held against, and who has set it.
        plant: name of the defect that the core has in this run, or None for the core as it is.
    """

    db: Path | None
    backup_dir: Path | None
    driver: str | None
    report_dir: Path
    seed: int
    profile: Profile
    min_checks: int
    limits: Limits = field(default_factory=runbook_limits)
    plant: str | None = None

    def subject(self) -> str:
        """Return what is judged, in one sentence that claims no more than is done."""
        if self.plant is not None:
            return f"Our core with a known defect planted, {self.plant}: it must come out red."
        own = "" if self.driver is None else f" Queues made for this run, worked by {self.driver}"
        if self.db is not None:
            file = f"The queue file {self.db}, read only, and our core on it."
            return f"{file}{own or ' Not your workers.'}"
        if own:
            return own.strip()
        return "A queue made for this run, worked by our core. Not your workers."

    def command(self) -> DriverCommand:
        """Return the command of the driver."""
        return CORE if self.driver is None else DriverCommand.parse(self.driver)


@dataclass(frozen=True, kw_only=True)
class _Given:
    """A value as it was given, where, and the folder that a relative path in it starts at."""

    text: str
    source: str
    folder: Path

    def path(self) -> Path:
        return Path(os.path.normpath(self.folder / Path(self.text).expanduser()))


def add_options(parser: pytest.Parser) -> None:
    """Make every setting known to pytest, on the command line and in the ini file."""
    group = parser.getgroup("queue", "health gate for an SQLite task queue (pytest scenarios/)")
    for option in OPTIONS:
        group.addoption(
            option.flag,
            dest=option.ini,
            metavar=option.metavar,
            default=None,
            # A limit given again is another limit; anything else takes the earlier one's place.
            action="append" if option is LIMIT else "store",
            help=option.help,
        )
        parser.addini(option.ini, option.help, default=None)


def read_settings(config: pytest.Config) -> Settings:
    """Return the settings of this run. Nothing is opened, and nothing is made.

    Raises:
        pytest.UsageError: a value cannot be used; the message says where it was given, and the
            cure.
    """
    settings = Settings(
        db=_value(config, DB, _existing_file),
        backup_dir=_value(config, BACKUP_DIR, _existing_folder),
        driver=_value(config, DRIVER, _driver),
        report_dir=_value(config, REPORT_DIR, _folder_to_be)
        or config.invocation_params.dir / "queue-report",
        seed=_chosen_seed(_value(config, SEED, _whole_number)),
        profile=_value(config, PROFILE, _profile) or Profile.GATE,
        min_checks=_or_one(_value(config, MIN_CHECKS, _whole_number)),
        limits=_limits(config),
        plant=_value(config, PLANT, _defect),
    )
    if settings.plant is not None and (settings.db is not None or settings.driver is not None):
        raise pytest.UsageError(
            f"{PLANT.flag} plants a defect into our own core, and {DB.flag} or {DRIVER.flag} asks "
            "for something else to be judged. Leave one of them away"
        )
    return settings


def _limits(config: pytest.Config) -> Limits:
    """Return the limits in force: each is set by the nearest who says something of it."""
    here = config.invocation_params.dir
    command: list[str] = config.getoption(LIMIT.ini, None) or []
    given = [
        (split(str(config.getini(LIMIT.ini) or "")), f"ini {LIMIT.ini}"),
        (split(os.environ.get(LIMIT.variable, "")), LIMIT.variable),
        (command, LIMIT.flag),
    ]
    for option, name in ((MAX_RPO, "rpo_s"), (MAX_RTO, "rto_s")):
        if (most := _value(config, option, _most)) is not None:
            given.append(([f"{name}={most.text}"], most.source))
    try:
        file = _value(config, CONFIG, _existing_file)
        return limits_in_force(file, (here, config.rootpath), given)
    except LimitError as error:
        raise pytest.UsageError(str(error)) from None


def settings_to_plain(settings: Settings) -> dict[str, object]:
    """Return the settings as JSON values, for a test process."""
    paths = {"db": settings.db, "backup_dir": settings.backup_dir}
    texts = {name: None if path is None else str(path) for name, path in paths.items()}
    plain = to_plain(settings)
    assert isinstance(plain, dict)
    return {**plain, **texts, "report_dir": str(settings.report_dir)}


def settings_from_plain(plain: dict[str, object]) -> Settings:
    """Return the settings that the controlling process handed over."""
    paths = {
        name: None if plain[name] is None else Path(str(plain[name]))
        for name in ("db", "backup_dir", "report_dir")
    }
    return from_plain(Settings, {**plain, **paths})


def _value(config: pytest.Config, option: Option, parse: Callable[[_Given], T]) -> T | None:
    given = _given(config, option)
    if given is None:
        return None
    try:
        return parse(given)
    except ValueError as error:
        raise pytest.UsageError(f"{given.source} {given.text!r}: {error}") from None


def _given(config: pytest.Config, option: Option) -> _Given | None:
    here = config.invocation_params.dir
    if (text := config.getoption(option.ini, None)) is not None:
        return _Given(text=str(text), source=option.flag, folder=here)
    if text := os.environ.get(option.variable):
        return _Given(text=text, source=option.variable, folder=here)
    if (text := config.getini(option.ini)) is not None:
        folder = config.inipath.parent if config.inipath else config.rootpath
        return _Given(text=str(text), source=f"ini {option.ini}", folder=folder)
    return None


def _existing_file(given: _Given) -> Path:
    path = _path(given)
    if path.is_dir():
        raise ValueError("this is a folder. Give the path of the queue's .db file")
    if not path.exists():
        raise ValueError(f"there is no such file (looked for {path}). Check the path")
    if not path.is_file():
        raise ValueError("this is no ordinary file. Give the path of the queue's .db file")
    return path


def _existing_folder(given: _Given) -> Path:
    path = _path(given)
    if not path.is_dir():
        raise ValueError(f"there is no such folder (looked for {path}). Check the path")
    return path


def _folder_to_be(given: _Given) -> Path:
    path = _path(given)
    if path.exists() and not path.is_dir():
        raise ValueError("this is a file. Give a folder, which is made if it is missing")
    return path


def _path(given: _Given) -> Path:
    if not given.text.strip() or "\0" in given.text:
        raise ValueError("this is no path. Leave the setting away, or give a path")
    return given.path()


def _whole_number(given: _Given) -> int:
    try:
        number = int(given.text)
    except ValueError:
        raise ValueError("this is no whole number. Give one, for example 7") from None
    if number < 0:
        raise ValueError("this is below zero. Give zero or more")
    return number


def _most(given: _Given) -> _Given:
    try:
        float(given.text)
    except ValueError:
        raise ValueError("this is no number. Give seconds, for example 3600") from None
    return given


def _driver(given: _Given) -> str:
    DriverCommand.parse(given.text)
    return given.text


def _profile(given: _Given) -> Profile:
    try:
        return Profile(given.text)
    except ValueError:
        raise ValueError(f"no such profile. Give one of: {', '.join(Profile)}") from None


def _defect(given: _Given) -> str:
    if given.text not in DEFECTS:
        raise ValueError(f"no such defect. Give one of: {', '.join(DEFECTS)}")
    return given.text


def _chosen_seed(given: int | None) -> int:
    return secrets.randbelow(_SEED_LIMIT) if given is None else given


def _or_one(given: int | None) -> int:
    return 1 if given is None else given
