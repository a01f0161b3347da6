"""A driver that answers hello and then does what its operations say, most of it wrong."""

import json
import os
import subprocess
import sys
import threading

LINE_BYTES = 64 * 2**20


def say(**fields: object) -> None:
    """Write one answer."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main(protocol: int) -> None:
    """Answer requests until the input ends; an operation that is not here gets no answer."""
    promises = {"leases": True, "odd": 1}
    hello = {"ok": True, "protocol": protocol, "driver": "odd", "capabilities": promises}
    shrug = {"code": "error", "message": "m", "outcome": "unknown"}
    refusal = {"code": "busy", "message": "m", "outcome": "failed"}
    verbs = {
        "hello": lambda request: say(id=request["id"], **hello),
        "echo": lambda request: say(id=request["id"], ok=True, text=request["text"]),
        "die": lambda _request: os._exit(3),
        "garbage": lambda _request: print("no JSON at all", flush=True),
        "stranger": lambda _request: say(id=999, ok=True),
        "chatter": chatter,
        "refuse": lambda request: say(id=request["id"], ok=False, error=refusal),
        "shrug": lambda request: say(id=request["id"], ok=False, error=shrug),
        "text-id": lambda request: say(id=str(request["id"]), ok=True),
        "no-ok": lambda request: say(id=request["id"]),
        "twice": lambda request: [say(id=request["id"], ok=True) for _ in range(2)],
        "own-code": lambda request: say(id=request["id"], ok=False, error={**refusal, "code": "x"}),
        "latin-1": lambda _request: raw(b'{"id":1,"ok":"\xe4"}\n'),
        "flood": lambda _request: raw(b"x" * (LINE_BYTES + 2)),
        "torn": lambda request: (raw(b'{"id":%d,"o' % request["id"]), os._exit(0)),
        "child": child,
        "orphan": lambda request: child(request, start_new_session=True),
        "snapshot": lambda request: say(id=request["id"], ok=True, tasks=[{"id": "1"}]),
        "deaf": lambda _request: threading.Event().wait(),
    }
    for line in sys.stdin:
        request = json.loads(line)
        verbs.get(request["op"], lambda _request: None)(request)


def raw(line: bytes) -> None:
    """Write any bytes."""
    sys.stdout.buffer.write(line)
    sys.stdout.flush()


def child(request: dict, **settings: object) -> None:
    """Start a process that holds the pipes and waits, and say its id."""
    waiting = "import threading; threading.Event().wait()"
    process = subprocess.Popen([sys.executable, "-c", waiting], **settings)
    say(id=request["id"], ok=True, pid=process.pid)


def chatter(request: dict) -> None:
    """Say a lot on stderr before the answer."""
    sys.stderr.write("x" * 1_000_000)
    say(id=request["id"], ok=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
