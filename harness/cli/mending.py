"""What ``health --fix`` does: the commands that the findings name, as far as they lose nothing.

A restore, a pruning and whatever else throws something away stays for a person to do: it is listed
and never run.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from .asking import agreed
from .console import Console

# A whole run of maintenance; each verb has deadlines of its own, which are shorter.
_TIMEOUT_S = 3600.0
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_PROGRAM = "queuedrill"
# Each with an option that it must have; "" where none is asked for. What goes first makes the rest
# safe.
_HARMLESS = (
    ("backup", ""),
    ("restore", "--recover"),
    ("leases", "--free"),
    ("enable-wal", ""),
    ("checkpoint", ""),
    ("vacuum", ""),
)
_ASKS = ("leases", "vacuum", "restore")


@dataclass(frozen=True)
class Mend:
    """A command that mends a finding.

    Attributes:
        finding: its id.
        command: as people type it.
        harmless: whether it throws nothing away, so that it may be run from here.
    """

    finding: str
    command: str
    harmless: bool

    @property
    def words(self) -> list[str]:
        """The command's words behind the program's name."""
        return words_of(self.command)[1:]


def mends(fixes: Sequence[tuple[str, str]]) -> list[Mend]:
    """Return what there is to do, in the order in which it is done: the harmless ones first.

    Args:
        fixes: ids of findings with their commands, as ``core.findings.fixes`` returns them.
    """
    found = [Mend(finding, command, _rank(command) is not None) for finding, command in fixes]
    return sorted(found, key=lambda mend: _last_if_none(_rank(mend.command)))


def mend_what_can_be(console: Console, fixes: Sequence[tuple[str, str]], *, yes: bool) -> bool:
    """Say what would mend the queue; do what loses nothing, once that was agreed to.

    Args:
        console: of the run.
        fixes: ids of findings with their commands.
        yes: whether ``--yes`` was said.

    Returns:
        Whether anything was run.

    Raises:
        NobodyToAskError: nobody can be asked, and ``--yes`` was not said.
    """
    found = mends(fixes)
    for mend in found:
        who = "would run" if mend.harmless else "for you to decide and type"
        console.say(f"  {mend.finding}: {who}: {mend.command}")
    ended: dict[str, int] = {}
    harmless = [mend for mend in found if mend.harmless]
    if not harmless:
        console.say("There is nothing that could be mended from here.")
    elif agreed(f"Run {len(harmless)} of them", yes=yes):
        ended = _run_until_one_fails(console, harmless)
    console.facts["mends"] = [
        {"finding": mend.finding, "command": mend.command, "exit_code": ended.get(mend.command)}
        for mend in found
    ]
    return bool(ended)


def _run_until_one_fails(console: Console, harmless: Sequence[Mend]) -> dict[str, int]:
    """Run them in their order; return the exit codes of those that were run by their commands."""
    ended: dict[str, int] = {}
    for mend in harmless:
        ended[mend.command] = run(mend, quiet=console.as_json)
        if ended[mend.command]:
            # What comes first makes the rest safe.
            console.say(f"  not done: {mend.command}", "bad")
            left = len(harmless) - len(ended)
            if left:
                console.say(f"  and so {left} more were not run.", "bad")
            break
    return ended


def run(mend: Mend, *, quiet: bool) -> int:
    """Run the command in a process of its own; return its exit code.

    Args:
        mend: a harmless one.
        quiet: whether what it says goes to stderr, since stdout is one JSON object.
    """
    assert mend.harmless, f"nobody asked a person about: {mend.command}"
    yes = ["--yes"] if mend.words[0] in _ASKS else []
    # -P: a folder named as ours in the working directory is not ours.
    command = [sys.executable, "-P", "-X", "utf8", "-m", "harness.cli", *mend.words, *yes]
    sys.stdout.flush()
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if quiet else None,
        timeout=_TIMEOUT_S,
        check=False,
    ).returncode


def words_of(command: str) -> list[str]:
    """Return the words of a command that the core has put together; quotes group, nothing else.

    A backslash stays: it belongs to a path.
    """
    return [quoted or plain for quoted, plain in _WORD.findall(command)]


def _rank(command: str) -> int | None:
    words = words_of(command)
    for rank, (verb, option) in enumerate(_HARMLESS):
        if words[:2] == [_PROGRAM, verb] and (not option or option in words):
            return rank
    return None


def _last_if_none(rank: int | None) -> int:
    return len(_HARMLESS) if rank is None else rank
