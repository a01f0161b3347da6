"""Tasks put in and worked off by drivers that nothing happens to."""

import json
from collections import Counter

from harness.drivers.check.trial import HELD, LONG_S, Check, Trial, same
from harness.drivers.protocol import ErrorCode

_PAYLOADS: tuple[object, ...] = (
    None,
    False,
    0,
    -1.5,
    2**53,
    "",
    'it\'s "quoted" \\ / \n\t \u0001 {} -- ; \u00e4 \u2028 \U0001d11e',
    [],
    {},
    {"a b": {"": [1, [2.25, [True, None]]]}, "\u00e4": "x"},
)
_LONG_CHARACTERS = 1_000_000
_ATTEMPTS = 3
_RACE_COUNT = 20
_RACE_WORKERS = 3


def payload(trial: Trial) -> None:
    """A payload comes back as it was."""
    driver = trial.start()
    put_in = {trial.enqueue(driver, value): value for value in _PAYLOADS}
    trial.require(len(put_in) == len(_PAYLOADS), "each task has an id of its own")
    for _ in put_in:
        task = trial.claim(driver)
        trial.require(task["id"] in put_in, "a claim gives a task that was put in")
        wanted = put_in[task["id"]]
        trial.require(same(task["payload"], wanted), f"the payload was {json.dumps(wanted)}")
    for task_id, task in trial.snapshot(driver).items():
        trial.require(task_id in put_in, f"nobody put a task {task_id} in")
        kept, wanted = trial.payload_in(task), put_in[task_id]
        trial.require(same(kept, wanted), f"the payload was {json.dumps(wanted)}")


def long_line(trial: Trial) -> None:
    """A payload of a million characters comes back as it was."""
    driver = trial.start()
    value = "long " * (_LONG_CHARACTERS // 5)
    trial.enqueue(driver, value)
    trial.require(trial.claim(driver)["payload"] == value, "the payload was another one")


def claim(trial: Trial) -> None:
    """A claimed task has its fields, and nobody gets it a second time."""
    driver = trial.start()
    trial.none_is_due(driver, "the queue is empty")
    task_id = trial.enqueue(driver, max_attempts=_ATTEMPTS)
    task = trial.claim(driver, worker="somebody")
    trial.require(task["id"] == task_id, f"the task put in is {task_id}")
    trial.require(task["attempts"] == 0, "no attempt has ended: attempts is 0")
    trial.require(task["max_attempts"] == _ATTEMPTS, f"max_attempts was {_ATTEMPTS}")
    trial.none_is_due(driver, "the only task is held")
    seen = trial.snapshot(driver)[task_id]
    trial.require(seen["status"] in HELD, "a snapshot shows a held task as leased")
    trial.require(seen["worker"] in ("somebody", None), "its holder is 'somebody'")


def race(trial: Trial) -> None:
    """Processes that claim at the same time get every task once."""
    drivers = [trial.start() for _ in range(_RACE_WORKERS)]
    put_in = [trial.enqueue(drivers[0]) for _ in range(_RACE_COUNT)]
    sent = [
        driver.send("claim", worker=driver.name, lease_s=LONG_S)
        for _ in range(_RACE_COUNT)
        for driver in drivers
    ]
    claimed = Counter(
        task["id"] for pending in sent if (task := trial.settle(pending)["task"]) is not None
    )
    twice = sorted(task_id for task_id, count in claimed.items() if count > 1)
    trial.require(not twice, f"tasks {twice} were handed out more than once")
    left = sorted(set(put_in) - set(claimed))
    trial.require(not left, f"tasks {left} are due, and nobody got them")


def complete(trial: Trial) -> None:
    """A completed task is completed, and is never handed out again."""
    driver = trial.start()
    task_id = trial.enqueue(driver)
    task = trial.claim(driver)
    trial.ask(driver, "complete", task=task)
    trial.require(
        trial.snapshot(driver)[task_id]["status"] == "completed", "its status is completed"
    )
    trial.none_is_due(driver, "the only task is completed")
    if trial.capabilities.fencing:
        for op, fields in (("complete", {}), ("fail", {"error": "late"})):
            trial.refused(driver.send(op, task=task, **fields), ErrorCode.LEASE_LOST)


def given_up(trial: Trial) -> None:
    """A task whose last attempt failed is a dead letter, and is never handed out again."""
    driver = trial.start()
    task_id = trial.enqueue(driver, max_attempts=1)
    answer = trial.ask(driver, "fail", task=trial.claim(driver), error='it\'s "broken"')
    trial.require(answer["status"] == "dead_letter", "fail answers dead_letter")
    trial.require(
        trial.snapshot(driver)[task_id]["status"] == "dead_letter", "its status is dead_letter"
    )
    trial.none_is_due(driver, "the only task is a dead letter")


def retries(trial: Trial) -> None:
    """A failed task runs again, its attempts are counted, and its limit holds."""
    driver = trial.start()
    task_id = trial.enqueue(driver, max_attempts=_ATTEMPTS)
    for number, status in enumerate(("queued", "queued", "dead_letter")):
        task = trial.claim(driver)
        trial.require(task["attempts"] == number, f"{number} attempts have ended")
        answer = trial.ask(driver, "fail", task=task, error="no luck")
        trial.require(
            answer["status"] == status, f"after {number + 1} of {_ATTEMPTS} it is {status}"
        )
    trial.none_is_due(driver, "its attempts are used up")
    seen = trial.snapshot(driver)[task_id]
    trial.require(seen["attempts"] == _ATTEMPTS, f"{_ATTEMPTS} attempts have ended")


def priorities(trial: Trial) -> None:
    """A lower priority number runs first; 100 where none is given."""
    driver = trial.start()
    ids = {
        trial.enqueue(driver, priority=200): "200",
        trial.enqueue(driver): "none",
        trial.enqueue(driver, priority=99): "99",
        trial.enqueue(driver, priority=-1): "-1",
        trial.enqueue(driver, priority=101): "101",
    }
    order = [ids.get(trial.claim(driver)["id"]) for _ in ids]
    trial.require(
        order == ["-1", "99", "none", "101", "200"],
        f"tasks of priority -1, 99, none, 101, 200 came in the order {order}",
    )


def order(trial: Trial) -> None:
    """Tasks of one priority are claimed in the order in which they were acknowledged."""
    one, other = trial.start(), trial.start()
    put_in = [trial.enqueue((one, other)[number % 2]) for number in range(6)]
    claimed = [trial.claim((other, one)[number % 2])["id"] for number in range(6)]
    trial.require(claimed == put_in, f"put in as {put_in}, claimed as {claimed}")


def delays(trial: Trial) -> None:
    """A task is not handed out before its delay is over, and is afterwards."""
    driver = trial.start()
    trial.enqueue(driver, "late", delay_s=LONG_S)
    soon = trial.enqueue(driver, "soon", delay_s=trial.lease_s / 2)
    if trial.lease_s == LONG_S:
        trial.none_is_due(driver, f"both wait for {LONG_S / 2:g} s or more")
    then = trial.later(trial.lease_s / 2 + 1)
    task = trial.claim(then)
    trial.require(task["id"] == soon, "the task whose delay is over is claimed")
    trial.none_is_due(then, "the other one's delay is not over")


def retry_delay(trial: Trial) -> None:
    """A failed task is not handed out again before retry_after_s."""
    driver = trial.start()
    trial.enqueue(driver)
    trial.ask(driver, "fail", task=trial.claim(driver), error="x", retry_after_s=trial.lease_s)
    if trial.lease_s == LONG_S:
        trial.none_is_due(driver, f"it was to wait for {LONG_S:g} s")
    trial.claim(trial.later(trial.lease_s + 1))


def keys(trial: Trial) -> None:
    """A second enqueue with the same key changes nothing and tells the first one's id."""
    driver = trial.start()
    first = trial.enqueue(driver, "first", key="it's one")
    other = trial.enqueue(driver, "other", key="another")
    trial.require(other != first, "another key is another task")
    trial.require(
        trial.enqueue(driver, "second", key="it's one") == first, f"the key's task is {first}"
    )
    trial.ask(driver, "complete", task=trial.claim(driver))
    trial.enqueue(driver, "third", key="it's one")
    tasks = trial.snapshot(driver)
    trial.require(set(tasks) == {first, other}, "there are two tasks")
    trial.require(trial.payload_in(tasks[first]) == "first", "its payload is the first one")
    trial.require(tasks[first]["key"] == "it's one", "the snapshot has its key")


CHECKS = (
    Check("payload", "Every JSON payload comes back as it was.", payload),
    Check("long-line", "A line of a million characters is taken, and one is given.", long_line),
    Check("claim", "A claimed task has its fields, and nobody gets it a second time.", claim),
    Check("race", "Processes that claim at the same time get every task once.", race),
    Check("complete", "A completed task is never handed out again.", complete),
    Check("given-up", "A task whose last attempt failed is a dead letter.", given_up),
    Check("retries", "A failed task runs again, up to its limit.", retries, ("retries",)),
    Check("priorities", "A lower priority number runs first.", priorities, ("priorities",)),
    Check("order", "Tasks of one priority run in the order they came in.", order, ("order",)),
    Check("delays", "A delayed task is not handed out before its time.", delays, ("delays",)),
    Check(
        "retry-delay",
        "A failed task waits as long as it was told.",
        retry_delay,
        ("delays", "retries"),
    ),
    Check("keys", "A second enqueue with the same key puts nothing in.", keys, ("keys",)),
)
