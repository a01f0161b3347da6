"""``queuedrill init``."""

from ..figures import quoted
from ..options import AsJson, Db, Debug
from ..speaking import speaking


def init(db: Db = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Make a new, empty queue. One that is there already stays as it is."""
    with speaking("init", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase
        from core.paths import resolve

        was_there = resolve(db).exists()
        with QueueDatabase(db, create=True) as database:
            console.facts.update(path=str(database.path), created=not was_there)
            done = "is a queue already; it is as it was" if was_there else "is a new, empty queue"
            console.say(f"{quoted(database.path)} {done}.", "plain" if was_there else "good")
