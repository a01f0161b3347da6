"""The exit codes; ``docs/cli.md`` says the same to people."""

DONE = 0
NOT_GOOD = 1
"""The operation failed or was declined, or what was examined is not good."""
USAGE = 2
"""The command line makes no sense, or asks for something that needs ``--yes`` without it."""
SALVAGED_PART = 3
"""``salvage`` alone: some tasks came back, or all and it is not proved that they are all."""
SALVAGED_NOTHING = 4
"""``salvage`` alone: nothing came back, and no file was made."""
INTERRUPTED = 130
"""Ctrl-C; as a shell reports a process that died of it."""
HUNG_UP = 129
"""The terminal was closed; what was started is ended. Where a verb does not look after that the
system ends it, and a shell reports the same."""
TERMINATED = 143
"""SIGTERM; likewise."""

HEALTH_OK = 0
HEALTH_WARNING = 1
HEALTH_CRITICAL = 2
HEALTH_UNKNOWN = 3
"""``health`` alone: as monitoring systems read them. Everything that keeps it from judging, a
command line that makes no sense included, is UNKNOWN."""
