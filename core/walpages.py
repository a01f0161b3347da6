"""Which frames of a -wal hold the newest content of a page."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from .pagefile import Overlay
from .wal import WalWalk
from .walframes import Frame, frames, guess_life, read_life

_PAGES_MOST = 1 << 32


def committed_pages(wal: Path, walk: WalWalk, *, stranded: bool) -> Overlay | None:
    """Return the pages that the log's transactions wrote, or None where it holds none.

    Args:
        wal: path of the copied -wal.
        walk: what was seen of its frames.
        stranded: also take the transactions behind a damaged frame or header, which SQLite would
            drop; they are counted either way.

    Raises:
        OSError: it cannot be read.
    """
    if walk.size_bytes == 0:
        return None
    life = guess_life(wal) if walk.damage == "header" else read_life(wal)
    if life is None:
        return None
    overlay = Overlay()
    for transaction in _transactions(frames(wal, life)):
        behind = transaction[-1].number > walk.committed
        overlay.stranded += behind
        if stranded or not behind:
            overlay.page_size = life.page_size
            _take(overlay, transaction)
    return overlay if overlay.frames or overlay.stranded else None


def _transactions(found: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Yield the frames of each transaction that was committed."""
    open_: list[Frame] = []
    for frame in found:
        open_.append(frame)
        if frame.commit:
            yield open_
            open_ = []


def _take(overlay: Overlay, transaction: list[Frame]) -> None:
    last = transaction[-1]
    for frame in transaction:
        overlay.frames += 1
        if not 1 <= frame.page < _PAGES_MOST:
            continue
        overlay.at[frame.page] = frame.at
        if frame.sound:
            overlay.doubtful.discard(frame.page)
        else:
            overlay.doubtful.add(frame.page)
    if last.sound:
        overlay.count = last.commit
