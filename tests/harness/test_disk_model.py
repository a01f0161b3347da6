"""A disk has all that was synced, and of the rest anything, under whatever names."""

import hypothesis
import pytest
from hypothesis import strategies as st

from harness.disk.record import What
from tests.harness.disk_entries import (
    base,
    base_folder,
    create,
    disk_after,
    link,
    possible,
    rename,
    sync,
    sync_folder,
    truncate,
    unlink,
    write,
)


def test_what_was_there_before_is_certain():
    """The base of a record counts as synced."""
    disk = disk_after(base_folder("folder"), base("folder/old", b"old"))
    assert disk.loose == []
    assert possible(disk) == [{"folder": None, "folder/old": b"old"}]


def test_write_that_is_not_synced_is_there_or_not():
    """Each by itself; what was there before stays under it."""
    disk = disk_after(base("f", b"aabb"), write("f", b"AA"), write("f", b"BB", 2))
    assert possible(disk) == [{"f": b"aabb"}, {"f": b"AAbb"}, {"f": b"aaBB"}, {"f": b"AABB"}]


def test_write_behind_the_end_leaves_zeros_where_others_are_lost():
    """A file may have grown without its data, and a later write may be there alone."""
    disk = disk_after(base("f"), write("f", b"A"), write("f", b"B", 1))
    assert {"f": b"\0"} in possible(disk)
    assert {"f": b"\0B"} in possible(disk)
    assert {"f": b"AB"} in possible(disk)


def test_sync_makes_content_certain_and_no_name():
    """A new file that was synced is whole, if it is there at all."""
    disk = disk_after(create("f"), write("f", b"new"), sync("f"))
    assert possible(disk) == [{}, {"f": b"new"}]
    disk.follow(sync_folder())
    assert possible(disk) == [{"f": b"new"}]


def test_sync_of_a_folder_makes_its_names_certain_and_no_content():
    """The name is there, and the file may be empty."""
    disk = disk_after(create("f"), write("f", b"new"), sync_folder())
    assert {"f": b""} in possible(disk)
    assert {} not in possible(disk)


def test_sync_of_one_file_or_folder_is_none_of_another():
    """Only what is synced is certain."""
    disk = disk_after(base("f"), base_folder("g"), create("g/h"), write("f", b"x"))
    disk.follow(sync("g/h"))
    disk.follow(sync_folder())
    assert {"f": b"", "g": None} in possible(disk)


def test_cut_that_is_not_synced_may_be_lost():
    """The length is a change like any other."""
    disk = disk_after(base("f", b"abc"), truncate("f", 1))
    assert possible(disk) == [{"f": b"abc"}, {"f": b"a"}]
    disk.follow(sync("f"))
    assert possible(disk) == [{"f": b"a"}]


def test_rename_never_loses_its_file():
    """The old name, both or the new one: an old name goes only where the new one is."""
    disk = disk_after(base("old", b"x"), rename("old", "new"))
    assert possible(disk) == [{"old": b"x"}, {"old": b"x", "new": b"x"}, {"new": b"x"}]


def test_rename_into_another_folder_is_certain_when_both_are_synced():
    """After the sync of the new folder alone the old name may still be there."""
    disk = disk_after(base_folder("to"), base("f", b"x"), rename("f", "to/f"), sync_folder("to"))
    assert possible(disk) == [
        {"to": None, "f": b"x", "to/f": b"x"},
        {"to": None, "to/f": b"x"},
    ]
    disk.follow(sync_folder())
    assert possible(disk) == [{"to": None, "to/f": b"x"}]


def test_sync_of_the_old_folder_takes_the_new_name_along():
    """A journal writes a rename as one: what it takes away there it has given here."""
    disk = disk_after(base_folder("to"), base("f", b"x"), rename("f", "to/f"), sync_folder())
    assert possible(disk) == [{"to": None, "to/f": b"x"}]


def test_file_that_comes_back_has_its_own_content_and_not_that_of_the_next_one():
    """A name that was given twice leads to one of two files, never to a mixture of them."""
    disk = disk_after(
        *(base("journal", b"first"), unlink("journal"), create("journal")),
        *(write("journal", b"2nd"), sync("journal")),
    )
    assert possible(disk) == [{"journal": b"first"}, {}, {"journal": b"2nd"}]


def test_two_names_of_one_file_are_told_as_such():
    """Who lays a state out links them, since a program may look."""
    disk = disk_after(base("draft", b"x"), link("draft", "final"))
    both = disk.left(disk.loose)
    assert both.second_names == {"final": "draft"}
    copies = disk_after(base("draft", b"x"), base("final", b"x"))
    assert copies.left([]).second_names == {}
    assert copies.left([]).digest != both.digest


def test_folder_that_is_lost_takes_along_what_lies_in_it():
    """A synced file in a folder whose own name is not synced is not there."""
    disk = disk_after(base("f", b"x"))
    for entry in (
        type(base("x"))(What.MAKE_FOLDER, "new"),
        *(create("new/g"), sync("new/g"), sync_folder("new")),
    ):
        disk.follow(entry)
    assert {"f": b"x"} in possible(disk)


def test_names_are_certain_at_once_where_they_are_kept():
    """On Windows a name counts when it is given; contents are as loose as anywhere."""
    disk = disk_after(create("f"), write("f", b"x"), names_are_kept=True)
    assert {} not in possible(disk)
    assert {"f": b""} in possible(disk)


def test_disk_that_lies_makes_nothing_certain():
    """Whatever is synced, all of it may be lost."""
    disk = disk_after(create("f"), write("f", b"x"), sync("f"), sync_folder(), lies=True)
    assert {} in possible(disk)
    assert {"f": b""} in possible(disk)


def test_what_the_record_leaves_out_is_taken_away_in_silence():
    """The -shm is no file of the record, and is unlinked all the same."""
    assert disk_after(base("f"), unlink("queue.db-shm")).loose == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_writes_to_the_same_bytes_either_may_be_last(order):
    """Changes are applied in the order in which they are given."""
    disk = disk_after(base("f", b"...."), write("f", b"AAA"), write("f", b"BB", 2))
    there = [disk.loose[place] for place in order]
    assert disk.left(there).contents["f"] == (b"AABB" if order == (0, 1) else b"AAAB")


NAMES = ("a", "b")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(NAMES), st.binary(min_size=1, max_size=3)),
        st.tuples(st.just("sync"), st.sampled_from(NAMES), st.just(b"")),
        st.tuples(st.just("folder"), st.just("."), st.just(b"")),
        st.tuples(st.just("move"), st.sampled_from(NAMES), st.just(b"")),
        st.tuples(st.just("drop"), st.sampled_from(NAMES), st.just(b"")),
    ),
    max_size=9,
)


def other(name):
    """The other one of the two names."""
    return NAMES[1 - NAMES.index(name)]


def entries_of(steps):
    """Return a record of these steps, as far as they can be done, and what is seen at its end."""
    entries, seen = [], {}
    for what, name, data in steps:
        if what == "put":
            entries += [] if name in seen else [create(name)]
            entries.append(write(name, data))
            seen[name] = data + seen.get(name, b"")[len(data) :]
        elif what == "folder":
            entries.append(sync_folder())
        elif name in seen:
            new = {"sync": sync(name), "move": rename(name, other(name)), "drop": unlink(name)}
            entries.append(new[what])
            if what == "move":
                seen[other(name)] = seen.pop(name)
            elif what == "drop":
                seen.pop(name)
    return entries, seen


@hypothesis.given(STEPS)
@hypothesis.settings(deadline=None, derandomize=True, database=None)
def test_whatever_is_done_a_kill_leaves_what_is_seen_and_syncs_leave_nothing_loose(steps):
    """With all loose changes there it is what programs see; with all synced nothing else is."""
    entries, seen = entries_of(steps)
    disk = disk_after(*entries)
    assert dict(disk.left(disk.loose).contents) == seen
    for entry in (*(sync(name) for name in seen), sync_folder()):
        disk.follow(entry)
    reachable = [each for each in disk.loose if dict(disk.left([each]).contents) != seen]
    assert reachable == []
    assert dict(disk.left([]).contents) == seen
