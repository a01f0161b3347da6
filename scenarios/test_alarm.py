"""The alarm: queues and backups that are broken on purpose must come out red.

Claim: what this run calls good was judged by checkers that see a double claim, a holder that is
not fenced off, and a backup that lacks what was acknowledged.
Faults: none; a queue with a planted defect, and a database file copied without its -wal.
Method: the defects show by construction and not by luck: who works does so one after the other,
and the copy is made while every task lies in the -wal. The same checkers judge them as all others.
A failure means: HARNESS BLIND. Nothing that this run calls good is known to be so.
"""

import shutil
from pathlib import Path

import pytest

from core.paths import wal_of
from harness.checkers import Record, Ruling, Valid, compose
from harness.closing import Books
from harness.crew import Crew
from harness.drill import reckon
from harness.evidence import Evidence
from harness.outcome import Inconclusive
from harness.reclaiming import reclaim_until_freed
from harness.trial import trial_command
from harness.waiting import let_pass

pytestmark = pytest.mark.scenario

LEASE_S = 60.0
TASKS_COUNT = 12
OVERLAP_S = 0.1


def test_double_claim_is_seen(scratch: Path, crew: Crew, books: Books) -> None:
    """A queue that hands a held task to a second worker, and lets both complete it, is red."""
    command = trial_command(scratch / "planted.db", "--defect", "double-claim")
    history = books.history
    first, second = (crew.start_program(command, name) for name in ("first", "second"))
    first.enqueue("a")

    claims = [worker.claim(lease_s=LEASE_S) for worker in (first, second)]
    # Real time is the subject: checkers allow for clocks that differ by some milliseconds.
    let_pass(OVERLAP_S)
    completions = [worker.complete() for worker in (first, second)]

    if len({claim.task_id for claim in claims}) != 1 or not all(op.ok for op in completions):
        raise Inconclusive(f"the planted defect did not show: {claims} {completions}")
    record = Record(
        operations=history.operations(),
        final=first.final(),
        capabilities=first.driver.capabilities,
    )
    _require_red(
        books.evidence,
        books.rulings(record),
        ("one-holder", "completed-once", "linearizable"),
        "two workers held and completed one task",
    )


def test_missing_fence_is_seen(scratch: Path, crew: Crew, books: Books) -> None:
    """A queue that lets a holder complete a task that somebody else has by now is red."""
    command = trial_command(scratch / "planted.db", "--defect", "no-fencing")
    stale, holder = (crew.start_program(command, name) for name in ("stale", "holder"))
    stale.enqueue("a")
    stale.claim(lease_s=0.001)
    reclaim_until_freed(holder)
    claimed = holder.claim(lease_s=LEASE_S)
    completed = stale.complete()

    if claimed.task_id is None or not completed.ok:
        raise Inconclusive(f"the planted defect did not show: {claimed} {completed}")
    record = Record(
        operations=books.history.operations(),
        final=holder.final(),
        capabilities=holder.driver.capabilities,
    )
    _require_red(
        books.evidence,
        books.rulings(record),
        ("stale-holder-refused", "linearizable"),
        "a holder without a lease completed somebody else's task",
    )


def test_plain_file_copy_is_seen(scratch: Path, crew: Crew, books: Books) -> None:
    """A backup that is a copy of the database file alone, without its -wal, is red."""
    history, evidence = books.history, books.evidence
    path, copy = scratch / "planted.db", scratch / "copy.db"
    # Begun by a process that has ended, so that the database file is a queue without tasks.
    crew.start_program(trial_command(path), "maker").driver.close()
    producer = crew.start_program(trial_command(path), "producer")
    acknowledged = [producer.enqueue(f"t-{number:05d}") for number in range(TASKS_COUNT)]
    ticket = history.begin("operator", "backup")
    # The harness has no connection to the file, so that reading it takes nobody's locks away.
    shutil.copyfile(path, copy)
    backup = ticket.ok()
    in_wal = wal_of(path).stat().st_size

    restored = crew.start_program(trial_command(copy), "restored")
    final = restored.final()
    if not all(op.ok for op in acknowledged) or not in_wal:
        raise Inconclusive(f"the tasks were not in the -wal ({in_wal} bytes) when it was copied")
    record = Record(
        operations=history.operations(),
        final=final,
        capabilities=restored.driver.capabilities,
    )
    lost = reckon(history.operations(), backup, final).lost_beyond
    if not lost:
        evidence.blind(f"a copy without its -wal lacks {TASKS_COUNT} tasks, and none was missed")
    _require_red(
        evidence,
        books.rulings(record),
        ("nothing-lost", "promises-kept"),
        "a copied file lacked every acknowledged task",
    )


def _require_red(
    evidence: Evidence, rulings: tuple[Ruling, ...], names: tuple[str, ...], defect: str
) -> None:
    """Pass if each of these checkers says false, and so do all together."""
    __tracebackhide__ = True
    said = {ruling.name: ruling.valid for ruling in rulings}
    for name in names:
        if said.get(name) is not Valid.FALSE:
            evidence.blind(f"{defect}, and {name} says {said.get(name, 'nothing')}")
    if compose(rulings) is not Valid.FALSE:
        evidence.blind(f"{defect}, and all checkers together say {compose(rulings)}")
    red = [name for name, valid in said.items() if valid is Valid.FALSE]
    evidence.measure("checkers_that_saw_it", len(red), "checkers")
