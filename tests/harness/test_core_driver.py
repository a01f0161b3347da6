"""The driver over our own core starts hundreds of times in a run."""

import subprocess
import sys

SOURCE = """
import sys, harness.drivers.core_driver
heavy = ("core.maintenance", "core.backup", "core.health", "core.content")
print([name for name in heavy if name in sys.modules])
"""


def test_worker_that_starts_loads_no_verb_that_it_was_not_asked_for():
    """What keeps a queue is loaded by the first request that needs it."""
    done = subprocess.run(
        [sys.executable, "-c", SOURCE],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "[]"
