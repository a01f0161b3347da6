"""What a driver says to lines that are right, wrong, or the last ones."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict

from harness.drivers.check.trial import Check, Trial
from harness.drivers.client import Driver
from harness.drivers.fields import Field, Kind
from harness.drivers.operations import MAINTENANCE, OPERATIONS, Operation
from harness.drivers.protocol import ErrorCode, Message

_END_S = 5.0
_FLIGHT_COUNT = 20
_JUNK = (
    b"what is this\n",
    b"{\n",
    b"\xff\xfe\x00\n",
    b"[]\n",
    b'"hello"\n',
    b"17\n",
    b"null\n",
    b"{}\n",
    b'{"op":"snapshot"}\n',
    b'{"id":"one","op":"snapshot"}\n',
)
_TASK = {
    "id": 1,
    "payload": None,
    "attempts": 0,
    "max_attempts": 5,
    "lease_until_ms": None,
    "token": None,
}
_RIGHT: Mapping[Kind, object] = {
    Kind.ANY: None,
    Kind.TEXT: "text",
    Kind.INTEGER: 5,
    Kind.NUMBER: 5.5,
    Kind.OBJECT: _TASK,
}
_WRONG: Mapping[Kind, object] = {
    Kind.TEXT: 5,
    Kind.INTEGER: "5",
    Kind.NUMBER: "5.5",
    Kind.OBJECT: "task",
}


def hello(trial: Trial) -> None:
    """The first answer is that to hello, whole and right; asked again it is the same."""
    driver = trial.start()
    trial.require(trial.database.exists(), f"there is no file at {{db}} ({trial.database}) by now")
    answer = trial.ask(driver, "hello")
    first = {**driver.hello, "id": answer["id"]}
    trial.require(answer == first, "the answer to hello is another one the second time")
    declared = trial.capabilities.maintenance
    wanting = [name for name in ("verify", "restore") if name in declared]
    trial.require(not wanting or "backup" in declared, f"{wanting} without backup is of no use")


def in_flight(trial: Trial) -> None:
    """Requests that are sent without waiting are all answered."""
    driver = trial.start()
    sent = [driver.send("enqueue", type="check", payload=number) for number in range(_FLIGHT_COUNT)]
    ids = {trial.settle(pending)["task_id"] for pending in sent}
    trial.require(len(ids) == _FLIGHT_COUNT, f"{_FLIGHT_COUNT} tasks have as many ids")


def more_fields(trial: Trial) -> None:
    """Fields that the document does not have are ignored."""
    driver = trial.start()
    more = {"x-unknown": [1, {"id": 5}], "ok": False}
    request = {"op": "enqueue", "type": "check", "payload": None, **more}
    trial.settle(driver.send_unjudged(request))
    trial.settle(driver.send_unjudged({"op": "hello", **more}))
    trial.claim(driver)


def unsupported(trial: Trial) -> None:
    """Operations that are not there, or not declared, are refused as unsupported."""
    driver = trial.start()
    trial.refused(driver.send_unjudged({"op": "dance"}), ErrorCode.UNSUPPORTED)
    promised = trial.capabilities
    for operation in OPERATIONS.values():
        if operation.needs and not promised.has(operation.needs):
            request = {"op": operation.name, **_right_fields(operation)}
            trial.refused(driver.send_unjudged(request), ErrorCode.UNSUPPORTED)


def junk(trial: Trial) -> None:
    """Lines that are no requests are refused as invalid, and the driver goes on."""
    driver = trial.start()
    for line in _JUNK:
        trial.refused(driver.send_line(line, None, "junk"), ErrorCode.INVALID)
    trial.refused(driver.send_unjudged({"op": None}), ErrorCode.INVALID, ErrorCode.UNSUPPORTED)
    trial.refused(driver.send_unjudged({"op": ["x"]}), ErrorCode.INVALID, ErrorCode.UNSUPPORTED)
    trial.enqueue(driver)


def fields(trial: Trial) -> None:
    """A request with a field missing or wrong is refused as invalid, and nothing is done."""
    driver = trial.start()
    for operation in OPERATIONS.values():
        if not operation.needs or trial.capabilities.has(operation.needs):
            for wrong in _wrong_requests(operation):
                trial.refused(driver.send_unjudged(wrong), ErrorCode.INVALID)
    trial.require(not trial.snapshot(driver), "nothing was put in")


def _right_fields(operation: Operation) -> Message:
    return {
        field.name: field.choices[0] if field.choices else _RIGHT[field.kind]
        for field in operation.request
    }


def _wrong_requests(operation: Operation) -> Iterator[Message]:
    right = {"op": operation.name, **_right_fields(operation)}
    for field in operation.request:
        if field.needed:
            yield {name: value for name, value in right.items() if name != field.name}
        for value in _wrong_values(field):
            yield {**right, field.name: value}


def _wrong_values(field: Field) -> Iterator[object]:
    if field.kind in _WRONG:
        yield _WRONG[field.kind]
        yield None
    if field.least is not None:
        yield field.least - 1
    if field.choices:
        yield "none of them"


def busy(trial: Trial) -> None:
    """Where somebody else holds the write lock, the driver says busy and has done nothing."""
    driver = trial.start()
    before = trial.enqueue(driver, "before")
    with closing(sqlite3.connect(trial.database, timeout=_END_S, isolation_level=None)) as rival:
        try:
            rival.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            trial.wrong(f"nothing is under way, and nobody else can lock the file ({error})")
        trial.refused(driver.send("enqueue", type="check", payload="during"), ErrorCode.BUSY)
        rival.execute("ROLLBACK")
    after = trial.enqueue(driver, "after")
    trial.require(set(trial.snapshot(driver)) == {before, after}, "what was refused was not done")


def end_of_input(trial: Trial) -> None:
    """At the end of its input the driver ends with status 0."""
    driver = trial.start()
    trial.enqueue(driver)
    _ends(trial, driver, driver.end_input, "the end of its input")


def close(trial: Trial) -> None:
    """Asked to close, the driver answers and ends with status 0."""
    driver = trial.start()
    trial.enqueue(driver)
    _ends(trial, driver, lambda: trial.ask(driver, "close"), "the answer to close")


def _ends(trial: Trial, driver: Driver, begin: Callable[[], object], after: str) -> None:
    begin()
    status = driver.process.wait(_END_S)
    trial.require(status is not None, f"it still runs {_END_S:g} s after {after}")
    trial.require(status == 0, f"its exit status is {status}, not 0, after {after}")


def declared(trial: Trial) -> None:
    """What is declared is told apart from what is not, for the reader of the list."""
    driver = trial.start()
    trial.require(asdict(driver.capabilities) == asdict(trial.capabilities), "it changes its mind")
    unknown = set(driver.hello["capabilities"]) - set(asdict(driver.capabilities))
    trial.require(not unknown, f"{sorted(unknown)} are no capabilities; see also {MAINTENANCE}")


FIRST = (
    Check("hello", "The first line is the answer to hello, and the queue's file is made.", hello),
    Check("declared", "Every capability that is declared is one of the document's.", declared),
    Check("in-flight", "Requests sent without waiting are all answered.", in_flight),
    Check("more-fields", "Fields that the document does not have are ignored.", more_fields),
    Check("unsupported", "What is not declared is refused as unsupported.", unsupported),
    Check("junk", "Lines that are no requests are refused, and the driver goes on.", junk),
    Check("fields", "A missing or wrong field is refused, and nothing is done.", fields),
)
LAST = (
    Check("busy", "A lock that is not had in time is busy, not silence.", busy),
    Check("end-of-input", "At the end of its input the driver ends with status 0.", end_of_input),
    Check("close", "Asked to close, it answers and ends with status 0.", close),
)
