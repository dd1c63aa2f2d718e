"""The learning curve of a run: after its race, or its fit where a method is named, if cheap."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.base.events import Event, tell
from fewtune.choose.recipe import decide
from fewtune.data.holdout import first_repeat
from fewtune.evaluate.answers import Likelihood, Sums, boiled
from fewtune.pipeline.judge import sums_of
from fewtune.pipeline.parted import units_of_rows
from fewtune.pipeline.run import Run
from fewtune.tasks.generate import Generate
from fewtune.tasks.labelled import Answered

if TYPE_CHECKING:
    from fewtune.data.row import Row
    from fewtune.models.batches import Marked
    from fewtune.pipeline.race import Raced
    from fewtune.tasks.labelled import Labelled
    from fewtune.trials.entrants import LabelJudge
    from fewtune.trials.learning_curve import Curve, Heard
    from fewtune.trials.runners import Entrant, Kept, Outcome
    from fewtune.trials.smaller import Smaller

CURVE = "learning_curve"  # in the plan; and the folder of its fits, in the run's
CHEAP = 30.0  # seconds that nobody minds after a race
MOMENT = 5.0  # and after the shortest of fits
FITS = 2  # of the winner, that a curve may take in any case
INSTEAD = "probe"  # whose curve is told where the winner's is too dear
#: The answers to the rows of some folds, (rows, ...), and the folds' positions -> the score.
Scored = Callable[[np.ndarray, Sequence[np.ndarray]], Sums]

_TOO_DEAR = "No learning curve was measured: its fits would have taken too long."
_TOO_FEW = (
    "No learning curve was measured: a fold learns {:,} rows, and below {:,} it shows nothing."
)
_TOO_ALIKE = (
    "No learning curve was measured: the classes are too small for a curve, for a row of each is "
    "already most of what a fold learns."
)
_BROKEN = "No learning curve was measured: `{}` on fewer rows answered with what is no number."
_FAILED = "No learning curve was measured: `{}` on fewer rows failed: {}"


@dataclass(frozen=True)
class Ground:
    """What a curve of a run is measured on.

    Attributes:
        entrants: among whom is the one whose curve it is; `own` names the run's method.
        fits: where those to all rows of a fold are.
        folds: held-out positions of each, of one repeat.
        rows: how many positions there are; `count` tells how many rows some of them are.
        smaller: draws the smaller sets.
        metric: of `scored`.
        learned: rows that the final fit learns.
    """

    entrants: Sequence[Entrant]
    own: str
    fits: Kept
    folds: Sequence[np.ndarray]
    rows: int
    smaller: Smaller
    metric: str
    scored: Scored
    learned: int
    count: Callable[[np.ndarray], int] = len


def learn_curve(
    run: Run, entrants: Sequence[Entrant], raced: Raced, race: Kept
) -> Generator[Event, None, None]:
    """Measure what more labelled rows would bring and write it into the plan.

    The winner's curve, where there is time for its fits on half of the folds or more, else that of
    the probe. A `--budget` has what the race and the final fit leave of it; without one a curve
    takes no longer than two more folds, or a moment.
    """
    if not _wanted(run):
        return
    once, outcome = raced.first_folds, raced.outcome
    own = outcome.winner
    ground = _ground(run, entrants, own, race, once, raced.task, raced.judge)
    prices = {name: _price(fit, _shares(ground)) for name, fit in outcome.cost.items()}
    if own in prices:
        prices[own] = _price(outcome.cost[own], _parts(run, ground))
    chosen, some = affordable(own, prices, _time(run, outcome, once), len(once))
    ground = replace(ground, folds=once[:some])
    yield from _measure(run, ground, chosen, _on_some(some, len(once)))


def learn_curve_alone(
    run: Run, task: Labelled, entrants: Callable[[], Sequence[Entrant]], targets: np.ndarray
) -> Generator[Event, None, None]:
    """The same after the fit of a method that was named, which has no folds' fits to share.

    It takes about as long as the run so far (or a moment) at the most, and as after a race.

    Args:
        entrants: makes the run's method, and after it the stand-in where that is another one.
        targets: of the training rows.
    """
    from fewtune.trials.entrants import LabelJudge
    from fewtune.trials.fits import FitsOnDisk
    from fewtune.trials.learning_curve import fit_once

    once = _folds(run) if _wanted(run) else []
    if len(once) < 2:
        return
    both, kept = entrants(), FitsOnDisk(run.folder.path / CURVE)
    own, last = both[0].name, both[-1]
    ground = _ground(run, both, own, kept, once, task, LabelJudge(task.choice, targets))
    if _in_vain(ground):
        yield from _measure(run, ground, own)
        return
    learned = np.setdiff1d(np.arange(ground.rows), once[0])
    first = fit_once(last, learned, once[0], kept, last.name, 0)
    fit, most = _alone(run, once)
    prices = {own: _price(fit, _parts(run, ground), whole=True)}
    if last.name == own or not first.failed:
        prices[last.name] = _price(first.seconds, _shares(ground), whole=True)
    chosen, some = _once(run, *affordable(own, prices, most, len(once)))
    ground = replace(ground, folds=once[:some])
    yield from _measure(run, ground, chosen, _on_some(some, len(once)))


def learn_curve_of_answers_alone(
    run: Run, entrant: Callable[[list[np.ndarray]], Entrant], rows: Marked
) -> Generator[Event, None, None]:
    """The same of rows with answers, where the fits are a moment's work.

    Args:
        entrant: the run's method on some folds.
    """
    from fewtune.trials.answer_entrants import folds_of_rows
    from fewtune.trials.fits import FitsOnDisk

    once = first_repeat(folds_of_rows(rows, _folds(run))) if _wanted(run) else []
    if len(once) < 2:
        return
    one, kept = entrant(once), FitsOnDisk(run.folder.path / CURVE)
    ground = _ground_of_answers(run, [one], one.name, kept, once, rows)
    if _in_vain(ground):
        yield from _measure(run, ground, one.name)
        return
    fit, most = _alone(run, once)
    able = min(len(once), int(most // _price(fit, _parts(run, ground), whole=True)))
    chosen, some = _once(run, one.name, able)
    ground = replace(ground, folds=once[:some])
    yield from _measure(run, ground, chosen, _on_some(some, len(once)))


def _once(run: Run, name: str | None, folds: int) -> tuple[str | None, int]:
    """Whose curve it is and on how many folds, written down: a resume has other times."""
    told = run.chosen.setdefault(CURVE, {"of": name, "folds": folds})
    run.keep_plan()
    return told["of"], told["folds"]


def _folds(run: Run) -> list[np.ndarray]:
    """Held-out positions, no row in two folds; none where no row can be held out."""
    try:
        return first_repeat(run.folds)
    except FewtuneError:
        return []


def _alone(run: Run, folds: Sequence[np.ndarray]) -> tuple[float, float]:
    """Seconds that a fold's fit takes by the run's own, and that its curve may take."""
    spent = run.seconds["train"] + run.earlier  # of a resumed run too much, and never too little
    fit = spent * (1 - 1 / len(folds))
    so_far = max(MOMENT, perf_counter() - run.begun + run.earlier)
    return fit, min(so_far, time_for(np.inf, fit, soft=True))


def _ground(
    run: Run, entrants: Sequence[Entrant], own: str, fits: Kept, folds: Sequence[np.ndarray],
    task: Labelled, judge: LabelJudge,
) -> Ground:  # fmt: skip
    """Rows with labels."""
    from fewtune.trials.smaller import of_targets

    rows = len(judge.targets)
    return Ground(
        entrants, own, fits, folds, rows, of_targets(judge.targets, run.seed), task.primary,
        _labels(task, judge, run.job.trials.thresholds, run.data.train), rows,
    )  # fmt: skip


def learn_curve_of_answers(
    run: Run, entrants: Sequence[Entrant], outcome: Outcome, folds: list[np.ndarray], rows: Marked,
    race: Kept,
) -> Generator[Event, None, None]:  # fmt: skip
    """The same of rows with answers: the loss of the winner.

    There is no cheap stand-in for it, so it is measured on as many folds as there is time for; on
    one it takes no longer than two more of the race's fits.
    """
    if not _wanted(run):
        return
    once = first_repeat(folds)
    seconds = outcome.cost.get(outcome.winner, np.inf)
    own = outcome.winner
    ground = _ground_of_answers(run, entrants, own, race, once, rows)
    able = int(_time(run, outcome, once) // _price(seconds, _parts(run, ground)))
    some = once[:able]
    ground = replace(ground, folds=some)
    yield from _measure(run, ground, own or None, _on_some(len(some), len(once)))


def _ground_of_answers(
    run: Run, entrants: Sequence[Entrant], own: str, fits: Kept, folds: Sequence[np.ndarray],
    rows: Marked,
) -> Ground:  # fmt: skip
    from fewtune.trials.smaller import of_owners

    owners = np.array(rows.rows)

    def count(positions: np.ndarray) -> int:
        return len(np.unique(owners[positions]))

    return Ground(
        entrants, own, fits, folds, len(rows), of_owners(owners, run.seed), Generate.primary,
        _losses_of(owners, run.data.train), len(np.unique(owners)), count,
    )  # fmt: skip


def _on_some(folds: int, of: int) -> str:
    if folds == of:
        return ""
    return f" It was measured on {folds} of {of} folds; all would have taken too long."


def _wanted(run: Run) -> bool:
    """A resumed run finds it in the plan."""
    return "said" not in run.chosen.get(CURVE, {}) and run.job.trials.learning_curve


def _measure(
    run: Run, ground: Ground, chosen: str | None, added: str = ""
) -> Generator[Event, None, None]:
    """The curve of a candidate, written down."""
    from fewtune.trials.fits import FitsOnDisk
    from fewtune.trials.learning_curve import measured, told

    if said := _in_vain(ground):
        yield from _keep(run, {"points": [], "said": said})
        return
    entrant = next((one for one in ground.entrants if one.name == chosen), None)
    if entrant is None or not ground.folds:
        yield from _keep(run, {"points": [], "said": _TOO_DEAR})
        return
    kept = FitsOnDisk(run.folder.path / CURVE)
    heard = yield from measured(
        entrant, ground.folds, ground.rows, ground.smaller, ground.fits, kept, ground.count
    )
    if heard.failed:
        yield from _keep(run, {"points": [], "said": _FAILED.format(entrant.name, heard.failed)})
        return
    if not all(np.isfinite(one).all() for one in heard.answers):
        yield from _keep(run, {"points": [], "said": _BROKEN.format(entrant.name)})
        return
    found = told(_curve(ground, heard), entrant.name, ground.learned, run.seed)
    if chosen != ground.own:
        added += f" That of `{ground.own}` would have taken too long."
    yield from _keep(run, found | {"said": found["said"] + added})


def _in_vain(ground: Ground) -> str:
    """Why the rows allow no curve; empty where they do."""
    from fewtune.trials.learning_curve import LEAST, SHARES, sizes_of, too_alike

    held = ground.folds[0] if len(ground.folds) else np.empty(0, dtype=np.int64)
    learned = ground.count(np.setdiff1d(np.arange(ground.rows), held))
    if learned * SHARES[0] < LEAST:
        return _TOO_FEW.format(learned, round(LEAST / SHARES[0]))
    if not len(ground.folds):
        return ""
    sizes = sizes_of(ground.folds, ground.rows, ground.smaller, ground.count)
    return _TOO_ALIKE if too_alike(sizes) else ""


def _curve(ground: Ground, heard: Heard) -> Curve:
    from fewtune.trials.learning_curve import Curve

    scores = [ground.scored(answers, ground.folds) for answers in heard.answers]
    return Curve(heard.sizes, scores, ground.metric)


def _keep(run: Run, found: dict[str, Any]) -> Iterator[Event]:
    run.chosen[CURVE] = found
    run.keep_plan()
    yield tell("tried", what="learning curve", table=found["points"], kept=[found["said"]])


def curve_of(run: Run) -> dict[str, Any]:
    """What `scores.json` has of it; nothing where there is none."""
    return {CURVE: run.chosen[CURVE]} if "said" in run.chosen.get(CURVE, {}) else {}


# ---- whose, and on which folds


def affordable(
    own: str, prices: Mapping[str, float], most: float, folds: int
) -> tuple[str | None, int]:
    """Whose curve can be had in some seconds: its own, else the probe's, else nobody's.

    Args:
        own: the run's method.
        prices: seconds of a curve on one fold, by name.
        most: seconds that there are.
        folds: how many there are.

    Returns:
        The name, and on how many of the folds: all of them, or half at the least.
    """
    if own in prices:
        for name in (own, INSTEAD):
            some = min(folds, int(most // prices[name])) if name in prices else 0
            if 2 * some >= folds:
                return name, some
    return None, 0


def _time(run: Run, outcome: Outcome, folds: Sequence[np.ndarray]) -> float:
    """How many seconds a curve may take.

    Args:
        folds: of one repeat; the final fit learns one part of so many more than each of theirs.
    """
    told, fit = run.chosen["race"], outcome.cost.get(outcome.winner, 0.0)
    return time_for(
        told["budget"] - outcome.seconds - fit * len(folds) / max(1, len(folds) - 1),
        fit,
        told["soft"],
    )


def time_for(left: float, fit: float, soft: bool) -> float:
    """The same of what race and final fit leave, by what a fold takes.

    Args:
        soft: nobody asked for the budget.

    >>> time_for(500.0, 20.0, soft=False), time_for(500.0, 20.0, soft=True)
    (500.0, 40.0)
    """
    return max(FITS * fit, min(CHEAP, left)) if soft else max(0.0, left)


def _price(fit: float, parts: Sequence[float], whole: bool = False) -> float:
    """Seconds of a curve on one fold.

    Args:
        fit: seconds of a fit to all rows that the fold leaves.
        parts: of that time, which the fits to fewer rows take.
        whole: that fit is to be made too.
    """
    return fit * (sum(parts) + whole)


def _shares(ground: Ground) -> list[float]:
    """Of the rows that a fold learns the parts that the smaller sets have."""
    from fewtune.trials.learning_curve import sizes_of

    sizes = sizes_of(ground.folds, ground.rows, ground.smaller, ground.count)
    return (sizes[:-1] / sizes[-1]).tolist()


def _parts(run: Run, ground: Ground) -> list[float]:
    """Of the steps of the fit to all that a fold learns the parts that the run's method takes on
    the smaller sets: few rows have more passes, and some methods a least number of steps."""
    if not run.method.needs_steps:
        return _shares(ground)
    from fewtune.trials.folds import alone

    options, width = alone(run.job.train), run.answer_width
    learned = ground.rows - len(ground.folds[0])  # pieces of long texts are each one to a fit
    steps = [
        decide(run.method, options, round(share * learned), False, width).steps
        for share in (*_shares(ground), 1)
    ]
    return [one / steps[-1] for one in steps[:-1]]


# ---- what answers are worth


def _labels(task: Labelled, judge: LabelJudge, kind: str, rows: Sequence[Row]) -> Scored:
    """Labels: the metric that decides, at thresholds that suit the answers of each size."""

    def scored(answers: np.ndarray, folds: Sequence[np.ndarray]) -> Sums:
        held = np.concatenate(folds)
        truth, found = judge.targets[held], judge.probabilities(answers, held)
        answered = _unseen(task, found, truth, [len(one) for one in folds], kind)
        units = units_of_rows([rows[k] for k in held])
        return replace(sums_of(task, truth, answered), units=units)

    return scored


def _unseen(
    task: Labelled, found: np.ndarray, truth: np.ndarray, folds: Sequence[int], kind: str
) -> Answered:
    """What is answered by thresholds that have not seen the rows, as in the run's own scores.

    Those of a fold are chosen on the others, and of one fold those of a half on the other half.

    Args:
        found: probabilities, fold after fold, (rows, classes).
        truth: the targets.
        folds: how many rows each has.
    """
    part = np.repeat(np.arange(len(folds)), folds)
    if len(folds) < 2:
        part = np.random.default_rng(0).permutation(len(found)) % 2
    chosen = np.zeros(found.shape, dtype=bool)
    for one in np.unique(part):
        others = part != one
        decided = task.decided_on(found[others], truth[others], kind)
        chosen[~others] = decided.answered(found[~others]).chosen
    return Answered(found, chosen)


def _losses_of(owners: np.ndarray, rows: Sequence[Row]) -> Scored:
    """Answers: nats a token, all pieces of a row together."""

    def scored(answers: np.ndarray, folds: Sequence[np.ndarray]) -> Sums:
        asked, row = np.unique(owners[np.concatenate(folds)], return_inverse=True)
        summed = np.zeros((row.max() + 1, answers.shape[1]))
        np.add.at(summed, row, answers)
        units = units_of_rows([rows[k] for k in asked])
        return boiled(likelihood=Likelihood(*summed.T), units=units)[Generate.primary]

    return scored
