"""Rows learned beside the labelled ones: decided once, written down, replayed on a resume."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.augment.apply import Augmented, augment, refuse_kind
from fewtune.augment.base import Context, Recipe
from fewtune.augment.context import context_of, parts_given
from fewtune.augment.recipes import candidates, parse
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import Event, tell
from fewtune.data.columns import Role
from fewtune.data.dialogue import Message
from fewtune.data.holdout import same_text
from fewtune.data.read import read_rows
from fewtune.data.row import Origin, Row
from fewtune.methods.base import Method
from fewtune.pipeline.job import AUTO, Job
from fewtune.pipeline.run import Run
from fewtune.pipeline.setting import FITS, calibrates, setting_of
from fewtune.pipeline.thresholds import keep

if TYPE_CHECKING:
    from fewtune.train.bench import Bench, Examples
    from fewtune.trials.folds import Trial


def refuse_extra(job: Job, method: Method, rows: Sequence[Row]) -> None:
    """What cannot be done, said before there is a run folder.

    Raises:
        UsageError: in a sentence.
    """
    wanted = {"unlabelled": job.trials.unlabelled, "augment": job.augment.augment}
    for option in (name for name, value in wanted.items() if value):
        if not method.needs_model:
            raise UsageError(
                f"{option}: `{method.spell()}` has no pretrained model to learn more rows with; "
                "choose a neural method, such as `probe` or `full`."
            )
    if job.augment.augment:
        recipes = recipes_of(job)
        context_of(job.augment, recipes)
        refuse_kind(rows, recipes)


def recipes_of(job: Job) -> tuple[Recipe, ...]:
    """The recipes asked for; those to try where the user leaves it to us."""
    wanted = job.augment.augment
    if wanted == AUTO:
        return candidates(parts_given(job.augment))
    return parse(wanted or ())


def extra_rows(
    run: Run, bench: Bench, examples: Examples
) -> Generator[Event, None, Examples | None]:
    """Everything the final fit learns beside the labelled rows."""
    if not (run.job.trials.unlabelled or run.job.augment.augment):
        return None
    rows = yield from kept_rows(run, _made(run, bench, examples))
    return bench.examples(rows) if rows else None


def _made(run: Run, bench: Bench, examples: Examples) -> Generator[Event, None, list[Row]]:
    learned: list[Row] = []
    if run.job.augment.augment:
        learned += yield from _augmented(run, bench, examples)
    if run.job.trials.unlabelled:
        learned += yield from _self_trained(run, bench, examples)
    return learned


def kept_rows(
    run: Run, made: Generator[Event, None, Sequence[Row]]
) -> Generator[Event, None, list[Row]]:
    """Rows that are made once and written down: a resume neither makes others nor asks a model for
    more than its budget.

    Raises:
        FewtuneError: the file is not the one that was written.
    """
    if "learned" not in run.chosen:
        learned = yield from made
        run.folder.write_learned(_line(row) for row in learned)
        run.chosen["learned"] = len(learned)
        run.keep_plan()
    rows = [_row(line) for line in run.folder.learned]
    if len(rows) != run.chosen["learned"]:
        raise FewtuneError(
            f"{run.folder.path}: learned.jsonl has {len(rows):,} rows and the plan says "
            f"{run.chosen['learned']:,}, so the run cannot go on as the same; start a new one."
        )
    return rows


def _augmented(run: Run, bench: Bench, examples: Examples) -> Generator[Event, None, list[Row]]:
    """New rows by the recipes asked for, or by those of all that folds show a gain for."""
    from fewtune.trials.recipes import still_true

    job = run.job
    recipes = recipes_of(job)
    context = context_of(job.augment, recipes)
    held = [*run.data.valid, *run.data.test]
    if job.augment.augment == AUTO:
        recipes = yield from _helpful(run, bench, examples, recipes, context)
    made = augment(run.data.train, recipes, context, run.seed, job.augment.augment_copies, held)
    probe = bench.probe_at(examples, run.chosen["probe_c"], run.chosen["probe_temperature"])
    kept = still_true(bench, probe, run.data.train, made.rows)
    dropped = dict(made.dropped)
    if contradicted := len(made.rows) - len(kept):
        dropped["the probe contradicts the label"] = contradicted
    yield from told(made, context)
    yield tell("augmented", made=len(kept), dropped=dropped, **calls_of(context))
    return kept


def _helpful(
    run: Run, bench: Bench, examples: Examples, recipes: Sequence[Recipe], context: Context
) -> Generator[Event, None, tuple[Recipe, ...]]:
    """Those of the recipes that folds show a gain for."""
    from fewtune.trials.recipes import try_recipes

    held = [*run.data.valid, *run.data.test]
    idle: dict[str, Sequence[str]] = {}

    def make(recipe: Recipe, rows: Sequence[Row], avoid: Sequence[Row]) -> Sequence[Row]:
        copies = run.job.augment.augment_copies
        made = augment(rows, (recipe,), context, run.seed, copies, [*avoid, *held])
        idle[recipe.name] = made.idle
        return made.rows

    on_trial = {recipe.name: partial(make, recipe) for recipe in recipes}
    outcome = yield from try_recipes(setting_of(run, bench, examples), run.data.train, on_trial)
    for name in outcome.without:
        reason = idle[name] or [f"{name} made no row that the probe does not contradict."]
        yield tell("warned", message=f"augment: {' '.join(reason)}")
    run.tried("augmentation", outcome.table, bool(outcome.kept))
    if outcome.best and not run.job.trials.unlabelled:
        _decide_by(run, bench, outcome.best, bool(outcome.kept))
    return tuple(recipe for recipe in recipes if recipe.name in outcome.kept)


def told(made: Augmented, context: Context) -> Iterator[Event]:
    """Recipes that made nothing, and a budget that ended before the rows did."""
    for reason in made.idle:
        yield tell("warned", message=f"augment: {reason}")
    writer = context.writer
    if writer and not writer.left:
        yield tell(
            "warned",
            message=f"augment: the model was asked for {writer.spent:,} texts, which is all that "
            "--augment_calls allows; a row that it was not asked about has no new one from it.",
        )


def calls_of(context: Context) -> dict[str, int]:
    """How many texts a model was asked to write, where there is one."""
    return {"calls": context.writer.spent} if context.writer else {}


def _self_trained(run: Run, bench: Bench, examples: Examples) -> Generator[Event, None, list[Row]]:
    from fewtune.trials.self_training import RIGHT, self_train

    options = run.job.trials
    rows, note = _unlabelled(run)
    yield tell("warned", message=note)
    if not rows:
        return []
    unknown = bench.examples([row.with_fields(**bench.task.fields(None)) for row in rows])
    outcome = yield from self_train(
        setting_of(run, bench, examples),
        unknown,
        options.self_training_rounds,
        options.self_training_confidence,
    )
    run.tried("self-training", outcome.table, bool(outcome.accepted))
    if not run.job.augment.augment:
        _decide_by(run, bench, outcome.best, bool(outcome.accepted))
    accepted = outcome.accepted
    if accepted is None:
        return []
    if options.self_training_confidence is None:
        why = (
            f"unlabelled rows are learned from a probability of {accepted.least:.2f} on: of the "
            f"held-out answers that are so sure at least {RIGHT:.0%} are right."
        )
        run.reasons += [why] if why not in run.reasons else []
    return [
        Row(
            rows[at].origin,
            {"text": rows[at]["text"], **bench.task.fields(target), "confidence": sure},
            "self-training",
        )
        for at, target, sure in zip(
            accepted.rows.tolist(), accepted.targets, accepted.confidence.tolist(), strict=True
        )
    ]


def _decide_by(run: Run, bench: Bench, trial: Trial, more: bool) -> None:
    """Choose what follows from a trial of what the final fit learns; no other folds are needed.

    After a race the temperature and the thresholds that suit it are known already, of the same
    rows; they change together, and only where `more` is learned.
    """
    if calibrates(run):
        if not more:
            return
        run.chosen[FITS]["temperature"] = trial.temperature
    keep(run, bench.task, run.method.spell(), trial.probabilities, trial.targets, trial.folds)


def _unlabelled(run: Run) -> tuple[list[Row], str]:
    """The file's rows, without those whose text a labelled row of any part has."""
    path = Path(run.job.trials.unlabelled or "")
    texts_alone = run.job.data.model_copy(update={"label": None, "slice": ()})
    table = read_rows(path, (Role("text"),), texts_alone)
    parts = ("train", "valid", "test")
    known = {same_text(row) for part in parts for row in run.data.part(part)}
    fresh: dict[Any, Row] = {}
    for row in table.rows:
        if (text := same_text(row)) not in known:
            fresh.setdefault(text, row)
    left_out = len(table.rows) - len(fresh)
    note = f"{len(fresh):,} unlabelled rows of {path.name}"
    if left_out:
        note += f" ({left_out:,} more have the text of another row and are left out)"
    return list(fresh.values()), f"{note}; they are learned only if folds show a gain."


def _line(row: Row) -> dict[str, Any]:
    return {
        "origin": {"file": row.origin.file, "line": row.origin.line},
        "recipe": row.recipe,
        **row.fields,
        **({"messages": [*map(asdict, row["messages"])]} if "messages" in row.fields else {}),
    }


def _row(line: Mapping[str, Any]) -> Row:
    fields = {name: value for name, value in line.items() if name not in ("origin", "recipe")}
    if "messages" in fields:
        turns = ({**turn, "images": tuple(turn["images"])} for turn in fields["messages"])
        fields["messages"] = tuple(Message(**turn) for turn in turns)
    return Row(Origin(line["origin"]["file"], line["origin"]["line"]), fields, line["recipe"])
