"""Judges of a history: pure functions from what was seen to a ruling.

False over unknown over true. A checker that had nothing to look at, or that raises, says unknown;
neither is ever green. A checker is held to what the queue declares and to no more: what it does
not promise, or was not put to the test, is not applicable, and that is no pass either.
"""

from harness.checkers.attempts import attempts_within_limit, dead_letters_whole
from harness.checkers.completion import completed_once, done_in_the_end, handed_out_once
from harness.checkers.delays import delays_honoured
from harness.checkers.explain import explain
from harness.checkers.fairness import producers_fair, workers_fair
from harness.checkers.holding import heartbeats_honoured, one_holder, stale_holder_refused
from harness.checkers.linearizable import linearizable
from harness.checkers.order import order_kept, priorities_kept
from harness.checkers.panel import CHECKERS, Checker, judge
from harness.checkers.presence import nothing_lost, nothing_unexpected
from harness.checkers.record import CLOCK_ERROR_S, Record, RecoveryBudget, Starvation, Strike
from harness.checkers.recovery import Recovery, recovered_in_time, recoveries
from harness.checkers.ruling import Ruling, Valid, Violation, compose

__all__ = [
    "CHECKERS",
    "CLOCK_ERROR_S",
    "Checker",
    "Record",
    "Recovery",
    "RecoveryBudget",
    "Ruling",
    "Starvation",
    "Strike",
    "Valid",
    "Violation",
    "attempts_within_limit",
    "completed_once",
    "compose",
    "dead_letters_whole",
    "delays_honoured",
    "done_in_the_end",
    "explain",
    "handed_out_once",
    "heartbeats_honoured",
    "judge",
    "linearizable",
    "nothing_lost",
    "nothing_unexpected",
    "one_holder",
    "order_kept",
    "priorities_kept",
    "producers_fair",
    "recovered_in_time",
    "recoveries",
    "stale_holder_refused",
    "workers_fair",
]
