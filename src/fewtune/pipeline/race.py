"""The race of a run: which methods, on which folds, for how long; and what its end decides."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.base.events import Event, tell
from fewtune.base.race_state import RaceState
from fewtune.data.holdout import first_repeat
from fewtune.pipeline.contenders import fields_of, start_of
from fewtune.pipeline.job import races
from fewtune.pipeline.learning import learn_curve, learn_curve_of_answers
from fewtune.pipeline.run import Run
from fewtune.pipeline.setting import FITS, setting_of
from fewtune.pipeline.thresholds import keep, texts

if TYPE_CHECKING:
    from fewtune.models.batches import Marked
    from fewtune.tasks.labelled import Labelled
    from fewtune.train.answers import AnswerBench
    from fewtune.train.bench import Bench, Examples
    from fewtune.train.workbench import Workbench
    from fewtune.trials.entrants import Contender, LabelJudge
    from fewtune.trials.expected import Prior
    from fewtune.trials.runners import Entrant, Judge, Outcome
    from fewtune.trials.search import Search

PROPOSALS, BELIEFS = "proposals", "beliefs"  # in the plan, beside the contenders


@dataclass(frozen=True)
class Raced:
    """What a race came to.

    Attributes:
        task: what was asked of the candidates.
        judge: by which they were compared.
        folds: on which, held-out positions of the training rows.
        targets: of those rows.
    """

    outcome: Outcome
    task: Labelled
    judge: LabelJudge
    folds: list[np.ndarray]
    targets: np.ndarray

    def probabilities(self, name: str) -> np.ndarray:
        """An entrant's calibrated answers, (rows, classes), NaN where it has none."""
        answers = self.outcome.answers[name]
        known = np.flatnonzero(np.isfinite(answers).all(axis=1))
        found = np.full_like(answers, np.nan)
        found[known] = self.judge.probabilities(answers[known], known)
        return found

    def temperature(self, name: str) -> float:
        """What an entrant's logits are divided by."""
        answers = self.outcome.answers[name]
        known = np.flatnonzero(np.isfinite(answers).all(axis=1))
        return self.judge.temperature(answers[known], known)

    @cached_property
    def chosen_by_fold(self) -> list[str]:
        """Of each fold of the first repeat the entrant chosen without a look at its rows."""
        from fewtune.trials.choosing import cross_choices

        outcome = self.outcome
        return cross_choices(
            outcome.losses, outcome.cost, self.first_folds, outcome.proposed, outcome.prior
        )

    @cached_property
    def first_folds(self) -> list[np.ndarray]:
        """The folds of the first repeat: no row is in two of them."""
        return first_repeat(self.folds)

    @property
    def scored(self) -> np.ndarray:
        """Positions of rows that a fold holds out; the only row of a class is in none."""
        return np.sort(np.concatenate(self.first_folds))


def race(run: Run, bench: Bench, examples: Examples) -> Generator[Event, None, Raced]:
    """Hold the race, or replay it from the fits on disk; afterwards the run's method is chosen."""
    from fewtune.trials.entrants import LabelJudge, entrant_of, entrants_of
    from fewtune.trials.fits import FitsOnDisk

    contenders = contenders_in(run)
    setting = setting_of(run, bench, examples)
    _refuse_one_fold(run, setting.folds)
    judge = LabelJudge(bench.task.choice, examples.targets)
    read = texts(run.data.train)
    entrants = entrants_of(setting, contenders, read)
    search = search_of(run, contenders, partial(entrant_of, setting, read))
    outcome = yield from held(run, entrants, setting.folds, len(examples), judge, search)
    raced = Raced(outcome, bench.task, judge, setting.folds, examples.targets)
    winner = crowned(run, bench, contenders, outcome)
    if "winner" not in run.chosen[FITS]:
        told: dict[str, Any] = {}
        if winner.method.needs_steps or not winner.method.needs_model:  # the probe has its own
            told["temperature"] = raced.temperature(winner.name)
        found = raced.probabilities(winner.name)
        keep(run, raced.task, winner.method.spell(), found, raced.targets, raced.folds)
        write_down(run, outcome, told)
    fits = FitsOnDisk(run.folder.path / FITS)
    entrants += search.entrants if search else []
    yield from learn_curve(run, entrants, raced, fits)
    return raced


def _refuse_one_fold(run: Run, folds: Sequence[np.ndarray]) -> None:
    """Scores by folds need another fold that the choice is made on.

    Raises:
        FewtuneError: there is none.
    """
    if not run.data.test and len(first_repeat(folds)) < 2:
        alone = " without --search" if run.job.trials.search else ""
        raise FewtuneError(
            f"of the {len(run.data.train):,} rows only {len(folds[0]):,} can be held out, all in "
            f"one fold, and scores by folds need two; give test rows (--test), a --method{alone}, "
            "or a --group that parts the rows otherwise."
        )


def refuse_whole_fold(folds: Sequence[np.ndarray], rows: int) -> None:
    """Folds that leave nothing to learn from.

    Raises:
        FewtuneError: all rows with something to learn stand in one.
    """
    if any(len(held) == rows for held in folds):
        raise FewtuneError(
            f"all rows with an answer to learn ({rows:,}) stand in one fold, so without it nothing "
            "is left to learn; look at the others with `fewtune check DATA --model MODEL`."
        )


def race_answers(run: Run, bench: AnswerBench, rows: Marked) -> Generator[Event, None, None]:
    """The same between methods that teach a language model to answer."""
    from fewtune.trials.answer_entrants import (
        AnswerJudge,
        AnswerSetting,
        answer_entrant,
        answer_entrants,
        folds_of_rows,
    )
    from fewtune.trials.fits import FitsOnDisk

    width = run.answer_width
    assert width is not None
    contenders = contenders_in(run)
    folds = folds_of_rows(rows, run.folds)
    refuse_whole_fold(folds, len(rows))
    setting = AnswerSetting(bench, rows, folds, width, run.folder.trials)
    judge = AnswerJudge(float(rows.learned.mean()))
    entrants = answer_entrants(setting, contenders)
    search = search_of(run, contenders, partial(answer_entrant, setting))
    outcome = yield from held(run, entrants, folds, len(rows), judge, search)
    winner = crowned(run, bench, contenders, outcome)
    if not outcome.winner:
        yield tell("warned", message=_too_dear(run, winner))
    if "winner" not in run.chosen[FITS]:
        write_down(run, outcome, {})
    fits = FitsOnDisk(run.folder.path / FITS)
    entrants += search.entrants if search else []
    yield from learn_curve_of_answers(run, entrants, outcome, folds, rows, fits)


def held(
    run: Run,
    entrants: Sequence[Entrant],
    folds: list[np.ndarray],
    rows: int,
    judge: Judge,
    search: Search | None,
) -> Generator[Event, None, Outcome]:
    """The race itself, its fits kept in the run folder."""
    from fewtune.trials.fits import FitsOnDisk
    from fewtune.trials.race import Race

    kept = FitsOnDisk(run.folder.path / FITS)
    budget, soft = (run.chosen[FITS][name] for name in ("budget", "soft"))
    prior = _prior(run, entrants[0].name, rows - len(folds[0]))
    names = [one.name for one in entrants]
    yield tell("racing", trials=names, folds=len(folds), budget=budget, soft=soft)
    one = Race(entrants, folds, rows, judge, kept, budget, soft, proposals=search, prior=prior)
    return (yield from one.run())


def _prior(run: Run, first: str, learned: int) -> Prior | None:
    """What was known of the candidates when the race began."""
    from fewtune.choose.prior import Belief
    from fewtune.trials.expected import Prior

    known = run.chosen[FITS].get(BELIEFS)
    return Prior(first, {k: Belief(**v) for k, v in known.items()}, learned) if known else None


def search_of(
    run: Run, contenders: Sequence[Contender], entrant: Callable[[Contender], Entrant]
) -> Search | None:
    """Where the race's proposals come from; None without --search.

    Every proposal is written into the plan when it is made.
    """
    if not run.job.trials.search:
        return None
    from fewtune.trials.entrants import Contender
    from fewtune.trials.search import Search

    told: list[Any] = run.chosen[FITS].setdefault(PROPOSALS, [])

    def keep(one: Contender) -> None:
        told.append(one.as_json())
        _write_plan(run)

    fields, known = fields_of(run, contenders)
    made = [Contender.of_json(one) for one in told]
    return Search(fields, run.job.trials.search, run.seed, entrant, known, made, keep)


def crowned(
    run: Run, bench: Workbench[Any], contenders: Sequence[Contender], outcome: Outcome
) -> Contender:
    """The winner, whose method and options are the run's from here on; once written down it stays.

    Where no candidate could be seen to the end within the budget it is the plan's first.
    """
    from fewtune.trials.entrants import Contender

    proposed = [Contender.of_json(one) for one in run.chosen[FITS].get(PROPOSALS, ())]
    named = {one.name: one for one in [*contenders, *proposed]}
    failed = {line["name"] for line in outcome.table if line["state"] == RaceState.FAILED}
    able = (one for one in contenders if one.wins and one.name not in failed)
    winner = named.get(run.chosen[FITS].get("winner", outcome.winner))
    winner = winner or next(able, contenders[0])
    run.method = winner.method
    run.job = replace(run.job, train=winner.options(run.job.train))
    bench.train = run.job.train
    return winner


def _too_dear(run: Run, first: Contender) -> str:
    return (
        f"no race was held: one candidate on all folds takes more than the "
        f"{run.chosen[FITS]['budget']:,.0f} s of the budget (--budget gives more, --folds 2 takes "
        f"less); `{first.name}` is what the plan ranks first."
    )


def reserved_tokens(run: Run) -> int:
    """Positions that no text may use: of all candidates, for they share the tokens."""
    if not races(run.job):
        return run.method.reserved_tokens
    contenders = contenders_in(run)
    most = [one.method.reserved_tokens for one in contenders]
    if run.job.trials.search:
        fields, _ = fields_of(run, contenders)
        most += [one.longest.reserved_tokens for one in fields.values()]
    return max(most)


def contenders_in(run: Run) -> list[Contender]:
    """Who runs, written down before the race: a resumed one is held between the same."""
    from fewtune.trials.entrants import Contender

    if FITS not in run.chosen:
        start = start_of(run)
        beliefs = {name: asdict(one) for name, one in start.beliefs.items()}
        run.chosen[FITS] = {
            "budget": start.budget,
            "soft": start.soft,
            "contenders": [one.as_json() for one in start.contenders],
            **({BELIEFS: beliefs} if beliefs else {}),
        }
        _write_plan(run)
    return [Contender.of_json(one) for one in run.chosen[FITS]["contenders"]]


def write_down(run: Run, outcome: Outcome, told: Mapping[str, Any]) -> None:
    """The end of the race into the plan: winner, what else it decided, the reason."""
    name = outcome.winner or run.method.spell()
    run.chosen[FITS] |= {"winner": name, "seconds": round(outcome.seconds, 3), **told}
    if outcome.enough:
        run.chosen[FITS]["enough"] = round(outcome.enough)
    run.tried("methods", outcome.table, True)
    if outcome.winner:
        run.reasons.append(_reason(outcome))
    _write_plan(run)


def _reason(outcome: Outcome) -> str:
    """Why the winner was chosen, with the numbers."""
    from fewtune.trials.choosing import errors_of

    lines = {line["name"]: line for line in outcome.table}
    own, best = lines[outcome.winner], lines[outcome.leader]
    ran = [one for one in outcome.table if one["rows"] and one["state"] != RaceState.LATE]
    said = f"`{outcome.winner}`: {_reached(own)} on {own['folds']} folds of the training rows"
    if outcome.prior is not None and outcome.leader not in outcome.proposed:
        return f"{said}; {_expected(outcome.prior.first, own, best, len(ran))}."
    if outcome.winner == outcome.leader:
        return f"{said}, the best of {len(ran)} candidates{_searched(outcome)}."
    if outcome.leader in outcome.proposed:
        errors = errors_of(len(outcome.proposed), best["rows"])
        return (
            f"{said}; the best of {len(ran)} candidates, `{outcome.leader}` ({_reached(best)}), is "
            f"ahead by less than the {errors:.1f} standard errors that "
            f"chance gives the best of {len(outcome.proposed)} proposals."
        )
    return (
        f"{said}; the best of {len(ran)} candidates, `{outcome.leader}` ({_reached(best)}), is "
        f"ahead by less than a standard error and takes {best['seconds']:.1f} s a fold where this "
        f"takes {own['seconds']:.1f} s."
    )


def _expected(first: str, own: Mapping[str, Any], best: Mapping[str, Any], candidates: int) -> str:
    """What was expected of the winner, and of the best where it is another one."""
    from fewtune.trials.expected import WORTH

    both = "by these folds and what other data sets have shown,"
    if own["name"] == best["name"] == first:
        return f"{both} none of {candidates} candidates is expected to be better on new rows"
    if own["name"] == best["name"]:
        return (
            f"{both} its log-loss on new rows is expected to be {own['expected']:.0%} below that "
            f"of `{first}`, the most of {candidates} candidates"
        )
    return (
        f"{both} the best of {candidates} candidates, `{best['name']}` ({_reached(best)}), is "
        f"expected to be better by less than {WORTH:.0%} of log-loss on new rows and takes "
        f"{best['seconds']:.1f} s a fold where this takes {own['seconds']:.1f} s"
    )


def _searched(outcome: Outcome) -> str:
    count = len(outcome.proposed)
    return f", {count} of them proposed by the search" if count else ""


def _reached(line: Mapping[str, Any]) -> str:
    """What a line of the table says of the rows' losses."""
    if "loss" in line:
        return f"{line['loss']:.3f} nats a token"
    return f"log-loss {line['log_loss']:.3f}, {line['accuracy']:.1%} right"


def _write_plan(run: Run) -> None:
    method: dict[str, Any] = {}
    if "winner" in run.chosen.get(FITS, {}):
        own = {k: v for p in run.method.parts() for k, v in p.model_dump().items()}
        method = {"method": {"name": run.method.spell(), **own}}
    run.keep_plan(**method)
