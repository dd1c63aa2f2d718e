"""What the fits of a comparison share: the bench, the folds, the judge; one function a task."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.data.holdout import folds_of
from fewtune.data.load import Dataset
from fewtune.pipeline.baselines import probe_start
from fewtune.pipeline.entries import Entry
from fewtune.pipeline.language import foreign
from fewtune.pipeline.lineup import LineUp
from fewtune.pipeline.parted import units_of_rows
from fewtune.pipeline.race import refuse_whole_fold
from fewtune.pipeline.run import Run
from fewtune.pipeline.setting import setting_of
from fewtune.tasks import LABELLED

if TYPE_CHECKING:
    from fewtune.pipeline.spoken import Spoken
    from fewtune.tasks.labelled import Labelled
    from fewtune.trials.comparison import Answers
    from fewtune.trials.measures import Truth
    from fewtune.trials.runners import Judge
    from fewtune.trials.variants import CostsOnDisk, Desk


@dataclass(frozen=True)
class Room:
    """What the fits of a comparison share.

    Attributes:
        desk: of a seed, with its folds: held-out positions of the rows.
        rows: how many are learned.
        tests: how many test rows are asked about.
        judge: of a race.
        truth: of the table.
        metric: what ranks.
        before: what the untouched model answers, where it can.
        spoken: what is written and forgotten, where that can be.
    """

    desk: Callable[[int], tuple[Desk, list[np.ndarray]]]
    rows: int
    tests: int
    judge: Judge
    truth: Truth
    metric: str
    before: Callable[[], Answers] | None = None
    spoken: Spoken | None = None


def reserved(lineup: LineUp) -> int:
    """Positions that the text cannot use, the same for all: the most that a method takes."""
    return max(one.method.reserved_tokens for one in lineup.entries)


def label_room(run: Run, lineup: LineUp, costs: CostsOnDisk) -> Generator[Event, None, Room]:
    """For rows with one label or several: tokens, features, and the probe that heads start from."""
    from fewtune.train.bench import Bench
    from fewtune.trials.entrants import LabelJudge
    from fewtune.trials.label_desk import LabelDesk
    from fewtune.trials.measures import LabelTruth

    job, data = lineup.job, run.data
    assert run.source is not None
    task = LABELLED[job.task].of_rows(data.labels, data.train, False, 0.0)
    kept = run.source, task, job.model, job.train, run.seed, reserved(lineup), run.chosen
    bench = Bench(*kept, keep=run.keep_measured)
    examples = bench.examples(data.train)
    yield from run.truncated("train", examples.rows.truncated)
    yield from foreign(job.model.model, data.train, examples.rows.ids, bench.tokenizer)
    probe_start(run, bench, examples)
    setting = setting_of(run, bench, examples)
    tasks = {one.name: _weighed(job.task, one, data) for one in lineup.entries}
    tokens = bench.encode(data.test) if data.test else None

    def desk(seed: int) -> tuple[Desk, list[np.ndarray]]:
        count = job.trials.folds_of(len(data.train))
        dealt = replace(setting, folds=folds_of(data.train, count, seed))
        found = LabelDesk(
            bench, seed, costs, setting.folder, dealt, data.train, data.test, tokens, tasks
        )
        return found, dealt.folds

    truth = LabelTruth(
        task=task,
        targets=examples.targets,
        truth=task.truth(data.train),
        test=task.truth(data.test) if data.test else None,
        thresholds=job.trials.thresholds,
        count=job.evaluate.bootstrap,
        seed=run.seed,
        units=units_of_rows(data.train),
        test_units=units_of_rows(data.test),
    )
    judge = LabelJudge(task.choice, examples.targets)
    return Room(desk, len(examples), len(data.test), judge, truth, task.primary)


def _weighed(task: str, entry: Entry, data: Dataset) -> Labelled:
    """The task with what an entry's options say of the loss."""
    options = entry.job.train
    weighed = options.class_weights == "balanced"
    smooth = options.label_smoothing_factor
    return LABELLED[task].of_rows(data.labels, data.train, weighed, smooth)


def answer_room(run: Run, lineup: LineUp, costs: CostsOnDisk) -> Generator[Event, None, Room]:
    """For rows with answers: tokens, and which of them are learned."""
    from fewtune.models.speaking import answer_losses
    from fewtune.pipeline.generate import REPLACED, learnable, set_aside
    from fewtune.pipeline.spoken import spoken
    from fewtune.tasks.generate import Generate
    from fewtune.train.answers import AnswerBench
    from fewtune.trials.answer_desk import AnswerDesk
    from fewtune.trials.answer_entrants import BEFORE, AnswerJudge, folds_of_rows
    from fewtune.trials.comparison import Answers
    from fewtune.trials.measures import AnswerTruth

    job, data = lineup.job, run.data
    assert run.source is not None
    assert run.answer_width is not None
    task, width = Generate(job.generate.train_on), run.answer_width
    kept = run.source, task, job.model, job.train, run.seed, reserved(lineup), run.chosen
    bench = AnswerBench(*kept, job.generate.chat_template, keep=run.keep_measured)
    if bench.replaces:
        yield tell("warned", message=REPLACED.format(bench.template))
    encoding, asked = bench.encode(data.train), bench.encode(data.test)
    yield from set_aside(run, "train", data.train, encoding)
    yield from set_aside(run, "test", data.test, asked)
    rows = learnable(run, encoding)
    tests = asked.rows.take(np.flatnonzero(asked.rows.learned)) if data.test else None
    tests = tests if tests is not None and len(tests) else None

    def deal(seed: int) -> list[np.ndarray]:
        count = job.trials.folds_of(len(data.train))
        return folds_of_rows(rows, folds_of(data.train, count, seed))

    dealt = deal(job.run.seed)
    refuse_whole_fold(dealt, len(rows))
    told = yield from spoken(run, lineup, bench, rows, dealt[0])

    def desk(seed: int) -> tuple[Desk, list[np.ndarray]]:
        place, aside = run.folder.trials, told.aside if seed == job.run.seed else None
        return AnswerDesk(bench, seed, costs, place, rows, tests, width, aside), deal(seed)

    tokens = float(rows.learned.mean())
    truth = AnswerTruth(
        tokens=tokens,
        count=job.evaluate.bootstrap,
        seed=run.seed,
        units=units_of_rows(data.train, rows.rows),
        test_units=units_of_rows(data.test, tests.rows) if tests is not None else None,
    )
    asks = 0 if tests is None else len({*tests.rows})  # a long text is several rows of tokens

    def before() -> Answers:
        asked = [rows] if tests is None else [rows, tests]
        heard = [np.stack(answer_losses(bench.base, one, bench.machine), axis=1) for one in asked]
        return Answers(BEFORE, heard[:1], heard[1:])

    return Room(desk, len(rows), asks, AnswerJudge(tokens), truth, "loss", before, told)
