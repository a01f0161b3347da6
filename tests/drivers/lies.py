"""The table of lies: what each driver in it does wrong, and which check has to catch it."""

from harness.drivers.core_driver import CoreDriver

LIES = {}
ODDITIES = {}
"""Drivers that are odd in one thing, and right."""


def caught_by(check, saying):
    """Enter a lie into the table: the check that has to catch it, and what it has to say."""

    def enter(kind):
        name = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("-")
        LIES[name] = (kind, check, saying)
        return kind

    return enter


class Lie(CoreDriver):
    """Our driver, with its requests at hand."""

    def sql(self, text, *values):
        """Run one statement on the queue behind the core's back."""
        with self.database.transaction("full") as connection:
            return connection.execute(text, values).fetchall()


class Declares(Lie):
    """Declares something else than it has."""

    other: dict[str, object]

    def _hello(self, request):
        answer = super()._hello(request)
        return {**answer, "capabilities": {**answer["capabilities"], **self.other}}
