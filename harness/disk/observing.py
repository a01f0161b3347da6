"""The core's look from outside, by one process that stays: a sweep takes thousands of looks.

``core/observer.py`` starts a process for each. What that process does is the same here.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core import observer
from core.errors import DatabaseIOError
from harness import children

_FAILED = "!"
# As in ``core/observer.py``: under a name of its own, and without running ``__init__.py``.
_PROGRAM = f"""
import json, sys, types
package = types.ModuleType("observed_core")
package.__path__ = [sys.argv[1]]
sys.modules["observed_core"] = package
from observed_core.observer import main
for line in sys.stdin:
    try:
        main(json.loads(line))
    except Exception as error:
        print("{_FAILED}" + " ".join(f"{{type(error).__name__}}: {{error}}".split()), end="")
    print(flush=True)
"""


@contextlib.contextmanager
def standing_observer() -> Iterator[None]:
    """Have the looks of the body taken by one process, which is gone at its end."""
    folder = str(Path(observer.__file__).parent)
    command = [sys.executable, "-I", "-X", "utf8", "-c", _PROGRAM, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        children.register(process.pid)
        right = observer._run
        observer._run = _asking(process)
        try:
            yield
        finally:
            observer._run = right


def _asking(process: subprocess.Popen[bytes]) -> Any:  # noqa: ANN401 - as what it stands for
    assert process.stdin is not None
    assert process.stdout is not None
    said, heard = process.stdin, process.stdout

    def run(arguments: list[str], database: Path, _timeout_s: float) -> dict[str, Any]:
        said.write(json.dumps(arguments).encode() + b"\n")
        said.flush()
        answer = heard.readline().decode("utf-8").strip()
        if not answer or answer.startswith(_FAILED):
            raise DatabaseIOError(path=str(database), detail=answer[1:] or "no message")
        facts: dict[str, Any] = json.loads(answer)
        return facts

    return run
