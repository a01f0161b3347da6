"""What lived is told apart: words, what is explained, and holes."""

import pytest

from tests.mutation import survivors
from tests.mutation.areas import AREAS
from tests.mutation.survivors import from_diff

DIFF = """--- core/retention.py
+++ core/retention.py
@@ -1,3 +1,3 @@
 def plan():
-    {removed}
+    {added}
"""


def survivor(removed, added="pass", name="core.retention.x_plan__mutmut_7"):
    """Return the survivor of a change of one line."""
    return from_diff(name, DIFF.format(removed=removed, added=added))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("core.retention.x_plan__mutmut_7", "retention.plan"),
        ("core.retention.x__older__mutmut_3", "retention._older"),
        ("core.tasks.xǁTaskQueueǁclaim__mutmut_12", "tasks.TaskQueue.claim"),
    ],
)
def test_a_function_has_the_name_that_people_know(name, function):
    """Neither mutmut's marks nor its numbers are in it."""
    assert survivor("continue", "break", name).function == function


@pytest.mark.parametrize(
    ("removed", "reason"),
    [
        ('raise InvalidArgumentError(what=name, value=value, cure="Give 0.")', "words"),
        ('what="the policy", cure="Keep at least 1 backup."', "words"),
        ("continue", None),
        ("return [info for info in broken if info.created_ms < than.created_ms]", None),
    ],
)
def test_only_words_may_live_unexplained(removed, reason):
    """A change of what a program does is a hole."""
    found = survivor(removed).reason()
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)


@pytest.mark.parametrize(
    ("removed", "added", "reason"),
    [
        ('check_text("type", type)', "check_text(None, type)", "words"),
        ('check_text("type", type)', 'check_text("type", None)', None),
        ('check_seconds("s", s, above_zero=True)', 'check_seconds("s", s, )', None),
        ('assert rows, "the lock is held"', 'assert rows, "XXthe lock is heldXX"', "words"),
        ('assert rows, "the lock is held"', 'assert not rows, "the lock is held"', None),
        ('"SELECT a FROM t",', '"select a from t",', "a word of SQL"),
        ("\"SET status = 'done'\",", "\"set status = 'done'\",", "a word of SQL"),
        ("\"SET status = 'done'\",", "\"SET STATUS = 'DONE'\",", None),
        ('{"type": type}', '{"TYPE": type}', None),
        ('refuse(limit, "Give a number.")', "refuse(limit, None)", "words"),
        ('refuse(limit, "Give a number.")', 'refuse(None, "Give a number.")', None),
        ('ask("SELECT a FROM t LIMIT 1.")', 'ask("XXSELECT a FROM t LIMIT 1.XX")', None),
        ('data.decode("utf-8")', 'data.decode("UTF-8")', "the name of a codec"),
    ],
)
def test_what_says_the_same_as_before_may_live(removed, added, reason):
    """Capitals in SQL, names of codecs, and the name of an argument in its complaint."""
    found = survivor(removed, added).reason()
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)


def test_an_explanation_is_for_one_change_of_one_function(monkeypatch):
    """What is explained there is no explanation of anything else."""
    row = {"function": "retention.plan", "change": "continue -> break", "reason": "why"}
    monkeypatch.setattr(survivors, "EXPLAINED", {"survivor": [row]})
    assert survivor("continue", "break").reason() == "why"
    assert survivor("continue", "return").reason() is None
    assert survivor("continue", "break", "core.retention.x_other__mutmut_1").reason() is None


def test_every_module_of_core_is_in_an_area():
    """None is forgotten but the package itself and its table of errors; each is in one area."""
    known = [name for area in AREAS.values() for name in area.modules]
    there = {path.stem for path in (survivors.Path(__file__).parents[2] / "core").glob("*.py")}
    assert sorted(known) == sorted(there - {"__init__", "errors"})


@pytest.mark.parametrize("name", AREAS)
def test_every_area_names_tests_and_scenarios_that_are_there(name):
    """A file that is not there would end the run before a mutant is tried."""
    root, area = survivors.Path(__file__).parents[2], AREAS[name]
    files = [root / "tests" / "core" / f"test_{each}.py" for each in area.tests]
    files += [root / "scenarios" / each for each in area.scenarios]
    assert [file.name for file in files if not file.is_file()] == []
