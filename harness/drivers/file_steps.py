"""What SQLite asks of its files, taken for steps."""

from harness.disk.vfs import Call, Kind
from harness.drivers.steps import Steps

_HARMLESS = (Kind.READ, Kind.SIZE, Kind.SYNC)


class FileSteps:
    """A watcher of ``watched_files``.

    Args:
        steps: are told.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def before(self, call: Call) -> None:
        """Take a call that is about to be made for a step."""
        self._steps.take(f"before {call}")

    def after(self, call: Call) -> None:
        """Note whether it changed something."""
        if call.kind not in _HARMLESS:
            self._steps.note_change()
