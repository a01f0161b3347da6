"""What the core tells people to type exists, and what exists is documented."""

import ast
import re
import subprocess
import sys

import pytest
import typer
from cli_tools import DEADLINE_S, ROOT

from harness.cli import exits
from harness.cli.app import app

GROUP = typer.main.get_command(app)
VERBS = {
    f"{name} {below}".strip(): command
    for name, group in GROUP.commands.items()
    for below, command in getattr(group, "commands", {"": group}).items()
}
# The damaged file is no queue any more, and is named by itself.
WITHOUT_A_QUEUE = {"driver check", "selftest", "salvage"}
DOCS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
# A command in a message ends where the sentence goes on: at a full stop, a bracket, or its end.
_PART = r'--?[a-z-]+|"[^"]*"|[A-Z_]{2,}|\d+|hourly|daily|weekly'
COMMAND = re.compile(rf"queuedrill ([a-z][a-z-]*)((?: (?:{_PART})(?![a-z]))*)")
WORD = re.compile(r'"[^"]*"|\S+')


def texts_of(tree):
    """Return every text of a source in one line each, with ``1`` for what is filled in."""
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "1" for part in node.values)
            yield " ".join("".join(parts).split())
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield re.sub(r"\{[^}]*\}", "1", " ".join(node.value.split()))


def built_commands(tree):
    """Return the commands that health puts together: ``case.command(verb, options)``."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "command"
            and isinstance(node.args[0], ast.Constant)
        ):
            options = [next(texts_of(part), "") for part in node.args[1:]]
            yield " ".join([f'{node.args[0].value} --db "1"', *options]).strip()


def commands_in_core():
    """Return every command line that the core names, with where."""
    found = {}
    for source in sorted((ROOT / "core").glob("*.py")):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        named = [" ".join(m.groups()) for text in texts_of(tree) for m in COMMAND.finditer(text)]
        for command in [*named, *built_commands(tree)]:
            found.setdefault(" ".join(command.split()), source.name)
    return found


NAMED = commands_in_core()


def test_the_commands_of_the_core_are_found():
    """The search itself sees what it must: those of errors, of messages and of findings."""
    assert 'restore --db "1" --recover' in NAMED
    assert 'backup --db "1"' in NAMED
    assert 'leases --db "1" --free' in NAMED
    assert any(command.startswith("leases") and "--release" in command for command in NAMED)
    assert len({command.split()[0] for command in NAMED}) >= 9


@pytest.mark.parametrize("command", NAMED)
def test_every_command_that_the_core_names_can_be_typed(command):
    """The parser takes each command line that an error or a finding names, options included."""
    words = [word.strip('"') for word in WORD.findall(command)]

    GROUP.commands[words[0]].make_context(words[0], words[1:])


def options_of(verb):
    """Return the options of a verb, as they are typed."""
    parameters = VERBS[verb].params
    return {name for parameter in parameters for name in parameter.opts if name.startswith("-")}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_documented(verb):
    """docs/cli.md has a heading for each verb and names each of its options."""
    assert f"### queuedrill {verb}\n" in DOCS
    section = DOCS.split(f"### queuedrill {verb}\n")[1].split("\n#")[0]
    common = DOCS.split("## Options that many verbs have")[1].split("\n## ")[0]

    missing = {name for name in options_of(verb) if f"`{name}" not in section + common}

    assert missing == set()


def test_nothing_is_documented_that_is_not_there():
    """Every verb and option in docs/cli.md exists."""
    verbs = set(re.findall(r"^### queuedrill (.+)$", DOCS, re.M))
    options = set(re.findall(r"`(--[a-z-]+)", DOCS))
    known = {"--help", "--version"}.union(*(options_of(verb) for verb in VERBS))

    assert verbs == set(VERBS)
    assert options <= known


def test_every_exit_code_is_documented():
    """docs/cli.md has a row for each exit code, those of health in a table of their own."""
    usual, of_health = DOCS.split("## Exit codes")[1].split("`health` has its own")
    codes = {name: code for name, code in vars(exits).items() if name.isupper()}

    for name, code in codes.items():
        assert f"| {code} |" in (of_health if name.startswith("HEALTH") else usual), name


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_json_and_a_path(verb):
    """No verb lacks --json and --debug, and none that works on a queue lacks --db."""
    path = set() if verb in WITHOUT_A_QUEUE else {"--db"}

    assert {"--json", "--debug"} | path <= options_of(verb)


def test_help_loads_neither_core_nor_rich():
    """--help is fast since nothing that it does not need is loaded."""
    looked = (
        "import sys; from harness.cli import main; main(['--help']);"
        "print([name for name in ('core', 'rich', 'sqlite3', 'asyncio') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", looked],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"
