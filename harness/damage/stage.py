"""The one folder that a specimen's files are laid out in, again and again."""

import shutil
from pathlib import Path

from harness.damage.spans import Files


class Stage:
    """A folder that belongs to the matrix alone; nothing in this process has its files open.

    Args:
        folder: made where missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clear()

    def clear(self) -> None:
        """Leave the folder empty."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)

    def lay(self, files: Files) -> None:
        """Leave exactly these files in the folder."""
        self.clear()
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

    def read(self, *names: str) -> Files:
        """Return those of the files that are there."""
        paths = {name: self.folder / name for name in names}
        return {name: path.read_bytes() for name, path in paths.items() if path.exists()}

    def read_all(self) -> Files:
        """Return all files, those in folders too; the lock of a maintenance run is none."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        return self.read(*(name for name in sorted(names) if not name.endswith(".lock")))
