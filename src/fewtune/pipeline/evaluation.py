"""Score a saved artefact on another file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from fewtune.base.files import at
from fewtune.base.options import build
from fewtune.data.load import beside, unknown_labels, with_columns
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any, read_otherwise, read_rows
from fewtune.evaluate.generate import score as score_answers
from fewtune.evaluate.named import resolve_metrics
from fewtune.evaluate.options import EvaluateOptions
from fewtune.methods.artefact import About
from fewtune.methods.predictor import Predictor
from fewtune.models.decoding import DecodingOptions
from fewtune.pipeline.generate import WRITTEN
from fewtune.pipeline.idle import refuse_idle
from fewtune.pipeline.judge import judged
from fewtune.pipeline.learned import learned_before
from fewtune.pipeline.parted import answer_slices, by_group, label_slices
from fewtune.record.options import RunOptions
from fewtune.tasks.generate import Generate
from fewtune.tasks.options import ScaleOptions


def evaluate_answers(folder: Path, path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read, answer, score: of a model that writes.

    Args:
        given: options of reading, scoring and decoding, and `adapter_scale`.

    Raises:
        UsageError: wrong options, or the model cannot be scaled.
        FewtuneError: no usable rows.
    """
    from fewtune.methods.predictor import load_voice
    from fewtune.pipeline.hearing import asked_rows, hear, sums_of

    kinds: list[Any] = [DataOptions, EvaluateOptions, DecodingOptions, ScaleOptions, RunOptions]
    given = {name: value for name, value in given.items() if value is not None}
    built: list[Any] = build(kinds, given)
    refuse_idle(given, writes=True)
    data, options, decoding, asked, run = built
    table = read_any(at(path), data, shapes=WRITTEN, more=beside(data))
    about = About.read(folder)
    voice = load_voice(folder, scale=asked.adapter_scale)
    encoding = voice.encode(table.rows)
    most = asked.answered_rows
    test = asked_rows(table.rows, encoding.rows, voice.tokenizer, decoding, most, run.seed)
    heard = hear(voice, test, run.seed)
    sums = sums_of(test, heard, resolve_metrics(options.metric))
    refused = [
        f"{len(encoding.refused):,} rows cannot be written out by the chat template; the first: "
        f"{reason}"
        for reason in list(encoding.refused.values())[:1]
    ]
    if not test.talks:
        refused.append("no row asks anything, so none is answered: the loss is that of the texts.")
    return {
        "run": str(folder),
        "data": path,
        "task": about.task,
        "method": about.method,
        "primary": Generate.primary,
        "rows": table.ledger.counts() | {"answered": len(test.talks)},
        "test": score_answers(sums, options, run.seed),
        "slices": answer_slices(table.rows, test.marked, heard.likelihood, data.group, run.seed),
        "notes": [
            *table.notes,
            *refused,
            *learned_before(
                folder, table.rows, lambda file: read_any(file, DataOptions(), shapes=WRITTEN)
            ),
            *([note] if (note := by_group(table.rows, data.group)) else []),
        ],
    }


def evaluate_file(
    folder: Path, predictor: Predictor, path: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Read, predict, score.

    Raises:
        UsageError: wrong options or columns.
        FewtuneError: no usable rows.
    """
    given = {name: value for name, value in given.items() if value is not None}
    built = build([DataOptions, EvaluateOptions, RunOptions], given)
    data, options, run = (
        cast(DataOptions, built[0]),
        cast(EvaluateOptions, built[1]),
        cast(RunOptions, built[2]),
    )
    refuse_idle(given, writes=False)
    about, task = predictor.about, predictor.task
    roles, reading = with_columns(task.reads, task.reading(data))
    learned, plain = about.columns, task.reading(DataOptions())
    table = read_rows(at(path), roles, reading, like=learned)
    probabilities = predictor.probabilities([row["text"] for row in table.rows])
    answered = task.answered(probabilities)
    if options.positive is None and about.positive:  # as the run scored, whatever this file holds
        options = options.model_copy(update={"positive": about.positive})
    found = judged(task, table.rows, answered, {}, about.method, options, run.seed)
    return {
        "run": str(folder),
        "data": path,
        "task": about.task,
        "method": about.method,
        "primary": task.primary,
        **({"positive": options.positive} if options.positive else {}),
        "rows": table.ledger.counts(),
        **{name: one for name, one in found.items() if name not in ("baselines", "gain")},
        "slices": label_slices(task, table.rows, answered, data.group),
        "notes": [
            *table.notes,
            *read_otherwise(table, about.columns, reading),
            *learned_before(
                folder, table.rows, lambda file: read_rows(file, task.reads, plain, like=learned)
            ),
            *unknown_labels(task.labels, {"test": table.rows}),
            *([note] if (note := by_group(table.rows, data.group)) else []),
        ],
    }
