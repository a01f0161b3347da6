"""Which backups stay, and which never go."""

import datetime as dt
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_files import (
    START_MS,
    add_tasks,
    edit_manifest,
    everything,
    flip_bit,
    listed,
    make_backups,
    make_legacy,
    make_queue,
    names,
    truncate,
)

from core import ManualClock, QueueBackup
from core.catalog import BackupInfo
from core.errors import DatabaseMissingError, InvalidArgumentError
from core.manifest import FORMAT, Manifest, manifest_path
from core.retention import RetentionPolicy, plan

HOUR_MS = 3_600_000


@pytest.fixture
def clock():
    """Return a clock that stands still until it is moved."""
    return ManualClock(START_MS)


@pytest.fixture
def backup(tmp_path, clock):
    """Return the backups of a small queue."""
    return QueueBackup(make_queue(tmp_path / "queue.db"), clock=clock)


# -- the worst: losing the last good one ------------------------------------------------------


def _missing_manifest(path):
    manifest_path(path).unlink()


def _newer_manifest(path):
    edit_manifest(path, f'"format": {FORMAT}', f'"format": {FORMAT + 1}')


def _damaged_manifest(path):
    flip_bit(manifest_path(path))


def _emptied(path):
    path.write_bytes(b"")


def _another_file(path):
    path.write_bytes(b"no database at all" * 1000)


BREAKERS = (flip_bit, truncate, _emptied, _another_file, _damaged_manifest, _newer_manifest)


@pytest.mark.parametrize("break_it", [*BREAKERS, _missing_manifest])
def test_ten_broken_backups_never_push_out_the_last_good_one(backup, clock, break_it):
    """Broken backups count for nothing, however many and however new they are."""
    good, *others = make_backups(backup, clock, 11)
    for path in others:
        break_it(path)

    backup.cleanup_old_backups(keep_count=1)

    assert good in listed(backup)
    assert backup.verify_backup(good)
    assert backup.cleanup_old_backups(keep_count=10) == 0


@pytest.mark.parametrize("break_it", BREAKERS)
def test_nothing_goes_where_nothing_is_sound(backup, clock, break_it):
    """Without one sound backup every file stays, since it may be all there is."""
    for path in make_backups(backup, clock, 3):
        break_it(path)
    before = everything(backup.folder)

    assert backup.cleanup_old_backups(keep_count=1) == 0
    assert everything(backup.folder) == before


def test_what_lies_before_a_backup_without_a_manifest_is_judged_too(backup, clock):
    """One of the old kind, the newest of all, does not keep those behind it from being kept."""
    *_older, newest = make_backups(backup, clock, 3)
    clock.advance_s(60)
    (legacy,) = make_backups(backup, clock, 1)
    _missing_manifest(legacy)

    planned = backup.plan_retention(RetentionPolicy(last=1))

    assert (planned.keep, planned.untouched) == ((newest,), (legacy,))


def test_a_broken_one_goes_only_when_it_is_older_than_all_that_stay(backup, clock):
    """One of the very moment of the oldest that is kept stays."""
    # Of one moment, so that the name alone puts the broken one first.
    broken, kept = (backup.create_backup(name=name) for name in ("z", "a"))
    flip_bit(broken)
    assert plan_of(backup, last=1) == ((kept,), (), (broken,))
    clock.advance_s(1)
    (newest,) = make_backups(backup, clock, 1)

    assert plan_of(backup, last=2) == ((newest, kept), (), (broken,))
    assert plan_of(backup, last=1) == ((newest,), (broken, kept), ())


def plan_of(backup, **policy):
    """Return what would stay, what would go, and what is broken and stays."""
    planned = backup.plan_retention(RetentionPolicy(**policy))
    return planned.keep, planned.remove, planned.broken


def test_swapped_manifests_make_both_backups_broken(backup, clock):
    """A manifest proves the one file that it was written for."""
    oldest, middle = make_backups(backup, clock, 2)
    add_tasks(backup.path, 1)
    (newest,) = make_backups(backup, clock, 1)
    older, newer = manifest_path(oldest), manifest_path(newest)
    content = older.read_bytes()
    older.write_bytes(newer.read_bytes())
    newer.write_bytes(content)

    assert not backup.verify_backup(oldest)
    assert not backup.verify_backup(newest)
    assert backup.newest_verified().path == middle
    assert backup.plan_retention(RetentionPolicy(last=3)).keep == (middle,)


def test_newest_sound_backup_stays_under_every_policy(backup, clock):
    """Not even a broken one that is newer, or the smallest policy, removes it."""
    *_older, sound, broken = make_backups(backup, clock, 4)
    flip_bit(broken)

    for policy in (
        RetentionPolicy(last=1),
        RetentionPolicy(daily=1),
        RetentionPolicy(weekly=1),
        RetentionPolicy(monthly=1),
    ):
        backup.apply_retention(policy)

        assert sound in listed(backup)
    assert backup.newest_verified().path == sound


# -- what is not ours to remove ----------------------------------------------------------------


def test_backups_of_the_old_kind_are_never_removed(backup, clock):
    """What has no manifest is for people to remove, and does not count as kept."""
    legacy = [
        make_legacy(backup.path, backup.folder / f"queue_backup_2020010{day}_000000.db")
        for day in range(1, 5)
    ]
    _older, newer = make_backups(backup, clock, 2)

    assert backup.cleanup_old_backups(keep_count=1) == 1
    assert set(listed(backup)) == {newer, *legacy}


def test_backups_of_another_queue_are_never_removed(tmp_path, backup, clock):
    """Two queues that share a folder do not prune each other's, sound or broken."""
    other = QueueBackup(make_queue(tmp_path / "other.db"), backup.folder, clock=clock)
    theirs = make_backups(other, clock, 3)
    flip_bit(theirs[0])
    _damaged_manifest(theirs[1])
    make_backups(backup, clock, 3)

    assert backup.cleanup_old_backups(keep_count=1) == 2
    assert all(path.exists() and manifest_path(path).exists() for path in theirs)


def test_unknown_manifest_is_never_removed(backup, clock):
    """A backup whose manifest this program cannot read may be a later program's good one."""
    newer, broken, *_rest = make_backups(backup, clock, 4)
    _newer_manifest(newer)
    manifest_path(broken).write_bytes(b"\x00")

    assert backup.cleanup_old_backups(keep_count=1) == 1
    assert newer.exists()
    assert broken.exists()
    assert set(backup.plan_retention(RetentionPolicy(last=1)).untouched) == {newer, broken}


def test_other_files_in_the_folder_stay(backup, clock):
    """Retention touches what it made, and nothing that only looks like it."""
    make_backups(backup, clock, 3)
    mine = ["notes.txt", "queue_backup_notes.db", ".queue_backup_0123456789ab_x.draft.db"]
    for name in mine:
        (backup.folder / name).write_text("mine")

    backup.cleanup_old_backups(keep_count=1)

    assert set(mine) <= set(names(backup.folder))


# -- how much stays ----------------------------------------------------------------------------


def test_newest_so_many_stay_and_the_rest_goes_with_its_manifests(backup, clock):
    """Exactly the newest N stay; how many went is returned; nothing of them is left."""
    paths = make_backups(backup, clock, 5)

    assert backup.cleanup_old_backups(keep_count=2) == 3
    assert listed(backup) == [paths[4], paths[3]]
    assert names(backup.folder) == sorted(
        name for path in paths[3:] for name in (path.name, manifest_path(path).name)
    )
    assert backup.cleanup_old_backups(keep_count=2) == 0


def test_default_is_the_runbook_s_ten(backup, clock):
    """Without a number the newest ten stay."""
    make_backups(backup, clock, 12)

    assert backup.cleanup_old_backups() == 2
    assert len(backup.list_backups()) == 10


def test_file_times_decide_nothing(backup, clock):
    """A backup that was copied back yesterday is as old as its snapshot."""
    oldest, newest = make_backups(backup, clock, 2)
    shutil.copy(oldest, oldest.with_suffix(".tmp"))
    oldest.with_suffix(".tmp").replace(oldest)

    backup.cleanup_old_backups(keep_count=1)

    assert listed(backup) == [newest]


def test_preview_touches_nothing_and_tells_what_a_run_does(backup, clock):
    """A plan names what would go; the folder is byte for byte as it was; the run does that."""
    paths = make_backups(backup, clock, 4)
    flip_bit(paths[3])
    flip_bit(paths[0])
    before = everything(backup.folder)

    told = backup.plan_retention(RetentionPolicy(last=1))

    assert everything(backup.folder) == before
    assert told.keep == (paths[2],)
    assert told.remove == (paths[1], paths[0])
    assert told.broken == (paths[3],)
    assert backup.apply_retention(RetentionPolicy(last=1)) == [paths[0], paths[1]]
    assert set(listed(backup)) == {paths[2], paths[3]}


def test_copy_of_a_backup_can_go_without_the_original(backup, clock):
    """A second copy under another name is removed with its own manifest alone."""
    older, newer = make_backups(backup, clock, 2)
    twin = older.with_name("queue_backup_twin_20200101_000000.db")
    shutil.copy(older, twin)
    shutil.copy(manifest_path(older), manifest_path(twin))

    backup.apply_retention(RetentionPolicy(last=2))

    assert set(listed(backup)) in ({newer, older}, {newer, twin})
    assert all(backup.verify_backup(path) for path in listed(backup))
    assert len(names(backup.folder)) == 4


@pytest.mark.parametrize("keep_count", [0, -1, -10, True, False, 1.5, math.nan, "3", None])
def test_count_that_makes_no_sense_is_refused(backup, clock, keep_count):
    """A count below 1, or that is no count, is refused before anything is touched."""
    make_backups(backup, clock, 2)
    before = everything(backup.folder)

    with pytest.raises(InvalidArgumentError, match="Keep at least 1"):
        backup.cleanup_old_backups(keep_count=keep_count)

    assert everything(backup.folder) == before


@pytest.mark.parametrize(
    "rules", [{}, {"last": -1}, {"daily": 1.0}, {"weekly": True}, {"monthly": "1"}, {"last": None}]
)
def test_policy_that_makes_no_sense_is_refused(rules):
    """A policy that keeps nothing, or counts in something else than whole numbers, is refused."""
    with pytest.raises(InvalidArgumentError):
        RetentionPolicy(**rules)


# -- against a model ---------------------------------------------------------------------------


def _info_at(hour):
    moment_ms = START_MS + hour * HOUR_MS
    path = Path(f"/b/{hour:06}")
    facts = Manifest(FORMAT, "/q", moment_ms, "", "", "", 0, 0, 0, {}, 0, "", 1, "0" * 16)
    return BackupInfo(path, None, 0, moment_ms, facts, None, ours=True)


def _newest_per(period, infos, most):
    """Return the newest of each of the newest so many periods: the rule, said another way."""
    chosen = {}
    for info in infos:
        chosen.setdefault(period(info), info)
    return list(chosen.values())[:most]


def _day(info):
    return dt.datetime.fromtimestamp(info.created_ms / 1000, dt.UTC).date()


def _week(info):
    return _day(info) - dt.timedelta(days=_day(info).weekday())


def _month(info):
    return _day(info).replace(day=1)


counts = st.integers(0, 5)


@given(
    hours=st.sets(st.integers(0, 24 * 100), max_size=40),
    bad=st.sets(st.integers(0, 24 * 100)),
    every=st.integers(1, 4),
    policy=st.tuples(counts, counts, counts, counts).filter(any),
)
def test_plan_keeps_what_each_rule_keeps_and_nothing_else(hours, bad, every, policy):
    """A sound backup stays exactly when a rule wants it or it is the newest sound one."""
    infos = [_info_at(hour) for hour in sorted(hours, reverse=True)]
    broken = {info.path for info in infos if int(info.path.name) % every == 1} | {
        _info_at(hour).path for hour in bad
    }
    last, daily, weekly, monthly = policy
    sound = [info for info in infos if info.path not in broken]
    wanted = {
        info.path
        for chosen in (
            sound[:last],
            _newest_per(_day, sound, daily),
            _newest_per(_week, sound, weekly),
            _newest_per(_month, sound, monthly),
            sound[:1],
        )
        for info in chosen
    }

    told = plan(infos, RetentionPolicy(*policy), lambda info: info.path not in broken)

    assert set(told.keep) == wanted
    unwanted = {info.path for info in sound} - wanted
    assert set(told.remove) - broken == unwanted
    assert set(told.broken) <= broken
    assert not wanted or all(path > min(wanted) for path in told.broken)
    assert wanted or not told.remove
    everyone = (*told.keep, *told.remove, *told.broken, *told.untouched)
    assert sorted(everyone) == sorted(info.path for info in infos)
    assert sorted(told.remove, reverse=True) == list(told.remove)


@pytest.mark.parametrize("typo", ["typo.db", "typo/queue.db"])
def test_mistyped_path_is_an_error_and_makes_nothing(tmp_path, typo):
    """Where there is neither a queue nor a backup of one, nothing is thinned out in silence."""
    backup = QueueBackup(tmp_path / typo)

    with pytest.raises(DatabaseMissingError):
        backup.cleanup_old_backups()
    with pytest.raises(DatabaseMissingError):
        backup.plan_retention(RetentionPolicy(last=1))

    assert list(tmp_path.iterdir()) == []
