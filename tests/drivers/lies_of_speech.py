"""Drivers whose lines are wrong.

Each is our own core's driver, right in everything but one.
"""
# ruff: noqa: D101, D102, RUF012 - a lie is told in its body, and nobody changes its table

import json
import os
import sys
from pathlib import Path

from lies import Declares, Lie, caught_by

from harness.drivers.core_driver import write
from harness.drivers.protocol import ErrorCode, refusal


@caught_by("hello", "no JSON object in UTF-8 .*; line 1: Welcome!")
class Welcome(Lie):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        print("Welcome!", flush=True)


@caught_by("hello", "no JSON object in UTF-8 .*; line 1: ")
class Latin1(Lie):
    def _hello(self, request):
        line = json.dumps({"id": request["id"], "name": "\u00e4"}, ensure_ascii=False)
        sys.stdout.buffer.write(line.encode("latin-1") + b"\n")
        return super()._hello(request)


@caught_by("hello", r"BOM.*; line 1: \\ufeff\{")
class Marked(Lie):
    def answer(self, request):
        sys.stdout.buffer.write("\ufeff".encode())
        return super().answer(request)


@caught_by("hello", r"has ended \(exit status 0\), and its line 1 has no end: \{\"id\"")
class EndsInTheMiddle(Lie):
    def answer(self, _request):
        print('{"id"', end="", flush=True)
        sys.exit(0)


@caught_by("hello", "has closed its standard output, and still runs")
class ClosesItsOutput(Lie):
    def answer(self, request):
        os.close(1)
        sys.stdin.buffer.read()
        return super().answer(request)


@caught_by("hello", "nested more than 100 levels deep")
class Nested(Lie):
    def _hello(self, request):
        return {**super()._hello(request), "more": json.loads("[" * 200 + "]" * 200)}


@caught_by("hello", "NaN is no JSON")
class NotANumber(Lie):
    def _hello(self, request):
        return {**super()._hello(request), "load": float("nan")}


@caught_by("hello", "it is JSON, but no object; line 1: ")
class Listed(Lie):
    def answer(self, request):
        print("[]", flush=True)
        return super().answer(request)


@caught_by("hello", "it answers id 2, which nobody asked; line 1: ")
class OtherId(Lie):
    def answer(self, request):
        return {**super().answer(request), "id": request["id"] + 1}


@caught_by("hello", 'it answers id "1", which nobody asked')
class TextId(Lie):
    def answer(self, request):
        return {**super().answer(request), "id": str(request["id"])}


@caught_by("hello", "it answers id true, which nobody asked")
class TrueId(Lie):
    def answer(self, request):
        return {**super().answer(request), "id": True}


@caught_by("hello", "it lacks the field 'id'")
class NoId(Lie):
    def answer(self, request):
        return {name: value for name, value in super().answer(request).items() if name != "id"}


@caught_by("hello", "it answers id 1, which nobody asked; line 2: ")
class Twice(Lie):
    def answer(self, request):
        answer = super().answer(request)
        write(answer)
        return answer


@caught_by("hello", "'ok' must be true or false, not 1; line 1: ")
class OkIsOne(Lie):
    def answer(self, request):
        return {**super().answer(request), "ok": 1}


@caught_by("hello", "it speaks protocol 2, this harness 1; line 1: ")
class OtherVersion(Lie):
    def _hello(self, request):
        return {**super()._hello(request), "protocol": 2}


@caught_by("hello", "the answer to hello lacks the field 'driver'; line 1: ")
class Nameless(Lie):
    def _hello(self, request):
        return {k: v for k, v in super()._hello(request).items() if k != "driver"}


@caught_by("hello", "field 'leases': must be true or false, not 1; line 1: ")
class LeasesAreOne(Declares):
    other = {"leases": 1}


@caught_by("hello", 'must be of at-least-once, at-most-once, not "exactly-once"')
class ExactlyOnce(Declares):
    other = {"delivery": "exactly-once"}


@caught_by("declared", r"\['teleports'\] are no capabilities")
class Teleports(Declares):
    other = {"teleports": True}


@caught_by("hello", "without backup is of no use")
class RestoresNothing(Declares):
    other = {"maintenance": ["restore"]}


@caught_by("hello", "there is no file at {db}")
class NoFile(Lie):
    def _hello(self, request):
        path, self._path = self._path, Path(__file__)
        try:
            return super()._hello(request)
        finally:
            self._path = path


@caught_by("claim", "field 'task_id': must be an integer, not \"1\"; line 3: ")
class TextTaskId(Lie):
    def _enqueue(self, request):
        return {"task_id": str(super()._enqueue(request)["task_id"])}


@caught_by("claim", "'task' lacks the field 'token'")
class Tokenless(Lie):
    def _claim(self, request):
        task = super()._claim(request)["task"]
        return {"task": task and {k: v for k, v in task.items() if k != "token"}}


@caught_by("claim", "the answer to claim lacks the field 'task'")
class NothingAtAll(Lie):
    def _claim(self, request):
        return {k: v for k, v in super()._claim(request).items() if v is not None}


@caught_by("claim", 'must be of queued, leased, .* not "in hand"')
class OwnWords(Lie):
    def _snapshot(self, request):
        tasks = super()._snapshot(request)["tasks"]
        return {"tasks": [{**task, "status": "in hand"} for task in tasks]}


@caught_by("complete", "lease-lost goes with outcome 'failed', not 'unknown'")
class UnsureOfLoss(Lie):
    def answer(self, request):
        answer = super().answer(request)
        if not answer["ok"]:
            answer["error"]["outcome"] = "unknown"
        return answer


@caught_by("fields", "enqueue is never refused with lease-lost")
class LosesWhatItNeverHad(Lie):
    def answer(self, request):
        answer = super().answer(request)
        if not answer["ok"]:
            answer["error"]["code"] = "lease-lost"
        return answer


@caught_by("in-flight", "20 tasks have as many ids")
class AnswersAhead(Lie):
    last = None

    def _enqueue(self, request):
        self.last = self.last or super()._enqueue(request)
        return self.last


@caught_by("more-fields", "enqueue must be done, and was refused")
class Strict(Lie):
    def answer(self, request):
        if "x-unknown" in request:
            return refusal(request["id"], ErrorCode.INVALID, "x-unknown")
        return super().answer(request)


@caught_by("unsupported", "dance must be refused with unsupported, and was done")
class DoesAnything(Lie):
    def answer(self, request):
        answer = super().answer(request)
        unknown = not answer["ok"] and answer["error"]["code"] == "unsupported"
        return {"id": request["id"], "ok": True} if unknown else answer


@caught_by("unsupported", "vacuum must be refused with unsupported, and was done")
class SecretVacuum(Declares):
    other = {"maintenance": []}

    def _backup(self, request):
        return self.answer({**request, "op": "dance"})

    def answer(self, request):
        hidden = request.get("op") in ("backup", "verify", "restore", "checkpoint")
        return super().answer({**request, "op": "dance"} if hidden else request)


@caught_by("junk", r"driver 1 has ended \(exit status 1\); it said on stderr: .*JunkError")
class DiesOfJunk(Lie):
    def answer(self, request):
        if "id" not in request:
            raise type("JunkError", (Exception,), {})
        return super().answer(request)


@caught_by("junk", "junk must be refused with invalid; line")
class JunkIsUnsupported(Lie):
    def answer(self, request):
        answer = super().answer(request)
        if answer["id"] is None:
            answer["error"]["code"] = "unsupported"
        return answer


@caught_by("fields", "claim must be refused with invalid, and was done")
class TakesAnyLease(Lie):
    def answer(self, request):
        if request.get("op") == "claim" and not isinstance(request.get("lease_s"), float):
            request = {**request, "lease_s": 60.0}
        return super().answer(request)
