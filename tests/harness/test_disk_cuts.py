"""The moments of a record, and what is tried at each."""

import random

from harness.disk.cuts import Budget, cuts, drawn, moments, torn
from harness.disk.model import Disk
from tests.harness.disk_entries import base, disk_after, mark, sync, write

RECORD = (
    *(base("f", bytes(2000)), mark("begun", "one"), write("f", b"x" * 600), sync("f")),
    *(mark("acknowledged", "one"), write("f", b"y", 700)),
)
FEW, MANY = Budget(enumerated=64, drawn=5), Budget(enumerated=1, drawn=5)


def test_moments_are_before_each_sync_and_at_the_end():
    """Between two syncs the later moment may leave all that the earlier one may."""
    seen = [(moment.number, len(moment.disk.loose), len(moment.said))
            for moment in moments(RECORD, Disk())]  # fmt: skip
    assert seen == [(3, 1, 1), (6, 1, 2)]


def test_moment_says_what_comes_next_and_what_was_said_last():
    """A failure is told by both."""
    first, last = map(str, moments(RECORD, Disk()))
    assert first == "before the sync of f (call 3, after begun: one)"
    assert last == "before anything else (call 6, after acknowledged: one)"


def test_moments_after_marks_are_asked_for():
    """Each acknowledgement by itself, for what a cut costs."""
    numbers = [each.number for each in moments(RECORD, Disk(), at_marks="acknowledged")]
    assert numbers == [3, 4, 6]


def test_disk_that_lies_has_one_moment():
    """Nothing is certain at any time, so that the end has all."""
    assert [each.number for each in moments(RECORD, Disk(lies=True))] == [6]


def test_names_that_are_kept_have_moments_of_their_own():
    """Before a name is given it is not there, and afterwards for certain."""
    from tests.harness.disk_entries import create  # noqa: PLC0415 - used here alone

    numbers = [each.number for each in moments((create("f"),), Disk(names_are_kept=True))]
    assert numbers == [0, 1]


def test_write_is_torn_at_the_edges_of_sectors():
    """The pieces make the write again, and lie in one sector each."""
    disk = disk_after(base("f", bytes(2000)), write("f", bytes(range(250)) * 5, 300))
    pieces = torn(disk.loose, 512)
    assert [(each.offset, each.offset + len(each.data)) for each in pieces] == [
        (300, 512), (512, 1024), (1024, 1536), (1536, 1550),
    ]  # fmt: skip
    assert disk.left(pieces).contents == disk.left(disk.loose).contents
    assert torn(disk.loose, 4096) == disk.loose


def test_few_changes_are_all_tried_whole_and_torn():
    """One write is there or not; its two sectors are four states."""
    moment = next(moments(RECORD, Disk()))
    tried = list(cuts(moment, FEW, random.Random(0)))
    assert len(tried) == 2 + 4
    assert len({cut.left().digest for cut in tried}) == 4


def test_many_changes_are_tried_one_by_one_and_drawn():
    """Nothing, all, each alone and all but each come first; the seed decides of the rest."""
    record = (base("f", bytes(9)), *(write("f", b"x", place) for place in range(9)), sync("f"))

    def states(seed):
        moment = next(moments(record, Disk()))
        return [cut.left().contents["f"] for cut in cuts(moment, MANY, random.Random(seed))]

    assert len(states(1)) == 2 + 2 * 9 + 5
    assert {state.count(b"x") for state in states(1)[:20]} == {0, 1, 8, 9}
    assert states(1) == states(1)
    assert states(1) != states(2)


def test_what_is_drawn_is_sometimes_out_of_order():
    """Of two writes to the same bytes the earlier one is the last now and then."""
    record = (base("f", b"."), write("f", b"A"), write("f", b"B"), sync("f"))
    moment = next(moments(record, Disk()))
    tried = drawn(moment, moment.disk.loose, 200, random.Random(0))
    both = {cut.left().contents["f"] for cut in tried if len(cut.there) == 2}
    assert both == {b"A", b"B"}
