"""Drivers that lie about maintenance, about what survives them, and at their end."""
# ruff: noqa: D101, D102 - a lie is told in its body, and nobody changes its table

import sys
from pathlib import Path

from lies import Lie, caught_by

from core.clock import SystemClock
from core.errors import QueueError
from harness.drivers.core_driver import write


@caught_by("killed", "were acknowledged before a kill, and are gone")
class AcknowledgesFirst(Lie):
    waiting: tuple[dict, ...] = ()

    def answer(self, request):
        if request.get("op") == "enqueue":
            self.waiting = (*self.waiting, request)
            count = self.sql("SELECT count(*) FROM task_queue")[0][0]
            return {"id": request["id"], "ok": True, "task_id": count + len(self.waiting)}
        waiting, self.waiting = self.waiting, ()
        for each in waiting:
            super().answer(each)
        return super().answer(request)


@caught_by("killed", "the file at {db} cannot be read: file is not a database")
class QueueElsewhere(Lie):
    def __init__(self, path, clock, durability):
        super().__init__(path.with_name("elsewhere.db"), clock, durability)
        path.write_bytes(b"It is not here. " * 100)


@caught_by("busy", "nobody else can lock the file .database is locked.; line 2: ")
class KeepsTheLock(Lie):
    def _enqueue(self, request):
        answer = super()._enqueue(request)
        self.database.connection().execute("BEGIN IMMEDIATE")
        return answer


@caught_by("backup", "there is no file")
class BackupOfAir(Lie):
    def _backup(self, request):
        return {"path": str(Path(request["folder"]).absolute() / "backup.db")}


@caught_by("backup", "it must lie in")
class BackupElsewhere(Lie):
    def _backup(self, request):
        return super()._backup({**request, "folder": str(self._path.parent / "elsewhere")})


@caught_by("backup", "does not replace the first")
class OneBackup(Lie):
    def _backup(self, request):
        path = Path(super()._backup(request)["path"])
        return {"path": str(path.replace(path.with_name("backup.db")))}


@caught_by("verify", "it is not sound")
class EverythingIsSound(Lie):
    def _verify(self, _request):
        return {"sound": True, "problems": []}


@caught_by("verify", "the new backup is sound")
class NothingIsSound(Lie):
    def _verify(self, _request):
        return {"sound": False, "problems": ["a feeling"]}


@caught_by("restore", "the backup has the tasks")
class RestoresInWords(Lie):
    def _restore(self, _request):
        return {}


@caught_by("restore", "are held by nobody who knows of it")
class RestoresLeases(Lie):
    def _restore(self, request):
        answer = super()._restore(request)
        self.sql("UPDATE task_queue SET status = 'leased' WHERE id = 1")
        return answer


@caught_by("restore", "restore must be refused with invalid or error, and was done")
class RestoresRuins(Lie):
    def _restore(self, request):
        try:
            return super()._restore(request)
        except QueueError:
            return {}


@caught_by("restore", "the tasks are as before")
class RefusesTooLate(Lie):
    def _restore(self, request):
        try:
            return super()._restore(request)
        except QueueError:
            self.sql("UPDATE task_queue SET attempts = attempts + 1")
            raise


@caught_by("restore", "driver .* has ended")
class AfraidOfRuins(Lie):
    def _hello(self, request):
        self._open(create=True)
        return super()._hello(request)

    def answer(self, request):
        answer = super().answer(request)
        if request.get("op") == "hello" and not answer["ok"]:
            sys.exit(1)
        return answer


@caught_by("checkpoint", "PASSIVE is complete")
class NeverComplete(Lie):
    def _checkpoint(self, _request):
        return {"complete": False}


@caught_by("vacuum", "the tasks are others after it")
class CleansTooMuch(Lie):
    def _vacuum(self, request):
        self.sql("DELETE FROM task_queue WHERE status = 'leased'")
        return super()._vacuum(request)


@caught_by("analyze", "the tasks are others after it")
class CountsAnAttempt(Lie):
    def _analyze(self, request):
        self.sql("UPDATE task_queue SET attempts = attempts + 1 WHERE id = 1")
        return super()._analyze(request)


@caught_by("integrity", "half of the file is zeros")
class AllIsWell(Lie):
    def _integrity(self, _request):
        return {"problems": []}


@caught_by("integrity", "nothing is damaged")
class AllIsLost(Lie):
    def _integrity(self, _request):
        return {"problems": ["doom"]}


@caught_by("busy", "enqueue must be refused with busy; line 3: ")
class BusyIsAnError(Lie):
    def answer(self, request):
        answer = super().answer(request)
        if not answer["ok"] and answer["error"]["code"] == "busy":
            answer["error"]["code"] = "error"
        return answer


@caught_by("end-of-input", "it still runs 5 s after the end of its input")
class GoesOn(Lie):
    def close(self):
        super().close()
        print("?", end="", flush=True)
        sys.stderr.write("still here")
        while True:
            SystemClock().wait_s(1)


@caught_by("end-of-input", "its exit status is 3, not 0, after the end of its input")
class EndsBadly(Lie):
    def close(self):
        super().close()
        sys.exit(3)


@caught_by("close", "its exit status is 4, not 0, after the answer to close")
class ClosesBadly(Lie):
    def _close(self, request):
        super()._close(request)
        write({"id": request["id"], "ok": True})
        sys.exit(4)
