"""``queuedrill stats``."""

from ..looking import read_statistics
from ..options import AsJson, Db, Debug
from ..speaking import speaking


def stats(db: Db = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the sizes of the file, its -wal and its free space."""
    with speaking("stats", as_json=as_json, debug=debug) as console:
        from core.paths import resolve

        figures = read_statistics(resolve(db))
        console.facts.update(figures)
        console.table(
            ("FIGURE", "VALUE"), [[name, _shown(value)] for name, value in figures.items()]
        )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
