"""Which sources were tried: what was measured of others says nothing about these."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDERS = ("core", "harness", "scenarios")
_CHARACTERS = 12


def code_digest(root: Path = ROOT) -> str:
    """Return a digest of every source that has a say in the verdict; the same on all platforms."""
    digest = hashlib.sha256()
    for path in sorted(file for folder in _FOLDERS for file in (root / folder).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_text(encoding="utf-8").encode() + b"\0")
    return digest.hexdigest()[:_CHARACTERS]
