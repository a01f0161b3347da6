"""``queuedrill enable-wal``."""

from ..figures import quoted
from ..options import AsJson, Db, Debug
from ..speaking import speaking


def enable_wal(db: Db = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Put the file into WAL mode; nobody else may have it open."""
    with speaking("enable-wal", as_json=as_json, debug=debug) as console:
        from core import QueueDatabase
        from core.maintenance import QueueMaintenance

        with QueueDatabase(db) as database:
            QueueMaintenance(database).enable_wal()
            console.facts["path"] = str(database.path)
            console.say(f"{quoted(database.path)} is in WAL mode.", "good")
