"""The build backend: setuptools for editable installs, a refusal for everything else.

A wheel with a top-level ``core`` silently overwrites an application's own ``core`` in
site-packages and deletes it on uninstall, so the project runs from its checkout alone.
"""

from typing import NoReturn

from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "prepare_metadata_for_build_editable",
]

REFUSAL = (
    "queuedrill runs from its checkout and is not built as a wheel or sdist: a top-level 'core' "
    "in site-packages would overwrite an application's own. "
    "Install it with: pip install -e ."
)


def build_wheel(*_args: object, **_settings: object) -> NoReturn:
    """Refuse: see the module's docstring."""
    raise SystemExit(REFUSAL)


def build_sdist(*_args: object, **_settings: object) -> NoReturn:
    """Refuse: see the module's docstring."""
    raise SystemExit(REFUSAL)
