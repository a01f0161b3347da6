"""The client of a driver: whatever the driver does, the harness gets an answer or a deadline."""

import contextlib
import os
import sys
from pathlib import Path

import psutil
import pytest

from harness.drivers.client import (
    Driver,
    DriverGoneError,
    DriverLeftError,
    DriverRefusedError,
    DriverTimeoutError,
    DriverWrongError,
)
from harness.drivers.protocol import VERSION
from harness.waiting import wait_until

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has neither groups nor SIGSTOP")
# Windows does not tell an exit from a kill where its status is not 0.
LEFT = DriverGoneError if os.name == "nt" else DriverLeftError
ODD_DRIVER = Path(__file__).with_name("odd_driver.py")


def start(tmp_path, protocol=VERSION):
    """Start the odd driver."""
    command = [sys.executable, "-X", "utf8", str(ODD_DRIVER), str(protocol)]
    return Driver(command, name="odd", stderr_path=tmp_path / "odd.stderr")


@pytest.fixture
def driver(tmp_path):
    """An odd driver that is gone afterwards."""
    with start(tmp_path) as driver:
        yield driver


def test_an_answer_comes_back_with_its_text_whole(driver):
    """Text of any kind goes there and back unchanged."""
    text = 'ä\n"\0\u2028 𝄞'
    assert driver.request("echo", text=text)["text"] == text


def test_answers_find_their_requests(driver):
    """Requests that are in flight together each get their own answer."""
    flights = [driver.send("echo", text=str(number)) for number in range(50)]
    assert [flight.wait()["text"] for flight in flights] == [str(n) for n in range(50)]


def test_hello_tells_what_is_promised(driver):
    """What hello declares is known, what it leaves out is not promised, the rest is ignored."""
    assert driver.capabilities.leases
    assert not driver.capabilities.fencing


def test_another_protocol_is_refused_and_the_process_is_gone(tmp_path):
    """A driver of another version is refused, and nothing of it stays behind."""
    with pytest.raises(DriverWrongError, match="protocol 99, this harness 1; line 1: "):
        start(tmp_path, protocol=99)
    assert psutil.Process().children() == []


def test_a_driver_that_cannot_start_is_an_error(tmp_path):
    """A program that ends at once is said to be gone, and where its words are."""
    with pytest.raises(DriverGoneError, match=r"x\.stderr"):
        Driver([sys.executable, "-c", "1/0"], name="x", stderr_path=tmp_path / "x.stderr")
    assert "ZeroDivisionError" in (tmp_path / "x.stderr").read_text()


@pytest.mark.parametrize("op", ["hang", "deaf"])
def test_a_driver_that_does_not_answer_meets_the_deadline(driver, op):
    """No answer is a timeout with an unknown outcome."""
    with pytest.raises(DriverTimeoutError) as caught:
        driver.request(op, timeout_s=0.05)
    assert caught.value.unknown


def test_a_driver_that_does_not_read_blocks_nobody(driver):
    """Sending more than a pipe holds to a driver that reads nothing returns at once."""
    driver.send("deaf")
    flight = driver.send("echo", text="x" * 1_000_000)
    assert not flight.answered()
    driver.kill()
    with pytest.raises(DriverGoneError):
        flight.wait()


def test_a_driver_that_ends_leaves_the_outcome_unknown(driver):
    """Whatever was in flight when a driver died is unknown, at once."""
    waiting = driver.send("hang")
    with pytest.raises(DriverGoneError) as caught:
        driver.request("die")
    assert caught.value.unknown
    with pytest.raises(DriverGoneError):
        waiting.wait()
    with pytest.raises(DriverGoneError):
        driver.request("echo", text="later")


@pytest.mark.parametrize(
    ("op", "what"),
    [
        ("banner", r"it is no JSON object in UTF-8 .*; line 2: Loading \\x1b\[31m\.\.\.\\x00$"),
        ("marked", r"it is no JSON object in UTF-8 .*BOM.*; line 2: \\ufeff\{"),
        ("empty", r"it is no JSON object in UTF-8 .*; line 2: $"),
        ("infinite", r"1e999 is too large\); line 2: \{"),
        ("deep", r"it is nested more than 100 levels deep; line 2: \{"),
        ("spam", r"it answers id 1, which nobody asked; line 2: \{"),
        ("garbage", r"it is no JSON object in UTF-8 .*; line 2: no JSON at all$"),
        ("latin-1", r"it is no JSON object in UTF-8 .*; line 2: \{\"id\":1,\"ok\":\"\\xe4\"\}$"),
        ("stranger", r"it answers id 999, which nobody asked; line 2: \{"),
        ("text-id", r"it answers id \"3\", which nobody asked; line 2: \{"),
        ("no-ok", r"the answer lacks the field 'ok'; line 2: \{"),
        ("own-code", r"field 'code': must be of lease-lost, .*, not \"x\"; line 2: \{"),
        ("snapshot", r"'tasks', field 'id': must be an integer, not \"1\"; line 2: \{"),
        ("flood", r"a line is longer than 67108864 bytes; line 2: x{200}\.\.\.$"),
    ],
)
def test_a_driver_that_says_something_wrong_is_told_by_the_line(driver, op, what):
    """One wrong line ends the conversation, at once and with its number and its start."""
    waiting = driver.send("hang")
    wrong = driver.send(op)
    for pending in (wrong, waiting, driver.send("echo", text="later")):
        with pytest.raises(DriverWrongError, match=what) as caught:
            pending.wait(30)
        assert caught.value.unknown


def test_an_answer_that_nobody_waits_for_is_wrong(driver):
    """A second answer to the same request ends the conversation."""
    assert driver.request("twice")["ok"]
    with pytest.raises(DriverWrongError, match="it answers id 2, which nobody asked; line 3: "):
        driver.request("hang")


def test_a_line_that_was_cut_off_by_the_end_is_an_end(driver):
    """A driver that dies while it writes has ended, and the error shows what it began."""
    with pytest.raises(
        DriverGoneError, match=r'status 0\), and its line 2 has no end: \{"id":2,"o'
    ):
        driver.request("torn")


def test_a_line_without_an_end_is_told_at_the_deadline(driver):
    """A driver that forgets the line feed is told what it has begun."""
    with pytest.raises(
        DriverTimeoutError, match=r'odd has not .*; line 2 has no end: \{"id":2,"o$'
    ):
        driver.request("half", timeout_s=1)


def test_a_line_that_ends_as_on_windows_is_taken(driver):
    """CR before LF is white space."""
    assert driver.request("crlf")["ok"]


@POSIX
def test_a_driver_that_stops_itself_is_told_at_the_deadline(driver):
    """Nobody is left to guess why there is no answer, and it is ended all the same."""
    flight = driver.send("stop")
    wait_until(driver.suspended, "the stop", timeout_s=10)
    with pytest.raises(DriverTimeoutError, match="its process is suspended"):
        flight.wait(0.05)
    driver.close()
    assert driver.killed_by_signal()


@pytest.mark.parametrize(
    ("op", "fact"),
    [
        ("die", r"odd has ended \(exit status 3\); see .*odd\.stderr"),
        ("close-output", "odd has closed its standard output, and still runs; see "),
        ("close-input", "odd has closed its standard input, and still runs; see "),
        pytest.param("leave-child", r"odd has ended \(exit status 3\)", marks=POSIX),
        ("leave-orphan", "odd has ended, and left a process behind that holds its pipes"),
    ],
)
def test_a_driver_that_leaves_by_itself_is_wrong(driver, op, fact):
    """Long before its deadline everything in flight has an error with the fact."""
    flight = driver.send(op)
    if op == "close-input":
        flight = wait_until(lambda: _unsent(driver), "a broken pipe", timeout_s=30)
    with pytest.raises(LEFT, match=fact) as caught:
        flight.wait(14)
    assert caught.value.unknown
    with pytest.raises(LEFT, match=fact):
        driver.request("echo", text="later")
    _end_what_was_left(driver)


def _unsent(driver):
    """Return a request that will have no answer, once the driver has closed its input."""
    flight = driver.send("echo", text="x")
    return flight if flight.answered() else None


def _end_what_was_left(driver):
    for pid in driver.stderr_path.read_text().split():
        with contextlib.suppress(psutil.NoSuchProcess):
            left = psutil.Process(int(pid))
            if "threading" in " ".join(left.cmdline()):
                left.kill()
    wait_until(lambda: _closed(driver), "the end of the pipes", timeout_s=20)


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_driver_that_was_ended_did_not_leave_by_itself(driver, end):
    """What the harness does itself is nothing wrong of the driver's."""
    flight = driver.send("hang")
    getattr(driver, end)()
    with pytest.raises(DriverGoneError) as caught:
        flight.wait()
    assert not isinstance(caught.value, DriverWrongError)


def test_a_driver_that_was_killed_by_somebody_did_not_leave_by_itself(driver):
    """A kill from outside is a fault, and no word about the driver."""
    flight = driver.send("hang")
    psutil.Process(driver.pid).kill()
    with pytest.raises(DriverGoneError) as caught:
        flight.wait()
    assert not isinstance(caught.value, DriverWrongError)


def test_standard_error_without_end_is_ended_before_the_disk_is_full(driver, monkeypatch):
    """A driver that says too much there is killed, and the error says what it did."""
    monkeypatch.setattr("harness.drivers.client.STDERR_BYTES", 1_000_000)
    with pytest.raises(DriverWrongError, match="more than 1000000 bytes on its standard error"):
        driver.request("scream")
    wait_until(lambda: driver.exit_status is not None, "the end", timeout_s=10)


def test_a_driver_that_floods_its_output_is_closed(driver):
    """Nobody reads what comes after the first wrong line, and the end does not wait for it."""
    with pytest.raises(DriverWrongError):
        driver.request("spam")
    driver.close()
    assert not psutil.pid_exists(driver.pid)


def test_ctrl_c_while_a_driver_is_ended_leaves_no_process(driver, monkeypatch):
    """Whoever is interrupted while waiting for a driver's end has killed it."""
    driver.send("deaf")

    def interrupted(_timeout_s):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(driver.process, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            driver.close()
    wait_until(lambda: driver.exit_status is not None, "the kill", timeout_s=10)


def test_a_kill_ends_what_the_driver_started(driver):
    """The children of a driver die with it: they do its work, and hold its pipes."""
    child = psutil.Process(driver.request("child")["pid"])
    driver.kill()
    assert driver.killed_by_signal()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_suspension_stops_what_the_driver_started(driver):
    """A driver stands still only when its children do."""
    child = psutil.Process(driver.request("child")["pid"])
    driver.suspend()
    wait_until(driver.suspended, "the suspension", timeout_s=10)
    assert child.status() == psutil.STATUS_STOPPED
    driver.resume()
    assert not driver.suspended()


def test_a_process_that_was_left_behind_with_the_pipes_hangs_nobody(driver, monkeypatch):
    """A child that has left the driver's group and holds its pipes is an error with a deadline."""
    monkeypatch.setattr("harness.drivers.client._REAP_TIMEOUT_S", 0.1)
    orphan = psutil.Process(driver.request("orphan")["pid"])
    with pytest.raises(DriverTimeoutError, match="left a process behind that holds its pipes"):
        driver.kill()
    orphan.kill()
    wait_until(lambda: _closed(driver), "the end of the pipes", timeout_s=10)


def _closed(driver):
    try:
        driver.close()
    except DriverTimeoutError:
        return False
    return True


@pytest.mark.parametrize(("op", "unknown"), [("refuse", False), ("shrug", True)])
def test_a_refusal_says_whether_it_was_surely_not_done(driver, op, unknown):
    """Only a driver that says so makes an operation surely not done."""
    with pytest.raises(DriverRefusedError) as caught:
        driver.request(op)
    assert caught.value.unknown is unknown


def test_much_on_stderr_blocks_nobody_and_is_kept(driver):
    """A megabyte on stderr is drained into a file."""
    driver.request("chatter")
    assert driver.stderr_path.stat().st_size == 1_000_000


def test_a_killed_driver_is_known_by_how_it_ended(driver):
    """A kill is told from an end of its own."""
    assert driver.exit_status is None
    driver.kill()
    assert driver.killed_by_signal()
    assert not psutil.pid_exists(driver.pid)


def test_a_driver_that_ended_by_itself_was_not_killed(driver):
    """An exit is no kill, whatever its status."""
    driver.send("die")
    wait_until(lambda: driver.exit_status is not None, "the end", timeout_s=10)
    assert not driver.killed_by_signal()


def test_a_suspended_driver_is_seen_and_ended(driver):
    """A driver that stands still is shown so, goes on when told, and is ended suspended too."""
    driver.suspend()
    wait_until(driver.suspended, "the suspension", timeout_s=10)
    driver.resume()
    assert driver.request("echo", text="again")["text"] == "again"
    driver.suspend()
    wait_until(driver.suspended, "the suspension", timeout_s=10)
    driver.close()
    assert not psutil.pid_exists(driver.pid)


def test_closing_ends_the_process_by_the_end_of_its_input(driver):
    """A driver that obeys ends with status 0, and closing twice does no harm."""
    driver.close()
    driver.close()
    assert driver.exit_status == 0
