"""Gives the scenarios their fixtures."""

from harness.fixtures import (
    books,
    crew,
    history,
    ledger,
    patient,
    promises,
    pytest_runtest_makereport,
    queue_path,
    scratch,
    shared_folder,
    subject,
)

__all__ = [
    "books",
    "crew",
    "history",
    "ledger",
    "patient",
    "promises",
    "pytest_runtest_makereport",
    "queue_path",
    "scratch",
    "shared_folder",
    "subject",
]
