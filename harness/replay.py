"""The commands that run a check, or all of it, again with the same random choices."""

from pathlib import Path

import pytest

from harness.limits import RUNBOOK
from harness.options import BACKUP_DIR, DB, DRIVER, LIMIT, PLANT, PROFILE, SEED
from harness.profile import Profile
from harness.settings import Settings
from reports.text import one_argument


def replay_check(config: pytest.Config, settings: Settings, check_id: str) -> str:
    """Return the one command that runs the check again, from where this run was started."""
    words = ["pytest", _from_here(config, check_id), SEED.flag, str(settings.seed)]
    if settings.profile is not Profile.GATE:
        words += [PROFILE.flag, settings.profile.value]
    # With "=": pytest looks for ini files and conftest.py beside any path that stands alone.
    words += [
        f"{option.flag}={value}"
        for option, value in (
            (DB, settings.db),
            (BACKUP_DIR, settings.backup_dir),
            (DRIVER, settings.driver),
            (PLANT, settings.plant),
        )
        if value is not None
    ]
    words += [
        f"{LIMIT.flag}={bound.as_word()}"
        for bound in settings.limits.bounds
        if bound.origin != RUNBOOK
    ]
    return " ".join(one_argument(word) for word in words)


def replay_run(config: pytest.Config, settings: Settings) -> str:
    """Return the command line of this run, with its seed."""
    given = [str(argument) for argument in config.invocation_params.args]
    seeded = any(word.partition("=")[0] == SEED.flag for word in given)
    words = ["pytest", *given, *([] if seeded else [SEED.flag, str(settings.seed)])]
    return " ".join(one_argument(word) for word in words)


def _from_here(config: pytest.Config, check_id: str) -> str:
    """A node id starts at the root folder; the command is typed where this one was."""
    if config.invocation_params.dir == config.rootpath:
        return check_id
    path, separator, name = check_id.partition("::")
    return f"{Path(config.rootpath, path)}{separator}{name}"
