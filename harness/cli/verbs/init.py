"""``queuedrill init``."""

from ..figures import quoted
from ..options import AsJson, Db, Debug
from ..speaking import speaking


def init(db: Db = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Make a new, empty queue. One that is there already stays as it is."""
    with speaking("init", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase

        with QueueDatabase(db, create=True) as database:
            console.facts.update(path=str(database.path), created=database.created)
            if database.created:
                console.say(f"{quoted(database.path)} is a new, empty queue.", "good")
            else:
                console.say(f"{quoted(database.path)} is a queue already; it is as it was.")
