"""Runs the scenarios side by side where pytest-xdist is installed and nobody asked otherwise."""

import os
from pathlib import Path
from typing import Any

import pytest

SCENARIOS_FOLDER = "scenarios"
# By which pytest-xdist is told how many "auto" is.
_COUNT_VARIABLE = "PYTEST_XDIST_AUTO_NUM_WORKERS"
# What is asked for with these is no run.
_NO_RUN = ("collectonly", "showfixtures", "show_fixtures_per_test", "setupplan", "cacheshow")


def is_worker(config: pytest.Config) -> bool:
    """Return whether this is a test process of pytest-xdist, and not the controlling one."""
    return hasattr(config, "workerinput")


def worker_input(config: pytest.Config) -> dict[str, Any]:
    """Return what the controlling process handed to this test process."""
    handed: dict[str, Any] = getattr(config, "workerinput", {})
    return handed


def is_run(config: pytest.Config) -> bool:
    """Return whether tests are to be executed at all."""
    return not any(config.getoption(name, False) for name in _NO_RUN)


def names_scenarios(config: pytest.Config) -> bool:
    """Return whether an argument is the folder of the scenarios, or lies in it."""
    return any(_in_scenarios(config, argument) for argument in config.args)


def took_settings_from(config: pytest.Config, folder: Path) -> bool:
    """Return whether pytest has its root there, or above, and not where the tests are.

    It looks beside every path on its command line, in the order in which they stand there.
    """
    return folder.is_relative_to(config.rootpath) and not any(
        _path(config, argument).is_relative_to(config.rootpath) for argument in config.args
    )


def switch_on_parallel(config: pytest.Config) -> None:
    """Have some test processes side by side, unless the command line says how it wants it.

    ``-n`` in the ini file would do the same and break ``-p no:xdist``. A single check (an argument
    with ``::``) runs in this process, where it can be debugged.
    """
    if not _wants_default(config):
        return
    count, limit = _processes_count(config), config.getoption("maxprocesses", None)
    config.option.numprocesses = min(count, limit) if limit else count
    # A crash under loadfile and its kin would fail the whole file.
    config.option.dist = "load"
    config.option.tx = ["popen"] * config.option.numprocesses


def _processes_count(config: pytest.Config) -> int:
    """Return half again as many as processors, as scenarios wait more than they compute."""
    config.option.numprocesses = "logical"
    count = int(config.hook.pytest_xdist_auto_num_workers(config=config))
    return count if _COUNT_VARIABLE in os.environ else max(2, count * 3 // 2)


def _wants_default(config: pytest.Config) -> bool:
    return (
        config.pluginmanager.hasplugin("xdist")
        and not is_worker(config)
        and is_run(config)
        and not config.getoption("usepdb", False)
        and config.getoption("numprocesses", None) is None
        and config.getoption("dist", "no") == "no"
        and not config.getoption("distload", False)
        and not config.getoption("tx", [])
        and any("::" not in argument for argument in config.args)
        and names_scenarios(config)
    )


def _in_scenarios(config: pytest.Config, argument: str) -> bool:
    folder = config.rootpath / SCENARIOS_FOLDER
    try:
        return _path(config, argument).resolve().is_relative_to(folder.resolve())
    except OSError:
        return False


def _path(config: pytest.Config, argument: str) -> Path:
    return Path(config.invocation_params.dir, argument.partition("::")[0])
