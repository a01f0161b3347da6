"""The walls of the house: which folder may import what, and what the core needs."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("core", "harness", "reports", "scenarios")
ALLOWED = {
    "core": set(),
    "reports": set(),
    "harness": {"core", "reports"},
    "scenarios": {"core", "harness"},
}
RUNBOOK_DAY = """
import sys
from vendored_core import QueueBackup, QueueDatabase, QueueMaintenance, TaskQueue

database = QueueDatabase(sys.argv[1], create=True)
tasks = TaskQueue(database)
tasks.enqueue("a", {"n": 1})
tasks.complete(tasks.claim("w"))
backup = QueueBackup(database)
path = backup.create_backup(name="daily")
assert backup.verify_backup(path)
assert QueueMaintenance(database).integrity_check() == ["ok"]
database.close()
backup.restore_backup(path)
assert "core" not in sys.modules
print("done")
"""


def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(source: Path) -> Iterator[tuple[int, str, int]]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", node.level


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_run_one_way(folder: str) -> None:
    """Scenarios use harness and core, harness uses core and reports, and nothing points back."""
    wrong = [
        f"{source.relative_to(ROOT)}:{line} imports {module}"
        for source in _sources(folder)
        for line, module, level in _imports(source)
        if level == 0
        and (top := module.partition(".")[0]) in {*FOLDERS, "tests", "benchmarks"}
        and top != folder
        and top not in ALLOWED[folder]
    ]

    assert wrong == []


def test_core_is_standard_library_only_and_imports_itself_relatively() -> None:
    """An application can copy core/ under a name of its own, with nothing to install."""
    wrong = [
        f"{source.relative_to(ROOT)}:{line} imports {module}"
        for source in _sources("core")
        for line, module, level in _imports(source)
        if level == 0 and module.partition(".")[0] not in sys.stdlib_module_names
    ]

    assert wrong == []


def test_core_does_not_climb_out_of_its_folder() -> None:
    """A relative import of core never reaches above core."""
    wrong = [
        f"{source.relative_to(ROOT)}:{line}"
        for source in _sources("core")
        for line, _module, level in _imports(source)
        if level > len(source.relative_to(ROOT).parts) - 1
    ]

    assert wrong == []


def test_reports_know_neither_pytest_nor_sqlite() -> None:
    """Reports are made from plain data."""
    wrong = [
        f"{source.relative_to(ROOT)}:{line} imports {module}"
        for source in _sources("reports")
        for line, module, _level in _imports(source)
        if module.partition(".")[0] in {"pytest", "_pytest", "sqlite3", "apsw"}
    ]

    assert wrong == []


def test_core_works_when_copied_under_another_name(tmp_path: Path) -> None:
    """A day of the runbook passes on a copy of core/ that is called something else."""
    shutil.copytree(
        ROOT / "core", tmp_path / "vendored_core", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "day.py").write_text(RUNBOOK_DAY, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", "day.py", str(tmp_path / "queue.db")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr


def test_only_primitives_rename_delete_and_sync() -> None:
    """In core, what changes names on disk is in primitives.py, where a sweep can count it."""
    forbidden = {"rename", "replace", "unlink", "remove", "rmdir", "rmtree", "copyfile", "fsync"}
    modules = {"os", "shutil", "path", "source", "target", "final", "draft", "folder"}
    wrong = [
        f"{source.name}:{node.lineno} {node.value.id}.{node.attr}"
        for source in _sources("core")
        if source.name not in {"primitives.py", "holders.py"}
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules
        and node.attr in forbidden
    ]

    assert wrong == []


def test_only_the_door_opens_sqlite() -> None:
    """In core, sqlite3.connect is called in connection.py alone."""
    callers = {
        source.name
        for source in _sources("core")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == "connect"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sqlite3"
    }

    assert callers == {"connection.py"}


def test_every_public_name_of_core_is_loaded_when_asked_for() -> None:
    """All names of the package are there, each of one module, and none is loaded before."""
    looked = (
        "import sys, core; loaded = [n for n in sys.modules if n.startswith('core.')];"
        "print(loaded, all(getattr(core, name) for name in core.__all__),"
        "set(core.__all__) <= set(dir(core)), sorted(sum(core._HOMES.values(), ())) =="
        " sorted(core.__all__))"
    )

    done = subprocess.run(
        [sys.executable, "-c", looked],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "[] True True True"
