"""Maintenance that was declared, and the queue after a kill."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from harness.drivers.check.trial import HELD, Check, Trial
from harness.drivers.client import Driver, DriverError, Pending
from harness.drivers.operations import CHECKPOINT_MODES
from harness.drivers.protocol import ErrorCode, Message

_TASKS_COUNT = 40
_ROUNDS_OF_ACKS = (1, 7, 13)
_SENT_COUNT = 30
_SOUND = [("ok",)]
_HEADER_BYTES = 100
_WAIT_S = 5.0


def killed(trial: Trial) -> None:
    """What was acknowledged before a kill is there, and the queue goes on."""
    kept: set[int] = set()
    for acks in _ROUNDS_OF_ACKS:
        driver = trial.start()
        sent = [
            driver.send("enqueue", type="check", payload=number) for number in range(_SENT_COUNT)
        ]
        kept |= {trial.settle(pending)["task_id"] for pending in sent[:acks]}
        driver.kill()
        kept |= {pending.wait()["task_id"] for pending in sent[acks:] if _acknowledged(pending)}
    after = trial.start()
    lost = sorted(kept - set(trial.snapshot(after)))
    trial.require(not lost, f"tasks {lost} were acknowledged before a kill, and are gone")
    trial.ask(after, "complete", task=trial.claim(after))
    after.close()
    try:
        with closing(sqlite3.connect(trial.database)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
    except sqlite3.Error as error:
        trial.wrong(f"after a kill the file at {{db}} cannot be read: {error}")
    trial.require(found == _SOUND, f"after a kill the file is damaged: {found[:3]}")


def backup(trial: Trial) -> None:
    """A backup is a file in the folder that was named."""
    driver = trial.start()
    put_in = _fill(trial, 3)
    folder = trial.folder / "some backups"
    paths = [_backup(trial, folder) for _ in range(2)]
    trial.require(paths[0] != paths[1], "a second backup does not replace the first")
    trial.require(set(trial.snapshot(driver)) == put_in, "a backup leaves the queue as it is")


def verify(trial: Trial) -> None:
    """A backup that is whole is sound, and one whose header is destroyed is not."""
    driver = trial.start()
    _fill(trial, _TASKS_COUNT)
    path = _backup(trial, trial.folder / "backups")
    answer = trial.ask(driver, "verify", path=str(path))
    trial.require(answer["sound"] and not answer["problems"], "the new backup is sound")
    _destroy_header(path)
    answer = trial.ask(driver, "verify", path=str(path))
    trial.require(not answer["sound"], "the first 100 bytes are zeros: it is not sound")
    trial.require(answer["problems"], "problems says why")


def restore(trial: Trial) -> None:
    """A restore brings back the tasks of the backup, none of them held, also over a ruin."""
    driver = trial.start()
    put_in = _fill(trial, 3)
    trial.claim(driver)
    path = _backup(trial, trial.folder / "backups")
    trial.enqueue(driver, "after the backup")
    trial.ask(driver, "restore", path=str(path))
    _as_in_the_backup(trial, trial.snapshot(driver), put_in)
    trial.ask(driver, "complete", task=trial.claim(driver))
    _refuses_a_ruin(trial, driver)
    driver.close()
    _empty_wal(trial)
    _destroy_header(trial.database)
    again = trial.start()
    trial.ask(again, "restore", path=str(path))
    _as_in_the_backup(trial, trial.snapshot(again), put_in)
    trial.claim(again)


def _refuses_a_ruin(trial: Trial, driver: Driver) -> None:
    ruin = _backup(trial, trial.folder / "ruins")
    _destroy_header(ruin)
    before = trial.snapshot(driver)
    refused = (ErrorCode.INVALID, ErrorCode.ERROR)
    trial.refused(driver.send("restore", path=str(ruin)), *refused)
    trial.require(
        trial.snapshot(driver) == before, "a ruin was not restored: the tasks are as before"
    )


def checkpoint(trial: Trial) -> None:
    """Each mode of checkpoint is complete where nobody else is there."""
    driver = trial.start()
    for mode in CHECKPOINT_MODES:
        trial.enqueue(driver, mode)
        answer = trial.ask(driver, "checkpoint", mode=mode, timeout_s=_WAIT_S)
        trial.require(answer["complete"], f"nobody is in the way: {mode} is complete")
    trial.require(len(trial.snapshot(driver)) == len(CHECKPOINT_MODES), "all tasks are there")


def vacuum(trial: Trial) -> None:
    """VACUUM leaves every task as it was."""
    driver = trial.start()
    _fill(trial, _TASKS_COUNT)
    trial.claim(driver)
    before = trial.snapshot(driver)
    trial.ask(driver, "vacuum", timeout_s=_WAIT_S)
    trial.require(trial.snapshot(driver) == before, "the tasks are others after it")


def analyze(trial: Trial) -> None:
    """ANALYZE leaves every task as it was."""
    driver = trial.start()
    _fill(trial, _TASKS_COUNT)
    before = trial.snapshot(driver)
    trial.ask(driver, "analyze")
    trial.require(trial.snapshot(driver) == before, "the tasks are others after it")


def integrity(trial: Trial) -> None:
    """A file that is whole has no problems, and one with pages of zeros has some."""
    driver = trial.start()
    _fill(trial, _TASKS_COUNT, filling="x" * 4000)
    trial.require(not trial.ask(driver, "integrity")["problems"], "nothing is damaged")
    driver.close()
    _empty_wal(trial)
    with trial.database.open("r+b") as stream:
        half = trial.database.stat().st_size // 2
        stream.seek(half)
        stream.write(bytes(half))
    again = trial.start()
    trial.require(trial.ask(again, "integrity")["problems"], "half of the file is zeros")


def _acknowledged(pending: Pending) -> bool:
    try:
        pending.wait()
    except DriverError:
        return False
    return True


def _fill(trial: Trial, count: int, filling: str = "") -> set[int]:
    with trial.start() as producer:
        return {trial.enqueue(producer, [number, filling]) for number in range(count)}


def _backup(trial: Trial, folder: Path) -> Path:
    with trial.start() as driver:
        path = Path(trial.ask(driver, "backup", folder=str(folder))["path"])
    trial.require(path.is_absolute() and path.is_file(), f"there is no file {path}")
    inside = path.resolve().is_relative_to(folder.resolve())
    trial.require(inside, f"it must lie in {folder}")
    return path


def _destroy_header(path: Path) -> None:
    # The copy may have been made read-only.
    path.chmod(0o600)
    with path.open("r+b") as stream:
        stream.write(bytes(_HEADER_BYTES))


def _empty_wal(trial: Trial) -> None:
    """Bring all into the file: a driver may end without closing it, and its -wal would hide ruin.

    https://www.sqlite.org/wal.html#how_it_works
    """
    try:
        with closing(sqlite3.connect(trial.database, timeout=_WAIT_S)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        trial.wrong(f"the file at {{db}} cannot be read when its driver has ended: {error}")


def _as_in_the_backup(trial: Trial, tasks: dict[int, Message], put_in: set[int]) -> None:
    trial.require(set(tasks) == put_in, f"the backup has the tasks {sorted(put_in)}")
    held = [task_id for task_id, task in tasks.items() if task["status"] in HELD]
    trial.require(not held, f"tasks {held} are held by nobody who knows of it")
    payloads = sorted(json.dumps(trial.payload_in(task)) for task in tasks.values())
    wanted = sorted(json.dumps([number, ""]) for number in range(len(put_in)))
    trial.require(payloads == wanted, "the payloads are those of the backup")


CHECKS = (
    Check("killed", "What was acknowledged survives a kill, and the queue goes on.", killed),
    Check("backup", "A backup is a file in the named folder.", backup, ("backup",)),
    Check("verify", "A whole backup is sound, a ruined one is not.", verify, ("backup", "verify")),
    Check(
        "restore",
        "A restore brings back the tasks of the backup, none held.",
        restore,
        ("backup", "restore"),
    ),
    Check(
        "checkpoint", "Each mode is complete where nobody is there.", checkpoint, ("checkpoint",)
    ),
    Check("vacuum", "VACUUM leaves every task as it was.", vacuum, ("vacuum",)),
    Check("analyze", "ANALYZE leaves every task as it was.", analyze, ("analyze",)),
    Check("integrity", "Damage is found, and nothing else is.", integrity, ("integrity",)),
)
