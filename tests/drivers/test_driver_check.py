"""``queuedrill driver check``: right drivers pass, and every lie is caught, with its line."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from lying_driver import LIES, ODDITIES

from harness.cli import main
from harness.drivers.check import CHECKS, State, check_driver, upkeep
from harness.drivers.check.trial import Trial
from harness.drivers.command import CORE, DriverCommand
from harness.drivers.promises import core_capabilities
from harness.waiting import wait_until

HERE = Path(__file__).parent
SHELL_LEAST = (3, 38, 0)
AT_ODDS = ("hello", "payload", "killed", "restore", "integrity", "end-of-input", "close")
SHELL_LACKS = {"at-most-once", "backup", "verify", "restore", "checkpoint", "analyze"}


def quoted(path):
    """Write a path so that the command's words keep it whole."""
    return f'"{path}"'


@pytest.fixture(scope="module")
def shell_command():
    """The command of the driver in POSIX shell; a machine without its tools fails here."""
    for tool in ("sh", "sed", "sqlite3"):
        assert shutil.which(tool), (
            f"the second driver needs the command {tool!r}, and this machine has none. "
            "On Debian: apt-get install sqlite3"
        )
    said = subprocess.run(
        ["sqlite3", "--version"],  # noqa: S607 - whichever the machine has
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    version = tuple(map(int, said.split()[0].split(".")))
    assert version >= SHELL_LEAST, f"the second driver needs sqlite3 3.38 or later, not {said}"
    driver = quoted((HERE / "shell_driver.sh").as_posix())
    return DriverCommand.parse(f"sh {driver} {{db}} {{clock_offset_ms}}")


def states(findings):
    """Return the states by name, and show what is wrong where a test fails."""
    found = list(findings)
    assert [f"{each.check.name}: {each.detail}" for each in found if each.state == "WRONG"] == []
    return {each.check.name: each.state for each in found}


def test_our_own_driver_keeps_the_specification(tmp_path):
    """Nothing is wrong with the driver over our core, and it declares all but one delivery."""
    found = states(check_driver(CORE, scratch=tmp_path))

    assert list(found) == [check.name for check in CHECKS]
    assert {name for name, state in found.items() if state != State.OK} == {"at-most-once"}


def test_a_driver_in_another_language_keeps_the_specification(shell_command, tmp_path):
    """Nothing is wrong with the driver in shell, which imports nothing of ours."""
    found = states(check_driver(shell_command, scratch=tmp_path))

    assert {name for name, state in found.items() if state != State.OK} == SHELL_LACKS


def test_a_driver_without_a_clock_is_waited_for(shell_command, tmp_path):
    """Without a place for the offset the lease's end comes in real time."""
    words = " ".join(quoted(word) for word in shell_command.template[:-1])

    found = states(check_driver(DriverCommand.parse(words), ["leases", "clock"], scratch=tmp_path))

    assert found == {"leases": State.OK, "clock": State.NOT_DECLARED}


def lying(name):
    """Return the command of a lie."""
    words = [sys.executable, "-X", "utf8", str(HERE / "lying_driver.py"), name]
    return " ".join([*map(quoted, words), "{db}", "{clock_offset_ms}"])


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_caught(name, tmp_path):
    """A driver that is wrong in one thing is told so by the check of that thing."""
    _kind, check, saying = LIES[name]

    found = list(check_driver(DriverCommand.parse(lying(name)), [check], scratch=tmp_path))

    assert [(each.check.name, each.state) for each in found] == [(check, State.WRONG)]
    assert re.search(saying, found[0].detail), found[0].detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ODDITIES)
def test_an_oddity_that_the_document_allows_is_passed(name, tmp_path):
    """Nothing is wrong with a driver for being another one than ours."""
    found = states(check_driver(DriverCommand.parse(lying(name)), AT_ODDS, scratch=tmp_path))

    assert found == dict.fromkeys(AT_ODDS, State.OK)


def test_a_ruin_is_not_hidden_by_a_wal_that_was_left(tmp_path):
    """What a driver left in the -wal lies in the file before the check damages that."""
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as left_open:
        left_open.execute("PRAGMA journal_mode = WAL")
        left_open.execute("CREATE TABLE task (id)")

        upkeep._empty_wal(Trial(CORE, tmp_path, core_capabilities()))

        assert (tmp_path / "queue.db-wal").stat().st_size == 0


def test_every_check_has_caught_a_lie():
    """No check is there that was never seen to go red."""
    caught = {check for _kind, check, _saying in LIES.values()}

    assert {check.name for check in CHECKS} == caught


def test_a_wrong_driver_is_exit_code_one_and_its_line_is_shown(capsys):
    """The command says WRONG with the line, in words and as JSON."""
    words = ["driver", "check", lying("stale-completion"), "--only", "fencing"]

    assert main(words) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("WRONG")
    assert 'lease-lost, and was done; line 5: {"id":5,"ok":true}' in shown

    assert main([*words, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["wrong"]) == (False, 1)
    assert document["checks"][0]["state"] == "WRONG"


def test_a_right_driver_is_exit_code_zero(shell_command, capsys):
    """What is right and what is not declared are one line each."""
    words = " ".join(quoted(word) for word in shell_command.template)

    assert main(["driver", "check", words, "--only", "hello", "--only", "backup"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["ok", "not declared"]
    assert lines[2] == "Checks: 1 ok, 1 not declared."


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["mine"], "Put {db} into it"),
        (["'mine {db}"], "Check its quotes"),
        (["mine {db}", "--only", "nothing"], "Give one of: hello, "),
        ([], "Missing argument"),
    ],
)
def test_a_command_that_makes_no_sense_is_a_usage_error(words, cure, capsys):
    """Exit code 2, and one line with the cure."""
    assert main(["driver", "check", *words]) == 2
    assert cure in capsys.readouterr().err


STUBBORN = """
import json, os, sys, threading
asked = json.loads(sys.stdin.readline())
hello = {"protocol": 1, "driver": "stubborn", "capabilities": {}}
print(json.dumps({"id": asked["id"], "ok": True, **hello}), flush=True)
sys.stdin.readline()
with open(sys.argv[1], "a") as stream: stream.write(f"{os.getpid()}\\n")
threading.Event().wait()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to a process of one's own")
@pytest.mark.parametrize(
    ("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)], ids=str
)
def test_a_check_that_is_ended_leaves_nothing_behind(number, code, tmp_path):
    """Ctrl-C, a kill and a closed terminal end a driver that ignores everything, at once."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    scratch, asked = tmp_path / "scratch", tmp_path / "asked"
    scratch.mkdir()
    words = " ".join(map(quoted, (sys.executable, tmp_path / "stubborn.py", asked)))
    checking = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "driver", "check", f"{words} {{db}}"],
        cwd=HERE.parents[1],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: asked.exists() and asked.read_text(), "a request", timeout_s=60)
    checking.send_signal(getattr(signal, number))
    began_s = time.monotonic()
    _out, said = checking.communicate(timeout=60)
    took_s = time.monotonic() - began_s
    left = [each for pid in asked.read_text().split() for each in alive(int(pid))]
    for each in left:
        each.kill()

    assert checking.returncode == code, said
    assert took_s < 10
    assert "Traceback" not in said
    assert left == []
    assert list(scratch.iterdir()) == []


def alive(pid):
    """Return the process of that id, if it is there and one of the stubborn."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process] if "stubborn.py" in " ".join(process.cmdline()) else []
    return []


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("no-such-program {db}", "cannot be started .*Its command has to begin with a program"),
        (f"{quoted(HERE)} {{db}}", "cannot be started .*Its command has to begin with a program"),
        (f'{quoted(sys.executable)} -c "exit(4)" {{db}}', r"driver 1 has ended \(exit status 4\)"),
        (f"{quoted(sys.executable)} -c \"print('a  b')\" {{db}}", "line 1: a  b"),
    ],
)
def test_a_driver_that_does_not_even_start_is_exit_code_one(words, what, capsys):
    """One check is made, and its line says what stands in the way."""
    assert main(["driver", "check", words]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("WRONG         hello ")
    assert re.search(what, lines[1]), lines
    assert lines[-1] == "Checks: 1 WRONG."
