"""Manifests made wrong: what a backup's own words may claim."""

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
