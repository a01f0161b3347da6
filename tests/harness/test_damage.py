"""The corruption matrix: its pages, its specimens, its damages, and what judges a strike."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from harness.damage import flips, inside, specimens
from harness.damage.cells import Cell, cells
from harness.damage.damages import DAMAGES
from harness.damage.detectors import DETECTORS, Found, look
from harness.damage.effects import Effect
from harness.damage.expected import Expected, disagreements, expect, expected, lines_of, losses
from harness.damage.matrix import Matrix, Outcome, Struck
from harness.damage.pages import HEADER_BYTES, SCHEMA, Image, Kind
from harness.damage.regions import JOURNALED, LOGGED, REGIONS, SETTLED, SHRINKING, SPECIMENS
from harness.damage.spans import Span, replaced
from harness.damage.specimens import DATABASE, JOURNAL, WAL
from harness.damage.stage import Stage
from harness.disk.observing import standing_observer
from harness.outcome import Inconclusive


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """Return the matrix, whose specimens are made once."""
    with standing_observer():
        yield Matrix(tmp_path_factory.mktemp("matrix") / "stage")


@pytest.fixture(scope="module")
def settled(matrix):
    """Return the queue at rest."""
    return matrix.specimen(SETTLED)


@pytest.fixture
def stage(tmp_path):
    """Return a folder to lay files out in."""
    return Stage(tmp_path / "laid")


# -- pages ---------------------------------------------------------------------------------------


def _ask(stage, files, sql):
    stage.lay(files)
    with closing(sqlite3.connect(stage.folder / DATABASE)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("name", [SETTLED, SHRINKING])
def test_every_page_is_known_and_counted_as_sqlite_counts(matrix, stage, name):
    """What each page is, is read from the bytes alone; SQLite's own figures agree."""
    specimen = matrix.specimen(name)
    image = specimen.image

    ((pages,),) = _ask(stage, specimen.files, "PRAGMA page_count")
    ((free,),) = _ask(stage, specimen.files, "PRAGMA freelist_count")
    roots = dict(_ask(stage, specimen.files, "SELECT name, rootpage FROM sqlite_master"))

    assert set(image.pages) == set(range(1, pages + 1))
    assert len(image.of(Kind.TRUNK)) + len(image.of(Kind.FREE)) == free
    assert image.roots == roots


def test_parts_of_leaves_are_where_the_rows_are(settled, stage):
    """The spans of the payloads hold, byte for byte, what SQLite says the payloads are."""
    rows = _ask(stage, settled.files, "SELECT payload FROM task_queue ORDER BY id")
    payloads = [payload.encode() for (payload,) in rows]
    find = inside.btree_part(Kind.TABLE_LEAF, "task_queue", "payload")

    found = [span.of(settled.files) for span in find(settled)]

    assert len(found) == len(payloads)
    assert sorted(found) == sorted(
        payload[: len(piece)]
        for payload, piece in zip(sorted(payloads), sorted(found), strict=True)
    )
    assert any(len(piece) < 13_000 <= len(max(payloads, key=len)) for piece in found)


def test_b_tree_pages_have_no_byte_twice(settled):
    """Header, pointers, gap and cells of each page lie beside each other, in the page."""
    image = settled.image
    for page in image.pages.values():
        if page.kind not in (Kind.TABLE_LEAF, Kind.INDEX_LEAF):
            continue
        tree = image.btree(page.number)
        pieces = [tree.header, tree.pointers, tree.gap]
        pieces += [piece for cell in tree.cells for piece in (cell.keys, cell.head, *cell.values)]
        taken = [at for start, end in pieces for at in range(start, end)]
        start = image.start(page.number)
        assert len(taken) == len(set(taken))
        assert start <= min(taken)
        assert max(taken) < start + image.size


def test_overflow_pages_belong_to_big_tasks(settled):
    """A chain of overflow pages hangs on a leaf, and ends."""
    links = inside.btree_part(Kind.TABLE_LEAF, "task_queue", "links")(settled)
    firsts = {int.from_bytes(span.of(settled.files)) for span in links}

    assert firsts <= {page.number for page in settled.image.of(Kind.OVERFLOW, "task_queue")}
    assert len(settled.image.of(Kind.OVERFLOW)) > len(firsts) > 1


def test_file_with_a_page_in_two_places_is_not_read(settled):
    """The parser reads sound files alone, and says so of others."""
    image = settled.image
    trunk = image.start(image.of(Kind.TRUNK)[0].number)
    damaged = replaced(settled.files, Span(DATABASE, trunk + 8, 4), (2).to_bytes(4))

    with pytest.raises(AssertionError, match="page 2"):
        Image(damaged[DATABASE])


# -- specimens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_specimen_has_the_region(matrix, region):
    """No region is struck that is not there: each has bytes in its specimen."""
    specimen = matrix.specimen(region.specimen)
    spans = region.find(specimen)

    assert spans
    assert all(0 <= span.start < span.end <= len(specimen.files[span.file]) for span in spans)


def test_log_has_an_older_life_behind_its_own(matrix):
    """The -wal of the killed writer holds committed frames, and others with another salt."""
    content = matrix.specimen(LOGGED).files[WAL]
    own = [own for _at, _size, own in inside.frames_of(content)]

    assert own[0]
    assert not own[-1]
    assert own == sorted(own, reverse=True)


def test_journal_is_hot_and_rolled_back(matrix, stage):
    """Without its journal the file says something else: pages of the open transaction are in it."""
    specimen = matrix.specimen(JOURNALED)
    sql = "SELECT count(*) FROM task_queue NOT INDEXED WHERE attempts = 3"

    with_journal = _ask(stage, specimen.files, sql)
    without = {name: content for name, content in specimen.files.items() if name != JOURNAL}

    assert with_journal == [(0,)]
    assert _ask(stage, without, sql) != [(0,)]


def test_specimen_lies_where_it_lay(matrix, stage):
    """Made twice, the queue is the same byte for byte, so that a place is a place."""
    first = matrix.specimen(SETTLED)
    again = specimens.settled(stage)

    assert again.files[DATABASE] == first.files[DATABASE]


# -- damages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cells())
def test_cell_changes_bytes_and_the_same_ones_again(matrix, name):
    """Every cell has a place at which something differs, the same in every run."""
    cell = cells()[name]
    specimen = matrix.specimen(cell.region.specimen)

    places = cell.places(specimen)

    assert places
    assert all(files != specimen.files for files in places.values())
    assert cell.strike(specimen, 0) == places[0]


def test_every_region_is_struck_and_every_damage_strikes():
    """No row of either table is there for nothing."""
    struck = cells().values()

    assert {cell.region.name for cell in struck} == {region.name for region in REGIONS}
    assert {cell.damage.name for cell in struck} == {damage.name for damage in DAMAGES}


def test_every_region_that_a_damage_names_is_there():
    """A reason against a region that is not there would be a mistyped one."""
    named = {
        name for damage in DAMAGES for name in (*damage.only, *(each for each, _ in damage.never))
    }

    assert named <= {region.name for region in REGIONS}


def test_damage_that_changes_nothing_is_no_strike(settled):
    """Where a place is as it was before, the cell is inconclusive and not harmless."""
    region = next(each for each in REGIONS if each.name == "freelist-leaf")
    zeroed = next(each for each in DAMAGES if each.name == "zeroed")

    with pytest.raises(Inconclusive, match="changes nothing"):
        Cell(region, zeroed).strike(settled, 0)


def test_strike_that_did_not_reach_the_disk_is_inconclusive(matrix, monkeypatch):
    """What was laid out is compared with the sound files, not believed."""
    monkeypatch.setattr(Cell, "strike", lambda _cell, specimen, _place: specimen.files)

    with pytest.raises(Inconclusive, match="not in the files"):
        matrix.strike(cells()["header-magic-bit"], 0)


# -- detectors -----------------------------------------------------------------------------------

# One cell that the detector alone, or almost alone, is there for.
SEEN = {
    "wal-walk": "wal-frame-body-bit",
    "digest": "backup-payload-bit",
    "opening": "header-user-version-run",
    "quick_check": "pointer-map-zeroed",
    "integrity_check": "index-leaf-values-bit",
    "foreign_key_check": "table-interior-zeroed",
    "counts": "wal-missing",
    "decoding": "table-leaf-payload-run",
    "content": "table-leaf-payload-bit",
}


@pytest.mark.parametrize("detector", DETECTORS)
def test_detector_sees_what_it_is_there_for_and_nothing_else(matrix, detector):
    """Each sees damage, and nothing in the sound files of the same queue."""
    cell = cells()[SEEN[detector]]
    specimen = matrix.specimen(cell.region.specimen)

    states = cell.places(specimen).values()
    said = [look(matrix.lay(specimen, files))[detector].says for files in states]

    assert any(said)
    assert look(matrix.lay(specimen, specimen.files))[detector].says == ""


@pytest.mark.parametrize("name", SPECIMENS)
def test_sound_queue_raises_nothing(matrix, name):
    """No detector and no verb cries wolf, whichever regions a queue has."""
    said = {name: found.says for name, found in matrix.undamaged(name).items() if found.says}

    assert said == {}


# -- random bits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "effect", "counted"),
    [
        ("it", Effect.CHANGED, (3, 3, 0)),
        ("", Effect.CHANGED, (0, 3, 3)),
        ("", Effect.NONE, (0, 0, 0)),
        ("it", Effect.NONE, (3, 0, 0)),
    ],
)
def test_flips_tell_what_is_seen_from_what_does_harm(matrix, monkeypatch, says, effect, counted):
    """A bit that does harm and that nothing sees is blind, and nothing else is."""
    monkeypatch.setattr(flips, "look", lambda _scene: {"counts": Found(says, 0.0)})
    monkeypatch.setattr(flips, "effect_of", lambda _scene, _region: effect)

    made = matrix.flip(SETTLED, 3, random.Random(1))

    assert made.count == 3
    assert (made.found, made.harmful, made.blind) == counted
    assert made.percent()["blind"] == 100 * made.blind / max(1, made.harmful)
    assert made.percent().get("counts", 0) == 100 * made.found / 3


# -- what is known -------------------------------------------------------------------------------

CELL = "table-leaf-values-bit"
KNOWN = Expected(
    always=frozenset({"integrity_check"}),
    sometimes=frozenset({"quick_check"}),
    effects=frozenset({"changed"}),
    outcomes=frozenset({"found"}),
    cures=frozenset({"restore"}),
)


def _struck(seen, *, told=(), effect=Effect.CHANGED, cure="restore", asked=True):
    return Struck(
        cell=next(iter(cells().values())),
        place=0,
        evidence=DATABASE,
        found={name: Found("it" * (name in seen), 0.0) for name in DETECTORS},
        told={"health": Found("it" * ("health" in told), 0.0)} if asked else {},
        effect=effect,
        cure=cure if asked else "",
    )


def test_strike_as_known_says_nothing():
    """Whoever sees it always does, and whoever sees it at some places may."""
    assert disagreements(_struck({"integrity_check"}), KNOWN) == []
    assert disagreements(_struck({"integrity_check", "quick_check"}), KNOWN) == []
    assert disagreements(_struck({"integrity_check"}, asked=False), KNOWN) == []


@pytest.mark.parametrize(
    ("struck", "sentence"),
    [
        (_struck({"quick_check"}), "integrity_check does not see it any more"),
        (_struck({"integrity_check", "counts"}), "counts sees it"),
        (_struck({"integrity_check"}, told={"health"}), "health sees it"),
        (
            _struck({"integrity_check"}, effect=Effect.NONE),
            "its effect is none, known is changed",
        ),
        (
            _struck({"integrity_check"}, cure="none"),
            "it is recovered by none, known is restore",
        ),
    ],
)
def test_strike_that_is_not_as_known_is_told(struck, sentence):
    """A blind cell that becomes seen is told as a seen one that becomes blind is."""
    assert disagreements(struck, KNOWN) == [sentence]


def test_seen_cell_that_becomes_blind_is_told_twice():
    """By the detector that misses it, and by its outcome."""
    assert disagreements(_struck(set()), KNOWN) == [
        "integrity_check does not see it any more",
        "it is blind, known is found",
    ]


@pytest.mark.parametrize(
    ("struck", "sentences"),
    [
        (_struck({"counts"}, told={"health"}), []),
        (_struck(set(), effect=Effect.NONE), []),
        (_struck(set()), ["nothing sees it any more"]),
        (_struck(set(), asked=False), []),
        (_struck({"counts"}, cure="none"), ["nothing recovers it any more"]),
    ],
)
def test_another_sqlite_is_held_to_what_was_found_and_cured(struck, sentences):
    """Who sees a place may differ from version to version; that somebody does may not."""
    assert losses(struck, KNOWN) == sentences
    blind = replace(KNOWN, outcomes=frozenset({"blind"}), cures=frozenset({"none"}))
    assert losses(struck, blind) == []


@pytest.mark.parametrize(
    ("seen", "effect", "outcome"),
    [
        ({"counts"}, Effect.NONE, Outcome.FOUND),
        (set(), Effect.NONE, Outcome.HARMLESS),
        (set(), Effect.BREAKS, Outcome.BLIND),
        (set(), Effect.CHANGED, Outcome.BLIND),
    ],
)
def test_outcome_is_harmless_only_where_nothing_is_wrong(seen, effect, outcome):
    """What nobody sees is blind as soon as it does anything."""
    assert _struck(seen, effect=effect).outcome is outcome


def test_row_of_a_cell_says_what_its_strikes_were():
    """Seen by all is always, seen by one is sometimes; and the table reads as it was written."""
    row = expect(
        [
            _struck({"counts", "opening"}, told={"health"}),
            _struck({"counts"}, effect=Effect.NONE, asked=False),
        ]
    )

    assert (row.always, row.sometimes) == ({"counts", "health"}, {"opening"})
    assert (row.outcomes, row.cures) == ({"found"}, {"restore"})
    assert row.effects == {"changed", "none"}
    assert lines_of("a", row)[:3] == [
        "[cells.a]",
        'always = "counts, health"',
        'sometimes = "opening"',
    ]


def test_table_knows_every_cell_and_no_other():
    """No cell without expectation, and none that is struck no more."""
    assert set(expected()) == set(cells())


def test_schema_page_is_page_one(settled):
    """The b-tree of page 1 begins behind the file's header."""
    (page,) = settled.image.of(Kind.TABLE_LEAF, SCHEMA)

    assert page.number == 1
    assert settled.image.btree(1).header[0] == HEADER_BYTES
