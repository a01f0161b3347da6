"""Every acknowledged task falls into the class it belongs to."""

from harness.drill import reckon
from harness.history import Outcome
from tests.harness.histories import Script, final

BACKUP_S = 10.0


def script():
    """A backup at ten seconds."""
    return Script().add("operator", "backup", BACKUP_S, lasted_s=2.0)


def reckoned(story, *restored):
    """The reckoning of a story with its backup."""
    backup = next(op for op in story.operations if op.op == "backup")
    return reckon(story.operations, backup, restored)


def test_what_was_there_before_the_backup_is_kept():
    """A task from before the backup that is there is kept."""
    reckoning = reckoned(script().enqueue("k1", 1.0), final(1, "queued"))
    assert reckoning.kept == ("k1",)
    assert not any(reckoning.broken.values())
    assert reckoning.rpo_s == 0.0


def test_what_came_after_the_backup_may_be_lost_and_is_counted():
    """A task acknowledged since the backup was asked for is lost within the RPO."""
    reckoning = reckoned(script().enqueue("k1", 10.5).enqueue("k2", 30.0))
    assert reckoning.lost_within == ("k1", "k2")
    assert not any(reckoning.broken.values())
    assert round(reckoning.rpo_s, 3) == 20.1


def test_what_came_before_the_backup_must_not_be_lost():
    """A task acknowledged before the backup was asked for and gone is a broken promise."""
    reckoning = reckoned(script().enqueue("k1", 9.8))
    assert reckoning.lost_beyond == ("k1",)
    assert reckoning.broken["lost beyond the backup"] == ("k1",)


def test_a_completion_since_the_backup_runs_again():
    """A task completed since the backup comes back as it was."""
    story = script().enqueue("k1", 1.0).add("w", "complete", 20.0, key="k1", task_id=1)
    reckoning = reckoned(story, final(1, "queued"))
    assert (reckoning.resurrected, reckoning.kept) == (("k1",), ())
    assert not any(reckoning.broken.values())


def test_a_completion_before_the_backup_stays():
    """A task completed before the backup and not completed afterwards is a broken promise."""
    story = script().enqueue("k1", 1.0).add("w", "complete", 2.0, key="k1", task_id=1)
    assert reckoned(story, final(1, "queued")).undone == ("k1",)
    assert reckoned(story, final(1)).kept == ("k1",)


def test_doubles_and_strangers_are_broken_promises():
    """A task that is there twice, or that nobody put in, is a broken promise."""
    reckoning = reckoned(script().enqueue("k1", 1.0), final(1), final(2, key="k1"), final(3))
    assert reckoning.duplicated == ("k1",)
    assert reckoning.unexpected == ("k3",)


def test_what_was_never_acknowledged_is_nobodys_loss():
    """A task whose enqueue was not answered is in no class when it is gone, nor a stranger."""
    story = script().enqueue("k1", 1.0, outcome=Outcome.UNKNOWN)
    assert reckoned(story).lost_beyond == ()
    assert reckoned(story, final(1)).unexpected == ()


def test_what_came_after_the_backup_and_is_there_shows_another_state():
    """A task, or a completion, from after the backup's end cannot come out of the backup."""
    put_in = reckoned(script().enqueue("k1", 20.0), final(1, "queued"))
    assert put_in.broken["from after the backup"] == ("k1",)
    story = script().enqueue("k1", 1.0).add("w", "complete", 20.0, key="k1", task_id=1)
    assert reckoned(story, final(1)).from_later == ("k1",)
    assert reckoned(script().enqueue("k1", 10.5), final(1, "queued")).from_later == ()
