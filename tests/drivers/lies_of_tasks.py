"""Drivers whose lines are right, and whose tasks or leases are not."""
# ruff: noqa: D101, D102, RUF012 - a lie is told in its body, and nobody changes its table

import json

from lies import Declares, Lie, caught_by

from core.clock import SystemClock


@caught_by("payload", "the payload was")
class Trims(Lie):
    def _enqueue(self, request):
        text = json.dumps(request["payload"]).replace("\\n", "")
        return super()._enqueue({**request, "payload": json.loads(text)})


@caught_by("payload", "the payload was false")
class FalseIsZero(Lie):
    def _claim(self, request):
        task = super()._claim(request)["task"]
        return {"task": {**task, "payload": 0} if task and task["payload"] is False else task}


@caught_by("long-line", "the payload was another one")
class CutsOff(Lie):
    def _enqueue(self, request):
        return super()._enqueue({**request, "payload": request["payload"][:65536]})


@caught_by("claim", "a claim must get no task: the only task is held")
class ClaimsTwice(Lie):
    def _claim(self, request):
        self.sql("UPDATE task_queue SET status = 'queued' WHERE status = 'leased'")
        return super()._claim(request)


@caught_by("race", "were handed out more than once")
class Caches(Lie):
    def _claim(self, _request):
        if not hasattr(self, "cached"):
            ids = [row[0] for row in self.sql("SELECT id FROM task_queue")]
            self.cached = ids
        token = {"attempts": 0, "max_attempts": 5, "lease_until_ms": 1, "token": 1}
        if not self.cached:
            return {"task": None}
        return {"task": {"id": self.cached.pop(), "payload": None, **token}}


@caught_by("complete", "its status is completed")
class ForgetsCompletion(Lie):
    def _complete(self, _request):
        return {}


@caught_by("complete", "the snapshot has no task 1, and was to have every task; line 5: ")
class DeletesWhatIsDone(Lie):
    def _complete(self, request):
        answer = super()._complete(request)
        self.sql("DELETE FROM task_queue")
        return answer


@caught_by("payload", "nobody put a task 1001 in; line")
class OtherIds(Lie):
    def _snapshot(self, request):
        tasks = super()._snapshot(request)["tasks"]
        return {"tasks": [{**task, "id": task["id"] + 1000} for task in tasks]}


@caught_by("payload", "the payload of task 6 is JSON, and not ''; line")
class PlainText(Lie):
    def _snapshot(self, request):
        tasks = super()._snapshot(request)["tasks"]
        plain = {task["id"]: json.loads(task["payload"]) for task in tasks}
        texts = {id_: value for id_, value in plain.items() if isinstance(value, str)}
        return {"tasks": [{**task, "payload": texts.get(task["id"], "1")} for task in tasks[5:]]}


@caught_by("complete", "complete must be refused with lease-lost, and was done")
class CompletesTwice(Lie):
    def answer(self, request):
        answer = super().answer(request)
        lost = request.get("op") == "complete" and not answer["ok"]
        return {"id": request["id"], "ok": True} if lost else answer


@caught_by("given-up", "fail answers dead_letter")
class NeverGivesUp(Lie):
    def _fail(self, request):
        super()._fail(request)
        self.sql("UPDATE task_queue SET status = 'queued', attempts = 0")
        return {"status": "queued"}


@caught_by("retries", "1 attempts have ended")
class DoesNotCount(Lie):
    def _fail(self, request):
        answer = super()._fail(request)
        self.sql("UPDATE task_queue SET attempts = attempts - 1")
        return answer


@caught_by("priorities", "came in the order")
class HighestFirst(Lie):
    def _enqueue(self, request):
        return super()._enqueue({**request, "priority": -request.get("priority", 100)})


@caught_by("priorities", "came in the order")
class OtherDefault(Lie):
    def _enqueue(self, request):
        return super()._enqueue({"priority": 0, **request})


@caught_by("order", "put in as")
class LastFirst(Lie):
    def _enqueue(self, request):
        answer = super()._enqueue(request)
        self.sql("UPDATE task_queue SET priority = 1000 - id")
        return answer


@caught_by("delays", "a claim must get no task")
class DoesNotWait(Lie):
    def _enqueue(self, request):
        return super()._enqueue({**request, "delay_s": 0})


@caught_by("retry-delay", "a claim must get no task")
class RetriesAtOnce(Lie):
    def _fail(self, request):
        return super()._fail({**request, "retry_after_s": 0})


@caught_by("retry-delay", "a task is due, and the claim has none")
class WaitsForEver(Lie):
    def _fail(self, request):
        return super()._fail({**request, "retry_after_s": 1e6})


@caught_by("keys", "the key's task is 1")
class Keyless(Lie):
    def _enqueue(self, request):
        return super()._enqueue({k: v for k, v in request.items() if k != "key"})


@caught_by("keys", "its payload is the first one")
class LastPayloadWins(Lie):
    def _enqueue(self, request):
        answer = super()._enqueue(request)
        text = json.dumps(request["payload"])
        self.sql("UPDATE task_queue SET payload = ? WHERE id = ?", text, answer["task_id"])
        return answer


# -- leases -----------------------------------------------------------------------------------


@caught_by("leases", "count is 0")
class TakesLiveTasks(Lie):
    def _reclaim(self, request):
        self.sql("UPDATE task_queue SET lease_until_utc = '2001-01-01 00:00:00.000'")
        return super()._reclaim(request)


@caught_by("leases", "no lease ended more than 1000 s ago: count is 0")
class IgnoresTheTimeout(Lie):
    def _reclaim(self, request):
        return super()._reclaim({**request, "timeout_s": 0})


@caught_by("leases", "a task is due, and the claim has none")
class NeverTakesAway(Lie):
    def _reclaim(self, _request):
        return {"count": 0}


@caught_by("leases", "count is at most 1")
class CountsTooMany(Lie):
    def _reclaim(self, request):
        count = super()._reclaim(request)["count"]
        return {"count": count and count + 1}


@caught_by("heartbeat", "no lease ended more than 0 s ago: count is 0")
class HeartbeatIsAWord(Lie):
    def _heartbeat(self, request):
        task = request["task"]
        return {"task": {**task, "lease_until_ms": task["lease_until_ms"] + 660_000}}


@caught_by("fencing", "complete must be refused with lease-lost, and was done")
class StaleCompletion(Lie):
    def answer(self, request):
        answer = super().answer(request)
        lost = request.get("op") == "complete" and not answer["ok"]
        if lost and answer["error"]["code"] == "lease-lost":
            return {"id": request["id"], "ok": True}
        return answer


@caught_by("fencing", "heartbeat must be refused with lease-lost, and was done")
class FencesByName(Lie):
    def answer(self, request):
        if "task" in request:
            task_id, worker = request["task"]["id"], request["task"]["worker"]
            found = self.sql(
                "SELECT reserved_at_utc, attempts FROM task_queue "
                "WHERE id = ? AND locked_by = ? AND status = 'leased'",
                task_id,
                worker,
            )
            for reserved_at, attempts in found:
                held = {"reserved_at": reserved_at, "attempts": attempts}
                request = {**request, "task": {**request["task"], **held}}
        return super().answer(request)


@caught_by("poison", "a claim must get no task: both attempts are used up")
class PoisonForEver(Lie):
    def _reclaim(self, request):
        answer = super()._reclaim(request)
        self.sql("UPDATE task_queue SET attempts = 0, status = 'queued'")
        return answer


@caught_by("at-most-once", "it was handed out before")
class HandsOutAgain(Declares):
    other = {"delivery": "at-most-once"}


@caught_by("clock", "ten minutes ahead, a lease of 60 s ends at about")
class OwnClock(Lie):
    def __init__(self, path, clock, durability):
        super().__init__(path, SystemClock(0 * clock.offset_ms), durability)
