"""A program that strikes verbs of the core with I/O faults, one run after another, and judges each.

It alone owns the files, through a door to SQLite of its own. A line of JSON on the input asks for
one run, and one on the output says what became of it.
"""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import apsw

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from harness.disk.faulted import VERBS
from harness.disk.limits import limits
from harness.disk.means import struck_calls
from harness.disk.observing import standing_observer
from harness.disk.trial import Stage, Trial
from harness.inherited import planted_by_parent

MEANS: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {
    "calls": struck_calls,
    "limits": limits,
    "handles": limits,
}


def main(folder: Path, name: str) -> None:
    """Answer until the input ends."""
    # What opening says of a restore that was cut off is asked for, and told to nobody.
    logging.disable()
    # No power is cut here, so a sync that is not struck may be left out.
    setattr(os, "fsync", lambda _descriptor: None)  # noqa: B010 - a name of its own for the checker
    # Where handles are few, that a process needs some to be started is what is tried.
    looks = contextlib.nullcontext() if name == "handles" else standing_observer()
    sys.excepthook = _unless_struck
    with planted_by_parent(), looks, MEANS[name](folder) as means:
        stage, trials = Stage(folder, means), dict[str, Trial]()
        for line in sys.stdin:
            _say(_answer(stage, trials, json.loads(line)))


def _answer(stage: Stage, trials: dict[str, Trial], asked: dict[str, Any]) -> dict[str, Any]:
    verb = asked["verb"]
    if verb not in trials:
        trials[verb] = Trial(stage, VERBS[verb])
    trial = trials[verb]
    if "kind" not in asked:
        return {"counts": trial.counts}
    return trial.strike(asked["kind"], asked["mode"], asked["at"]).to_plain()


def _unless_struck(kind: type[BaseException], error: BaseException, trace: Any) -> None:  # noqa: ANN401 - as Python's
    # apsw tells here of failures that SQLite has no use for.
    if not isinstance(error, apsw.Error):
        sys.__excepthook__(kind, error, trace)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
