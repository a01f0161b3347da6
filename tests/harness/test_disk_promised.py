"""What may be found after a cut follows from what was said before it."""

from dataclasses import replace

import pytest

from harness.disk.left import MISSING, Found, Kept, Queue
from harness.disk.promised import Promised
from tests.harness.disk_entries import mark


def found_of(content, wrong="", told="", *, listed=None, unproved=None, set_aside=()):
    """What is found, part by part."""
    kept = Kept(listed or {}, unproved or {})
    return Found(queue=Queue(content, wrong, told), kept=kept, set_aside=set_aside)


def changed(found, *, set_aside=None, listed=None, **queue):
    """The same, but for this."""
    return Found(
        queue=replace(found.queue, **queue),
        kept=found.kept if listed is None else Kept(listed),
        set_aside=found.set_aside if set_aside is None else set_aside,
    )


BEFORE = found_of(content="zero", listed={"old": "a b"})
RECORD = (
    *(mark("begun", "one"), mark("acknowledged", "one", content="first", promised=True)),
    *(mark("begun", "two"), mark("acknowledged", "two", content="second", promised=False)),
    *(mark("begun", "three"), mark("acknowledged", "three", content="third", promised=True)),
)
WORK = Promised.by(RECORD, BEFORE, changed(BEFORE, content="third"))
RESTORED = (mark("begun", "it"), mark("acknowledged", "it", restored=True, promised=True))
KEPT = found_of(content="new", set_aside=("zero",))


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        (0, {"zero"}),
        (1, {"zero", "first"}),
        (2, {"first"}),
        (3, {"first", "second"}),
        # What is acknowledged without a promise may be lost.
        (4, {"first", "second"}),
        (5, {"first", "second", "third"}),
        (6, {"third"}),
    ],
)
def test_queue_may_have_what_is_acknowledged_and_what_is_begun(said, allowed):
    """Nothing less, and nothing that nobody asked for."""
    found = {
        content
        for content in WORK.contents
        if not WORK.wrong(changed(BEFORE, content=content), RECORD[:said])
    }
    assert found == allowed


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (found_of(content="a mixture"), "neither as before"),
        (found_of(content=MISSING), "neither as before"),
        (found_of(content="third", wrong="row 3 missing"), "row 3 missing"),
        (found_of(content="second"), "three was acknowledged and is lost"),
        (found_of(content="third"), "old was reported and is not listed"),
        (found_of(content="third", listed={"old": "a c"}), "not what was proved"),
        (found_of(content="third", listed={"old": "a b", "odd": "x"}), "not what was proved"),
        (
            found_of(content="third", listed={"old": "a b"}, unproved={"old": "bad"}),
            "not sound: bad",
        ),
    ],
)
def test_what_may_not_be_found_is_told(found, words):
    """Each in a sentence of its own."""
    assert words in WORK.wrong(found, RECORD)


def test_backup_is_wanted_once_it_is_reported():
    """Not before; and one that retention takes away is never wanted."""
    record = (mark("begun", "b"), mark("acknowledged", "b", listed="new", promised=True))
    both = {"old": "a b", "new": "c d"}
    promised = Promised.by(record, BEFORE, changed(BEFORE, listed=both))
    assert promised.wrong(BEFORE, record[:1]) == ""
    assert "new was reported" in promised.wrong(BEFORE, record)
    assert promised.wrong(changed(BEFORE, listed=both), record) == ""
    pruned = Promised.by(record[:1], BEFORE, changed(BEFORE, listed={}))
    assert pruned.wrong(BEFORE, record[:1]) == pruned.wrong(pruned.after, record[:1]) == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (KEPT, ""),
        (changed(KEPT, told="new"), ""),
        (changed(KEPT, told="old"), "is told as the old one"),
        (changed(KEPT, set_aside=("other",)), "not set aside"),
        (found_of(content="zero"), "it was acknowledged and is lost"),
    ],
)
def test_restore_leaves_the_old_state_set_aside_and_says_what_is_there(found, words):
    """Once it is acknowledged it is there, with what it replaced."""
    promised = Promised.by(RESTORED, found_of(content="zero"), KEPT)
    said = promised.wrong(found, RESTORED)
    assert words in said if words else said == ""


def test_restore_that_has_only_begun_leaves_the_one_or_the_other():
    """The old state may be told as the old one, and be set aside or not."""
    promised = Promised.by(RESTORED, found_of(content="zero"), KEPT)
    begun = RESTORED[:1]
    assert promised.wrong(found_of(content="zero", told="old"), begun) == ""
    assert promised.wrong(KEPT, begun) == ""
    assert "told as the new" in promised.wrong(found_of(content="zero", told="new"), begun)


def test_queue_that_was_destroyed_before_may_be_found_so_and_not_otherwise():
    """The same bytes with the same error are the old state; another error is none."""
    destroyed = found_of(content="bytes 1", wrong="no database")
    promised = Promised.by(RESTORED, destroyed, changed(KEPT, set_aside=("bytes 1",)))
    assert promised.wrong(destroyed, RESTORED[:1]) == ""
    assert "refused" in promised.wrong(changed(destroyed, wrong="refused"), RESTORED[:1])


def test_nothing_is_set_aside_where_there_was_nothing():
    """A queue that is made for the first time replaces none."""
    promised = Promised.by(RESTORED, found_of(content=MISSING), found_of(content="new"))
    assert promised.wrong(found_of(content="new"), RESTORED) == ""


def test_places_are_counted_for_what_a_cut_costs():
    """By the contents that the queue has had, promised or not."""
    assert [WORK.acknowledged(RECORD[:said]) for said in (1, 2, 4, 6)] == [0, 1, 2, 3]
    assert WORK.place(found_of(content="second")) == 2
    assert WORK.place(found_of(content="second", wrong="bad")) is None
