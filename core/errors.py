"""What stops an operation: one base class, and leaves that say the cure.

The docstring of a leaf is its default message; the words in braces are the facts that the
raiser gives, kept as attributes of the exception. What is merely *wrong with a queue* is no
exception but a finding (``health.py``).
"""

from typing import Any

from .printable import visible


class QueueError(Exception):
    """The operation was not done."""

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)
        # What a file holds, and what its names are, may be somebody else's words.
        super().__init__(visible(self._default_message(facts) if message is None else message))

    def __str__(self) -> str:
        # OSError, a second base of some leaves, would format itself from errno and file name.
        return str(self.args[0])

    @classmethod
    def _default_message(cls, facts: dict[str, Any]) -> str:
        template = " ".join((cls.__doc__ or cls.__name__).split())
        try:
            return template.format(**facts)
        except (KeyError, IndexError, ValueError):
            # A fact is missing, or cannot be shown (an integer of thousands of digits).
            return template


class InvalidArgumentError(QueueError, ValueError):
    """{what} is not valid: {value!r}. {cure}"""


# -- opening ---------------------------------------------------------------------------------


class DatabaseError(QueueError):
    """The queue database could not be used."""


class DatabaseMissingError(DatabaseError, FileNotFoundError):
    """There is no database at "{path}". Check the path, or make a new queue there with:
    queuedrill init --db "{path}"
    """


class NotAFileError(DatabaseError):
    """ "{path}" is {what}, not a database file. Give the path of the queue's .db file."""


class EmptyDatabaseError(DatabaseError):
    """ "{path}" is empty (no page in it), which is what is left of a failed copy. Restore a backup
    with: queuedrill restore --db "{path}" (or remove the file and run: queuedrill init)
    """


class NotADatabaseError(DatabaseError):
    """ "{path}" is not an SQLite database ({detail}). Check the path; if the queue was here, its
    header is destroyed: queuedrill restore --db "{path}"
    """


class DatabaseCorruptError(DatabaseError):
    """ "{path}" is corrupt ({detail}). Stop the workers and restore the newest verified backup
    with: queuedrill restore --db "{path}"
    """


class NotAQueueError(DatabaseError):
    """ "{path}" is an SQLite database but no task queue: it lacks {missing}. Check the path; a new
    queue needs a file of its own: queuedrill init --db OTHER_PATH
    """


class NewerSchemaError(DatabaseError):
    """ "{path}" has queue schema {found}; this program knows schema {known} and older. Upgrade
    queuedrill, or use the version that made the file.
    """


class UnreadableDatabaseError(DatabaseError):
    """ "{path}" cannot be opened ({detail}). Check that the file and its folder can be read (and,
    for WAL, that the folder can be written) by this user.
    """


class ReadOnlyDatabaseError(DatabaseError):
    """ "{path}" cannot be written ({detail}). Check that this user may write to the file and its
    folder, and that it was not opened with read_only=True.
    """


class StrayJournalError(DatabaseError):
    """There is no database at "{path}" but its "{journal}" is there and may hold committed tasks;
    a new database would destroy them. Move it away with the rest of the old set, or restore:
    queuedrill restore --db "{path}"
    """


class DatabaseBusyError(DatabaseError):
    """ "{path}" stayed locked for {waited_s:.1f} s. Another connection holds the lock; try again,
    or find what holds it: queuedrill health --db "{path}"
    """


class DatabaseMovedError(DatabaseError):
    """ "{path}" or its -wal is not the file any more that was opened: it was deleted or replaced.
    Nobody would ever see what is written to the old one, so nothing was done; do it again on what
    is there now.
    """


class ForkedError(DatabaseError):
    """ "{path}" was open when this process was forked off, in a transaction or by another thread.
    Nobody would see a lock that is taken here, so nothing was done. Fork before threads open it and
    outside of transactions, or start the process anew (multiprocessing's "spawn").
    """


class DiskFullError(DatabaseError):
    """The disk (or a limit on the file's size) is full: "{path}" ({detail}). Free some space; what
    was acknowledged before is safe.
    """


class DatabaseIOError(DatabaseError):
    """The operating system failed to read or write "{path}" ({detail}). Check the disk and the
    system's log before going on, then: queuedrill health --db "{path}"
    """


class InterruptedOperationError(DatabaseError):
    """What was at work on "{path}" was interrupted ({detail}), and what it had begun was undone. Do
    it again.
    """


class CommitUnknownError(DatabaseError):
    """COMMIT on "{path}" failed ({detail}), so the change may or may not be there. Read the row
    back before doing it again (an idempotency key makes a second enqueue harmless).
    """


class InterruptedRestoreError(DatabaseError):
    """A restore of "{path}" was cut off ({detail}). Finish it by opening the queue for
    writing, or with: queuedrill restore --db "{path}" --recover
    """


class UnsettledError(DatabaseError):
    """ "{path}" cannot be judged without changing something: {detail}. Stop what has it open, then
    try again.
    """


class OperationTimeoutError(QueueError, TimeoutError):
    """{operation} did not finish within {timeout_s:g} s and was stopped; nothing was changed. Give
    it more time, or a quieter one.
    """


class MaintenanceBusyError(QueueError):
    """Another maintenance run is at work on "{path}" ({holder}). Wait for it, then run this
    again.
    """


class UnknownTableError(InvalidArgumentError):
    """There is no table {table!r} in "{path}"; it has: {known}."""


class NotEnoughSpaceError(QueueError):
    """{operation} needs {needed_mb:.1f} MB free in "{folder}"; there are {free_mb:.1f} MB. Free
    some space or choose another folder.
    """


class VacuumNotPossibleError(QueueError):
    """VACUUM of "{path}" was not started: {detail}."""


class WalNotPossibleError(QueueError):
    """ "{path}" stays in journal mode {mode!r}: {detail}. WAL needs a local disk, and a database
    that nobody else has open at that moment.
    """


class ArchiveError(QueueError):
    """Archiving of "{path}" into "{archive}" was not done: {detail}."""


class ContentRecordError(QueueError):
    """The content record "{record}" cannot be used ({detail}); that says nothing of the queue. If
    the queue is known to be sound, record it anew: queuedrill content --db "{path}" --accept
    """


class ForeignRecordError(ContentRecordError):
    """ "{record}" is the content record of another queue ("{source}"). If this queue has moved,
    record it anew: queuedrill content --db "{path}" --accept
    """


# -- tasks -----------------------------------------------------------------------------------


class TaskError(QueueError):
    """The task operation was not done."""


class InvalidPayloadError(TaskError, ValueError):
    """The payload cannot be written as JSON: {detail}. Give dicts, lists, strings, numbers,
    booleans or None.
    """


class LeaseLostError(TaskError):
    """Worker {worker!r} no longer holds task {task_id} (now {status}, held by {holder!r}): its
    lease was taken away. Drop the result; the task belongs to somebody else.
    """


class TaskNotHeldError(TaskError):
    """Task {task_id} of "{path}" is held by nobody (it is {status}), so there is nothing to
    release. See what is held with: queuedrill leases --db "{path}"
    """


# -- backups ---------------------------------------------------------------------------------


class QueueBackupError(QueueError):
    """The backup or restore was not done."""


class BackupFailedError(QueueBackupError):
    """Backup failed: {detail}"""


class BackupUnsureError(QueueBackupError):
    """The backup "{path}" is whole and is listed, but its folder could not be synced ({detail}): a
    power cut may undo it. Look at the disk, and make another one.
    """


class RestoreFailedError(QueueBackupError):
    """Restore failed, and the database is as it was: {detail}"""


class InvalidBackupNameError(QueueBackupError, InvalidArgumentError):
    """{value!r} is not a backup name: {detail}. Use 1 to 64 letters, digits, '.', '-' or '_'."""


class BackupMissingError(QueueBackupError):
    """There is no backup at "{path}". See what there is with: queuedrill list"""


class NoBackupError(QueueBackupError):
    """There is no verified backup of "{path}" in "{folder}". {detail}"""


class BackupInvalidError(QueueBackupError):
    """ "{path}" is no usable backup: {detail}. Choose another one: queuedrill list"""


class ForeignBackupError(QueueBackupError):
    """ "{path}" is a backup of another queue ("{source}"). If it is meant (the queue has moved),
    say so with allow_foreign=True or --foreign.
    """


class BackupFolderError(QueueBackupError):
    """The backup folder "{folder}" cannot be used ({detail}). Check that it is a folder, that
    this user may write to it, and its disk.
    """


class DatabaseHeldError(QueueBackupError):
    """ "{path}" is open in {holders}. {cure}"""


class NothingToUndoError(QueueBackupError):
    """There is no restore of "{path}" that could be undone: {detail}."""


# -- salvage ---------------------------------------------------------------------------------


class SalvageError(QueueError):
    """The salvage was not done."""


class SalvageTargetError(SalvageError, FileExistsError):
    """ "{path}" is there already, and a salvage overwrites nothing. Give OUT another name, or move
    away what is there with its -wal, -shm and -journal.
    """


class SalvageFailedError(SalvageError):
    """What came back of "{path}" did not make a sound queue ({detail}), so none was made. The file
    is as it was.
    """
