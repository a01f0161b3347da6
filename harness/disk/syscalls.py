"""The calls to the operating system that this process makes itself, told before they are made.

Python says of most of them by its audit hooks
(https://docs.python.org/3/library/audit_events.html); those on a descriptor it does not tell, and
they are stood before. SQLite's own calls pass by here unseen.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_NAMES = {
    "os.link": "link",
    "os.rename": "rename",
    "os.remove": "unlink",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.listdir": "list",
    "os.scandir": "list",
}
_ON_DESCRIPTOR = {"write": "write", "fsync": "sync"}
_NO_FOLDER = -1


@dataclass(frozen=True)
class SystemCall:
    """One call.

    Attributes:
        kind: open, create, write, sync, link, rename, unlink, mkdir, rmdir or list.
        path: of the file; empty for a call on a descriptor.
    """

    kind: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {os.path.basename(self.path)}".strip()  # noqa: PTH119 - may be no path


Tell = Callable[[SystemCall], None]
"""Is told of each call before it is made; what it raises, the call raises."""


class SystemCalls:
    """Tells of the calls that concern one folder, while it is told to listen.

    An audit hook stays for the life of the process, so there is one of these in a process.

    Args:
        folder: with all below it.
        tell: is told.
    """

    def __init__(self, folder: str, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        self._listening = False
        sys.addaudithook(self._audited)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Tell of the calls of the body."""
        with contextlib.ExitStack() as undo:
            for name, kind in _ON_DESCRIPTOR.items():
                right = getattr(os, name)
                undo.callback(setattr, os, name, right)
                setattr(os, name, self._told(kind, right))
            self._listening = True
            undo.callback(setattr, self, "_listening", False)
            yield

    def _told(self, kind: str, right: Callable[..., Any]) -> Callable[..., Any]:
        def told(*arguments: Any) -> Any:  # noqa: ANN401 - as the right one
            self._tell(SystemCall(kind))
            return right(*arguments)

        return told

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._listening:
            return
        if event == "open":
            self._opened(*arguments)
        elif event in _NAMES and self._concerns(arguments[0], arguments[-1]):
            self._tell(SystemCall(_NAMES[event], os.fsdecode(arguments[0])))

    def _opened(self, path: Any, _mode: Any, flags: Any) -> None:  # noqa: ANN401 - as told
        if self._concerns(path, _NO_FOLDER):
            kind = "create" if flags & os.O_CREAT else "open"
            self._tell(SystemCall(kind, os.fsdecode(path)))

    def _concerns(self, path: Any, folder: Any) -> bool:  # noqa: ANN401 - as told
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        # The removal of a whole tree names what lies in it by the folder's descriptor.
        in_tree = isinstance(folder, int) and folder != _NO_FOLDER
        return in_tree or os.fsdecode(path).startswith(self._folder)
