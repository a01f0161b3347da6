"""The defect that a process has from the one that started it: usually none, and then for free."""

import os
from contextlib import AbstractContextManager, nullcontext

PLANTED_VARIABLE = "QUEUEDRILL_PLANTED"
"""Names the defect to the child processes of a run in which one is planted."""


def planted_by_parent() -> AbstractContextManager[None]:
    """Have the defect in this process that the process which started it has.

    Every worker asks at its start: the defects are only loaded where there is one.

    Raises:
        SystemExit: there is no defect of that name.
    """
    name = os.environ.get(PLANTED_VARIABLE)
    if name is None:
        return nullcontext()
    from harness.planted import DEFECTS, planted  # noqa: PLC0415 - see above

    if name not in DEFECTS:
        raise SystemExit(f"{PLANTED_VARIABLE}: there is no defect {name!r}")
    return planted(DEFECTS[name])
