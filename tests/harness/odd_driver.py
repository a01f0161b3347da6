"""A driver that answers hello and then does what its operations say, most of it wrong."""

import json
import os
import signal
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
        "half": lambda request: raw(b'{"id":%d,"o' % request["id"]),
        "banner": lambda request: (raw(b"Loading \x1b[31m...\0\n"), say(id=request["id"], ok=True)),
        "marked": lambda request: raw(b'\xef\xbb\xbf{"id":%d,"ok":true}\n' % request["id"]),
        "crlf": lambda request: raw(b'{"id":%d,"ok":true}\r\n' % request["id"]),
        "empty": lambda _request: raw(b"\n"),
        "infinite": lambda request: raw(b'{"id":%d,"ok":true,"x":1e999}\n' % request["id"]),
        "deep": lambda request: say(id=request["id"], ok=json.loads("[" * 200 + "]" * 200)),
        "spam": spam,
        "scream": scream,
        "stop": lambda _request: os.kill(os.getpid(), signal.SIGSTOP),
        "close-output": lambda _request: (os.close(1), threading.Event().wait()),
        "close-input": lambda _request: (os.close(0), threading.Event().wait()),
        "leave-child": lambda _request: leave(start_new_session=False),
        "leave-orphan": lambda _request: leave(start_new_session=True),
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
    say(id=request["id"], ok=True, pid=waiting(**settings))


def leave(**settings: object) -> None:
    """Start such a process, say its id on stderr, and end."""
    os.write(2, b"%d\n" % waiting(**settings))
    os._exit(3)


def waiting(**settings: object) -> int:
    """Start a process that holds the pipes and waits; return its id."""
    words = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    return subprocess.Popen(words, **settings).pid


def spam(_request: dict) -> None:
    """Say the same line without end."""
    while True:
        raw(b'{"id":1,"ok":true}\n' * 1000)


def scream(_request: dict) -> None:
    """Fill the standard error without end."""
    while True:
        os.write(2, b"x" * 65536)


def chatter(request: dict) -> None:
    """Say a lot on stderr before the answer."""
    sys.stderr.write("x" * 1_000_000)
    say(id=request["id"], ok=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
