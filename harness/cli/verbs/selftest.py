"""``queuedrill selftest``."""

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from harness.planted import Defect
    from harness.selftest.bench import Bench
    from harness.selftest.trial import Trial
    from reports.detection import Detection

from ..console import Console
from ..options import AsJson, Debug
from ..speaking import speaking

_SEED_LIMIT = 2**31
_NAME_WIDTH = 34


def selftest(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DEFECT]...", show_default=False, help="Only these defects."),
    ] = None,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Run all of the gate on each defect: the whole matrix.")
    ] = False,
    nightly: Annotated[
        bool, typer.Option("--nightly", help="Try those too that only nightly can see.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, help="Of all random choices; else a new one.", show_default=False
        ),
    ] = None,
    clean: Annotated[
        int, typer.Option("--clean", min=0, metavar="N", help="Also run the gate N times as it is.")
    ] = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs side by side.")] = 2,
    report_dir: Annotated[
        str,
        typer.Option("--report-dir", metavar="DIR", help="Where results are kept and added up."),
    ] = "queue-report",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Try the gate on itself: each planted defect must come out red, and the core as it is never.

    Every result is added to those of earlier runs in the report folder; the next report of the
    gate there shows them.
    """
    with speaking("selftest", as_json=as_json, debug=debug) as console:
        from harness.selftest.bench import Bench
        from harness.selftest.code import code_digest
        from harness.selftest.memory import Memory

        defects = _chosen(names or [], nightly=nightly)
        folder = Path(report_dir).absolute()
        bench = Bench(folder, Memory(folder, code_digest()), jobs)
        chosen_seed = secrets.randbelow(_SEED_LIMIT) if seed is None else seed
        console.say(f"{len(defects)} planted defects, seed {chosen_seed}:")
        trials = [
            _told(console, each) for each in bench.try_defects(defects, chosen_seed, whole=full)
        ]
        alarms = _run_clean(console, bench, clean, chosen_seed)
        detection = bench.memory.detection()
        console.facts.update(
            seed=chosen_seed,
            trials=[asdict(trial) for trial in trials],
            clean=clean,
            false_alarms=alarms,
        )
        _sum_up(console, trials, alarms, detection)


def _chosen(names: list[str], *, nightly: bool) -> "list[Defect]":
    from harness.planted import DEFECTS
    from harness.profile import Profile

    unknown = [name for name in names if name not in DEFECTS]
    if unknown:
        raise typer.BadParameter(f"no defect {unknown[0]!r}. Give some of: {', '.join(DEFECTS)}")
    if names:
        return [DEFECTS[name] for name in names]
    return [each for each in DEFECTS.values() if nightly or each.profile is Profile.GATE]


def _told(console: Console, trial: "Trial") -> "Trial":
    from harness.selftest.trial import State

    caught = trial.state is State.CAUGHT
    mark = "caught" if caught else "MISSED" if trial.state is State.MISSED else "NOT AS IT MUST"
    console.say(
        f"{mark:<14}  {trial.name:<{_NAME_WIDTH}}  {_by(trial)}", "good" if caught else "bad"
    )
    return trial


def _by(trial: "Trial") -> str:
    if trial.by:
        return "; ".join(trial.by)
    failed = f"; failed: {', '.join(trial.failed)}" if trial.failed else ""
    return f"{trial.state.value}{failed}"


def _run_clean(console: Console, bench: "Bench", count: int, seed: int) -> int:
    alarms = 0
    for number in range(count):
        ran = bench.run_clean(seed + number)
        alarms += not ran.ready
        said = "clean" if ran.ready else f"FALSE ALARM: {'; '.join(ran.failed) or 'no verdict'}"
        console.say(f"run {number + 1} of {count}, seed {ran.seed}: {said}", _tone(good=ran.ready))
    return alarms


def _sum_up(
    console: Console, trials: "list[Trial]", alarms: int, detection: "Detection | None"
) -> None:
    from harness.selftest.trial import State

    missed = [trial.name for trial in trials if trial.state is not State.CAUGHT]
    if missed or alarms:
        console.not_good()
    caught = len(trials) - len(missed)
    console.say(f"Caught now: {caught} of {len(trials)}.", _tone(good=not missed))
    if missed:
        console.say(f"Not caught: {', '.join(missed)}.", "bad")
    if detection is not None:
        console.facts["so_far"] = detection.sentence
        console.say(f"So far: {detection.sentence}")


def _tone(*, good: bool) -> Literal["good", "bad"]:
    return "good" if good else "bad"
