"""The learning curve of a run: after its race, or its fit where a method is named, if cheap."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.base.events import Event, tell
from fewtune.data.holdout import first_repeat
from fewtune.pipeline.curve_ground import (
    Ground,
    curve_on,
    ground_of_answers,
    ground_of_labels,
    in_vain,
)
from fewtune.pipeline.curve_price import (
    affordable,
    price,
    row_shares,
    step_shares,
    time_after,
    time_alone,
)
from fewtune.pipeline.run import Run

if TYPE_CHECKING:
    from fewtune.models.batches import Marked
    from fewtune.pipeline.race import Raced
    from fewtune.tasks.labelled import Labelled
    from fewtune.trials.runners import Entrant, Kept, Outcome

CURVE = "learning_curve"  # in the plan; and the folder of its fits, in the run's
_TOO_DEAR = "No learning curve was measured: its fits would have taken too long."
_BROKEN = "No learning curve was measured: `{}` on fewer rows answered with what is no number."
_FAILED = "No learning curve was measured: `{}` on fewer rows failed: {}"


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
    ground = ground_of_labels(run, entrants, own, race, once, raced.task, raced.judge)
    prices = {name: price(fit, row_shares(ground)) for name, fit in outcome.cost.items()}
    if own in prices:
        prices[own] = price(outcome.cost[own], step_shares(run, ground))
    chosen, some = affordable(own, prices, time_after(run, outcome, once), len(once))
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
    ground = ground_of_labels(run, both, own, kept, once, task, LabelJudge(task.choice, targets))
    if in_vain(ground):
        yield from _measure(run, ground, own)
        return
    learned = np.setdiff1d(np.arange(ground.rows), once[0])
    first = fit_once(last, learned, once[0], kept, last.name, 0)
    fit, most = time_alone(run, once)
    prices = {own: price(fit, step_shares(run, ground), whole=True)}
    if last.name == own or not first.failed:
        prices[last.name] = price(first.seconds, row_shares(ground), whole=True)
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
    ground = ground_of_answers(run, [one], one.name, kept, once, rows)
    if in_vain(ground):
        yield from _measure(run, ground, one.name)
        return
    fit, most = time_alone(run, once)
    able = min(len(once), int(most // price(fit, step_shares(run, ground), whole=True)))
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
    ground = ground_of_answers(run, entrants, own, race, once, rows)
    able = int(time_after(run, outcome, once) // price(seconds, step_shares(run, ground)))
    some = once[:able]
    ground = replace(ground, folds=some)
    yield from _measure(run, ground, own or None, _on_some(len(some), len(once)))


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

    if said := in_vain(ground):
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
    found = told(curve_on(ground, heard), entrant.name, ground.learned, run.seed)
    if chosen != ground.own:
        added += f" That of `{ground.own}` would have taken too long."
    yield from _keep(run, found | {"said": found["said"] + added})


def _keep(run: Run, found: dict[str, Any]) -> Iterator[Event]:
    run.chosen[CURVE] = found
    run.keep_plan()
    yield tell("tried", what="learning curve", table=found["points"], kept=[found["said"]])


def curve_of(run: Run) -> dict[str, Any]:
    """What `scores.json` has of it; nothing where there is none."""
    return {CURVE: run.chosen[CURVE]} if "said" in run.chosen.get(CURVE, {}) else {}
