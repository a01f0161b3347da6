"""The record of a scenario: on disk before an operation is sent, and as it was read back."""

import json

import pytest

from harness.history import History, Outcome, digest_of, final_tasks, read_history


def test_an_operation_is_on_disk_before_it_is_sent(tmp_path):
    """What is asked for is written down first; without an answer it is unknown."""
    with History(tmp_path / "h.jsonl") as history:
        history.begin("p", "enqueue", key="k1", digest="d")
        (read,) = read_history(history.path)
    assert (read.key, read.outcome, read.returned_s) == ("k1", Outcome.UNKNOWN, None)


def test_what_is_read_back_is_what_was_written(tmp_path):
    """A history file gives the same operations as the history that wrote it."""
    with History(tmp_path / "h.jsonl") as history:
        history.begin("p", "enqueue", key="k1").ok(task_id=1, facts={"attempts": 0})
        history.begin("w", "claim", lease_s=1.0).failed("busy")
        history.begin("w", "complete", task_id=1).unknown("gone")
        assert read_history(history.path) == history.operations()
        ended = history.operations()
    assert [op.outcome for op in ended] == [Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN]
    assert ended[0].task_id == 1
    assert all(op.returned_s >= op.invoked_s for op in ended)


def test_a_line_that_was_torn_off_is_left_out(tmp_path):
    """A history whose writer died in the middle of a line is read up to there."""
    with History(tmp_path / "h.jsonl") as history:
        history.begin("p", "enqueue", key="k1").ok(task_id=1)
    whole = history.path.read_text(encoding="utf-8")
    history.path.write_text(whole[: whole.rindex("\n") - 5], encoding="utf-8")
    (read,) = read_history(history.path)
    assert read.outcome is Outcome.UNKNOWN


def test_a_history_is_never_overwritten(tmp_path):
    """A second history under the same name is refused."""
    History(tmp_path / "h.jsonl").close()
    with pytest.raises(FileExistsError):
        History(tmp_path / "h.jsonl")


def test_equal_payloads_have_equal_digests():
    """A digest does not depend on the order of keys, and tells payloads apart."""
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_a_payload_that_is_no_json_has_a_digest_too():
    """A task that another program spoiled is read, and equals no task that was put in."""
    task = {"id": 1, "key": "k", "status": "queued", "attempts": 0, "max_attempts": 5}
    (sound,) = final_tasks([{**task, "payload": json.dumps({"a": 1})}])
    (spoiled,) = final_tasks([{**task, "payload": "{"}])
    assert sound.digest == digest_of({"a": 1})
    assert spoiled.digest != sound.digest
