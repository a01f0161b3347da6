"""docs/corruption.md has a row for every way that SQLite's page names, and says what is so."""

import re

import marked
import pytest

from core.health import FINDING_IDS
from harness.ways import by_files, by_locks, by_settings
from tests.harness.sources import SCENARIOS, scenario_names

DOCUMENT = SCENARIOS.parent / "docs" / "corruption.md"
CORE = SCENARIOS.parent / "core"
LISTED = {
    **dict.fromkeys(("1.1", "1.2", "1.3"), 1),
    "1": 1,
    "1.4": 5,
    **{f"2.{number}": 1 for number in range(1, 8)},
    **dict.fromkeys(("3.1", "3.2", "4", "4.1", "4.2", "5", "6.1", "6.2", "6.3"), 1),
    "7": 4,
    **{f"8.{number}": 1 for number in range(1, 10)},
}
"""The numbers of the page, and how many ways it names under each."""
IN_ORDER = sorted(LISTED, key=lambda number: [int(part) for part in number.split(".")])
WAYS = {
    way.id: way for way in (*by_files.WAYS, *by_locks.WAYS, *by_locks.LOST_LOG, *by_settings.WAYS)
}
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in marked.part(DOCUMENT, "ways")[2:]
]
MADE = [row for row in ROWS if not row[1].startswith("not made to happen: ")]
FINDING = re.compile(r"`([a-z]+\.[a-z_]+)`")


def test_every_way_of_the_page_has_its_rows_and_no_other_stands_there():
    """As many rows as the page names ways, at least, in the order of the page."""
    numbers = [row[0].split()[0] for row in ROWS]

    assert {number for number in LISTED if numbers.count(number) < LISTED[number]} == set()
    assert list(dict.fromkeys(numbers)) == IN_ORDER
    assert all(len(row) == 4 and all(row) for row in ROWS)


@pytest.mark.parametrize("row", MADE, ids=lambda row: row[0])
def test_every_scenario_that_a_row_names_is_there(row):
    """The test exists, and what stands in its brackets is in its file or in the table of ways."""
    name, _bracket, rest = row[1].strip("`").partition("[")
    one = rest.rstrip("]")
    source = (SCENARIOS / name.partition("::")[0]).read_text(encoding="utf-8")

    assert name in scenario_names()
    assert one in WAYS or one in source


def test_what_is_not_made_to_happen_says_why():
    """A row without a scenario has a reason."""
    assert [row[0] for row in ROWS if row not in MADE and len(row[1].split()) < 6] == []


@pytest.mark.parametrize("way", WAYS.values(), ids=str)
def test_row_of_a_way_says_who_finds_it(way):
    """It names a finding that the scenario asks for, or says that nobody sees it."""
    (row,) = [row for row in ROWS if f"[{way.id}]" in row[1]]

    assert row[0].startswith(f"{way.id.partition('-')[0]} ")
    assert ("**nobody**" in row[2]) == (not way.found_by)
    assert not way.found_by or set(FINDING.findall(row[2])) & set(way.found_by)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_findings_that_a_row_names_are_those_of_health(row):
    """No check is promised that there is not."""
    assert set(FINDING.findall(row[2])) <= set(FINDING_IDS)


def test_core_has_no_nested_transactions():
    """The page's last way needs SAVEPOINT, which the document says the core does not use."""
    users = [
        source.name
        for source in CORE.glob("*.py")
        if "savepoint" in source.read_text(encoding="utf-8").lower()
    ]

    assert users == []
