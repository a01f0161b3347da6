"""The end of a scenario: faults in the history, and latencies before, during and after them."""

from types import SimpleNamespace

import pytest
from histories import Script

from harness.closing import Books, fault_on
from harness.history import History, Outcome
from harness.outcome import Inconclusive


def books(script):
    """What a scenario wrote down, and the measures that its check gets."""
    measures = {}
    return Books(
        history=SimpleNamespace(operations=lambda: tuple(script.operations)),
        promises=None,
        evidence=SimpleNamespace(
            measure=lambda name, value, unit: measures.update({name: (value, unit)})
        ),
    ), measures


def around_a_fault(without=None):
    """A task before, during and after a fault from 10 to 20 s; of ``without`` there is none."""
    script = Script().add("", "fault", 10.0, lasted_s=10.0)
    for task, at_s in enumerate((5.0, 15.0, 25.0)):
        phase = ("before", "during", "after")[task]
        if (phase, "enqueue") != without:
            script.enqueue(f"k{task}", at_s, lasted_s=0.2)
        if (phase, "claim") != without:
            script.claim("w", task, at_s + 1.0, lasted_s=0.3)
        outcome = Outcome.FAILED if (phase, "complete") == without else Outcome.OK
        script.about("complete", "w", task, at_s + 2.0, lasted_s=0.4, outcome=outcome)
    return script


def test_latencies_are_told_before_during_and_after():
    """Every operation has its figures in each of the three."""
    told, measures = books(around_a_fault())

    told.tell_latencies()

    for phase in ("before", "during", "after"):
        for op, lasted_ms in (("enqueue", 200.0), ("claim", 300.0), ("complete", 400.0)):
            assert measures[f"{op}_{phase}_p99"] == (pytest.approx(lasted_ms), "ms")


@pytest.mark.parametrize("phase", ["before", "during", "after"])
@pytest.mark.parametrize("op", ["enqueue", "claim", "complete"])
def test_a_figure_that_is_missing_leaves_the_check_open(phase, op):
    """Not asked for, or never acknowledged: nobody knows how long it takes then."""
    told, measures = books(around_a_fault(without=(phase, op)))

    with pytest.raises(Inconclusive, match=f"no latency is known of {op} {phase} the fault"):
        told.tell_latencies()
    assert measures, "what is known is told all the same"


def test_without_a_fault_there_is_no_during():
    """A scenario that forgets to write its fault down is told so."""
    told, _measures = books(Script().enqueue("k", 1.0))

    with pytest.raises(Inconclusive, match="enqueue during, enqueue after"):
        told.tell_latencies(["enqueue"])


def test_only_what_is_asked_for_must_be_known():
    """Where nothing is claimed the claims are not missed."""
    script = Script().add("", "fault", 10.0, lasted_s=10.0)
    for number, at_s in enumerate((5.0, 15.0, 25.0)):
        script.enqueue(f"k{number}", at_s)

    books(script)[0].tell_latencies(["enqueue"])


def test_a_fault_is_in_the_history_from_its_beginning_to_its_end(tmp_path):
    """Also where the body fails; the window has the same moments."""
    windows = []

    def fail(history):
        with fault_on(history, "w", lost=True) as window:
            windows.append(window)
            raise ZeroDivisionError

    with History(tmp_path / "history.jsonl") as history:
        before_s = history.now_s()
        with pytest.raises(ZeroDivisionError):
            fail(history)
        (operation,) = history.operations()

    assert (operation.op, operation.worker, operation.facts) == ("fault", "w", {"lost": True})
    assert before_s <= operation.invoked_s <= windows[0].began_s
    assert windows[0].began_s <= windows[0].ended_s <= operation.returned_s
