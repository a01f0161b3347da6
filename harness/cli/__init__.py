"""``queuedrill``, the command line: one small file a verb under ``verbs/``."""

from .entry import main

__all__ = ["main"]
