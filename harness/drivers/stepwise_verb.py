"""A program that runs one verb of the core, and at each of its steps stands still or dies.

What SQLite asks of its files is seen through a file system of its own, what the core asks by audit
events and in place of its calls. ``--plain`` runs the verb as users run it, on Python's own SQLite
and with nobody watching, once a line is read: for those who watch the process from outside.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from core.connection import connect_stdlib
from harness.drivers.steps import Steps, dies_at, say, stand_still
from harness.inherited import planted_by_parent
from harness.upkeep import VERBS


def main() -> None:
    """Run the verb, and say how it ended."""
    given = _parser().parse_args()
    with planted_by_parent():
        run = _run_plain if given.plain else _run_stepwise
        try:
            run(given)
        except Exception as error:  # noqa: BLE001 - said, and judged by who asked
            ended = f"failed {type(error).__name__}: {error}"
        else:
            ended = "done"
    say(" ".join(ended.split()))


def _run_plain(given: argparse.Namespace) -> None:
    say("ready")
    if sys.stdin.readline():
        VERBS[given.verb](given.database, connect_stdlib, given.argument)


def _run_stepwise(given: argparse.Namespace) -> None:
    # apsw is not loaded where Python's own SQLite is used: see ``harness/disk/binding.py``.
    from harness.disk.binding import apsw_door  # noqa: PLC0415
    from harness.disk.vfs import watched_files  # noqa: PLC0415
    from harness.door import watched  # noqa: PLC0415
    from harness.drivers.file_steps import FileSteps  # noqa: PLC0415

    steps = Steps(stand_still if given.die_at is None else dies_at(given.die_at))
    sys.addaudithook(steps.audit_hook(given.database.parent))
    with watched_files(FileSteps(steps)) as vfs, steps.of_core():
        steps.armed = True
        try:
            VERBS[given.verb](given.database, watched(steps, apsw_door(vfs)), given.argument)
        finally:
            steps.armed = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("argument")
    parser.add_argument("--die-at", type=int, help="the step at which it kills itself")
    parser.add_argument("--plain", action="store_true")
    return parser


if __name__ == "__main__":
    main()
