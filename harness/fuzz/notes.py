"""Manifests and records made wrong: what a backup's or a queue's own words may claim."""

import hashlib
import json
import random
from typing import Any

from core.manifest import seal_of

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**4200, 1.5, float("nan"), float("inf"), "", "x",
    "\ud800", "\0", "\x1b[2J", "../../../etc/passwd", "/" * 6000, [], {}, [[[]]], {"queued": -1},
    {"queued": 10**4200}, {"\x1b": 1}, {"queued": 1.0},
)  # fmt: skip


def fitting(manifest: bytes, content: bytes) -> bytes:
    """Return the manifest sealed anew for this content: as whoever wrote both would have it."""
    facts = json.loads(manifest)
    facts.pop("seal")
    facts["sha256"] = hashlib.sha256(content).hexdigest()
    facts["size_bytes"] = len(content)
    return sealed(facts)


def sealed(facts: dict[str, Any]) -> bytes:
    """Return the facts as a manifest whose seal fits."""
    return json.dumps({**facts, "seal": seal_of(facts)}).encode()


def change_fact(chance: random.Random, manifest: bytes) -> bytes:
    """Claim something else, and seal it."""
    facts = json.loads(manifest)
    facts.pop("seal")
    name = chance.choice([*facts, "another"])
    if chance.random() < 0.2:  # noqa: PLR2004 - one in five
        facts.pop(name, None)
    else:
        facts[name] = chance.choice(_VALUES)
    return sealed(facts)


def change_bytes(chance: random.Random, manifest: bytes) -> bytes:
    """Turn, cut or repeat what is written."""
    content = bytearray(manifest)
    place = chance.randrange(len(content))
    what = chance.randrange(4)
    if what == 0:
        content[place] ^= 1 << chance.randrange(8)
    elif what == 1:
        del content[place:]
    elif what == 2:  # noqa: PLR2004 - the third way
        content = bytearray(chance.choice((b"[", b'{"a":')) * 100_000)
    else:
        content[place:place] = chance.choice((b"[" * 5000, b"9" * 5000, b"\xff\xfe", b"NaN", b"\0"))
    return bytes(content)


def change_record(chance: random.Random, record: bytes) -> bytes:
    """Claim something else in one line of a content record, and have its digest fit."""
    lines = record.splitlines()[:-1]
    number = chance.randrange(len(lines))
    facts = json.loads(lines[number])
    name = chance.choice([*facts])
    facts[name] = chance.choice((*_VALUES, *_IDS))
    lines[number] = json.dumps(facts, separators=(",", ":")).encode()
    return resealed_record(lines)


def resealed_record(lines: list[bytes]) -> bytes:
    """Return the lines with the digest that fits them."""
    content = b"".join(line + b"\n" for line in lines)
    digest = hashlib.sha256(content).hexdigest()
    return content + json.dumps({"sha256": digest}, separators=(",", ":")).encode() + b"\n"


_IDS: tuple[Any, ...] = (
    [[0, 10**18]], [[-5, 5]], [[5, 1]], [[1, 2, 3]], [["a", "b"]], [[1, 2**70]], [[1.5, 2.5]],
    "A" * 16, [[1, "00", 1, True, "missing", 0, 0]], [[1, "zz", 1, True, "odd", 0, 0]],
)  # fmt: skip
