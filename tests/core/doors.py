"""Doors to SQLite that look at, or strike at, what passes through them."""

import sqlite3

from core import connect_stdlib


class Door:
    """Opens real connections and tells of each statement before it runs.

    ``before`` is called with the connection's URI, the connection and the statement; what it
    raises, the statement raises.
    """

    def __init__(self, before):
        self.before = before

    def __call__(self, uri, *, timeout_s):
        """Return a connection as the core asks for it."""
        self.before(uri, None, "OPEN")
        return DoorConnection(connect_stdlib(uri, timeout_s=timeout_s), uri, self)


class DoorConnection:
    """A real connection behind a door."""

    def __init__(self, real, uri, door):
        self.real, self.uri, self.door = real, uri, door

    @property
    def in_transaction(self):
        """Whether the real one is in a transaction."""
        return self.real.in_transaction

    def execute(self, sql, parameters=(), /):
        """Tell of the statement, then run it."""
        self.door.before(self.uri, self.real, sql)
        return self.real.execute(sql, parameters)

    def executemany(self, sql, parameters, /):
        """Tell of the statement, then run it."""
        self.door.before(self.uri, self.real, sql)
        return self.real.executemany(sql, parameters)

    def backup(self, target, **settings):
        """Copy into the real connection behind the target."""
        self.real.backup(getattr(target, "real", target), **settings)

    def set_progress_handler(self, handler, n):
        """Hand it on."""
        self.real.set_progress_handler(handler, n)

    def set_authorizer(self, judge):
        """Hand it on."""
        self.real.set_authorizer(judge)

    def setlimit(self, category, limit):
        """Hand it on."""
        return self.real.setlimit(category, limit)

    def interrupt(self):
        """Hand it on."""
        self.real.interrupt()

    def close(self):
        """Close the real one."""
        self.real.close()


class Killed(BaseException):
    """The process would be dead from here on."""


class Strike:
    """Kills the process, as far as SQLite can tell, at the n-th statement that writes.

    A death at a statement that reads leaves what the next one that writes would find. After the
    strike no statement runs; closing a connection without a word is what the system does for a
    dead process.
    """

    READS = ("OPEN", "SELECT", "PRAGMA", "ROLLBACK")

    def __init__(self, at):
        self.at, self.statements, self.last = at, 0, None

    def __call__(self, _uri, _connection, sql):
        """Count the statement, and strike."""
        self.statements += not sql.lstrip().startswith(self.READS)
        if self.statements >= self.at:
            self.last = self.last or sql
            raise Killed(self.last)

    @property
    def struck(self):
        """Whether it was reached."""
        return self.last is not None


def writer_is_kept_out(path):
    """Return whether another connection would be refused the writer lock now."""
    rival = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        rival.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        rival.close()
    return False
