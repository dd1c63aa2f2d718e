"""The scores of answers to a prompt: labels without probabilities, and texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.errors import UsageError
from fewtune.base.files import at
from fewtune.base.options import build
from fewtune.data.load import beside, unknown_labels, with_columns
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any, read_otherwise, read_rows
from fewtune.data.row import Row
from fewtune.evaluate.answers import Answer, Sums, boiled
from fewtune.evaluate.change import generation_verdict
from fewtune.evaluate.classify import confusion, gain, per_class, positive_class, score
from fewtune.evaluate.generate import gain as gain_of_answers
from fewtune.evaluate.generate import score as score_answers
from fewtune.evaluate.intervals import intervals
from fewtune.evaluate.metrics import outcome
from fewtune.evaluate.named import resolve_metrics
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.overlap import OF_CHARACTERS, mostly_chinese
from fewtune.evaluate.slices import Slice
from fewtune.evaluate.units import Units
from fewtune.evaluate.verdict import SEARCHED, verdict
from fewtune.models.decoding import DecodingOptions
from fewtune.models.nearest import Nearest
from fewtune.pipeline.idle import refuse_idle
from fewtune.pipeline.parted import by_group, group_of, said_slices, units_of_rows
from fewtune.record.options import RunOptions
from fewtune.tasks.classify import Classify
from fewtune.tasks.options import ScaleOptions
from fewtune.trials.prompt import Example, example_of
from fewtune.trials.prompted import Prompted, Told, writer_of

if TYPE_CHECKING:
    from fewtune.pipeline.run import Run

NO_ANSWER = "(no answer)"  # beside the labels: an answer that names none of them, or none at all
UNHEARD = {"log_loss", "ece"}  # metrics of probabilities, and an answer has none
BESIDE = ("exact_match", "number_match", "bleu", "chrf")  # metrics that a gain is also told by


@dataclass(frozen=True)
class Said:
    """Of each row what the model's answer says, the answer, and why there is none."""

    read: Sequence[str | None]
    raw: Sequence[str | None] = ()
    refused: Sequence[str] = ()

    @classmethod
    def of(cls, told: Sequence[Told]) -> Said:
        """What came of questions."""
        return cls([one.said for one in told], [one.raw for one in told], [x.refused for x in told])

    def unanswered(self, rows: Sequence[Row]) -> str | None:
        """How many rows got no answer, and what is known of the first; None where all did."""
        failed = sum(answer is None for answer in self.raw)
        if not failed:
            return None
        why = "the call failed, or it was empty"
        first = next((pair for pair in zip(rows, self.refused, strict=True) if pair[1]), None)
        more = f" {first[0].origin}: {first[1]}" if first else ""
        return (
            f"{failed:,} of {len(rows):,} questions have no answer ({why}); they count as "
            f"wrong.{more}"
        )


def scored_labels(
    run: Run, train: Sequence[Row], test: Sequence[Row], heard: Mapping[str, Said]
) -> dict[str, Any]:
    """Scores, baselines, gain and verdict of a classification; the predictions are written down.

    Args:
        train, test: rows that demonstrations came from, and rows that were asked.
        heard: what was said of the test rows, with the prompt (`test`) and the first (`before`).
    """
    from fewtune.pipeline.baselines import fit_tfidf, texts

    task, method, options = Classify(run.data.labels), run.method.spell(), run.job.evaluate
    truth, targets = task.targets(test), task.targets(train)
    positive = positive_class(targets, task.labels, options.positive)
    name = None if positive is None else task.labels[positive]
    options = options.model_copy(update={"positive": name})
    plain = {
        "majority": task.majority(targets, len(test)),
        "tfidf": fit_tfidf(run, task).probabilities(texts(test)),
    }
    said = {name: one_hot(one.read, task.labels) for name, one in heard.items()}
    units, resamples = units_of_rows(test), options.bootstrap
    blocks = {
        key: score(truth, one, task.labels, options, run.seed, units) for key, one in plain.items()
    }
    spoken = {
        key: score_labels(truth, one, positive, options, run.seed, units)
        for key, one in said.items()
    }
    ours, others = said["test"], {**plain, "before": said["before"]}
    better = gain(
        ours, others, truth, method, task.primary, resamples=resamples, seed=run.seed, units=units
    )
    run.folder.write_predictions(_labelled(test, heard))
    return {
        "primary": task.primary,
        "scored": len(test),
        **({"positive": name} if name else {}),
        "test": spoken["test"],
        "baselines": {**blocks, "before": spoken["before"]},
        "gain": better,
        "verdict": verdict(
            method, len(truth), spoken["test"], better, task.primary, wording=SEARCHED
        ),
        **by_class(truth, ours, task.labels),
        "slices": _slices(test, heard["test"].read, run.job.data.group),
    }


def _slices(rows: Sequence[Row], read: Sequence[str | None], group: str | None) -> list[Slice]:
    """The share that is right in parts of the rows; no answer is a wrong one."""
    truth, said = [(str(row["label"]),) for row in rows], [(one or "",) for one in read]
    return said_slices(rows, truth, said, group)


def _labelled(test: Sequence[Row], heard: Mapping[str, Said]) -> list[dict[str, Any]]:
    now, before = heard["test"], heard["before"]
    return [
        {
            "prediction": said,
            "label": row["label"],
            "before": then,
            "origin": str(row.origin),
            "answer": raw,
            "text": row["text"],
            **group_of(row),
        }
        for row, said, raw, then in zip(test, now.read, now.raw, before.read, strict=True)
    ]


def scored_texts(
    run: Run, train: Sequence[Row], test: Sequence[Row], heard: Mapping[str, Said]
) -> dict[str, Any]:
    """The same of answers in words."""
    options, method = run.job.evaluate, run.method.spell()
    own = resolve_metrics(options.metric)
    known, examples = [*map(example_of, train)], [*map(example_of, test)]
    near = Nearest([one.asked for one in known])([one.asked for one in examples], 1)
    systems = {**heard, "nearest": Said([known[k].answer for (k,) in near])}
    units = units_of_rows(test)
    sums = {name: text_sums(one.read, examples, own, units) for name, one in systems.items()}
    blocks = {name: score_answers(one, options, run.seed) for name, one in sums.items()}
    primary = primary_of(examples)
    ours, test_block = sums.pop("test"), blocks.pop("test")
    resamples = options.bootstrap
    over = partial(gain_of_answers, ours, sums, method, resamples=resamples, seed=run.seed)
    better = over(primary)
    gains = {name: one for name in BESIDE if name in ours and (one := over(name))}
    run.folder.write_predictions(_answered(test, examples, heard))
    return {
        "primary": primary,
        "scored": len(test),
        "test": test_block,
        "baselines": blocks,
        "gain": better,
        "gains": gains,
        "verdict": generation_verdict(
            method,
            len(test),
            test_block,
            blocks["before"],
            better,
            primary,
            gains=gains,
            base="the first prompt",
        ),
    }


def _answered(
    test: Sequence[Row], examples: Sequence[Example], heard: Mapping[str, Said]
) -> list[dict[str, Any]]:
    now, before = heard["test"].read, heard["before"].read
    return [
        {
            "prediction": said or "",
            "label": example.answer,
            "before": then or "",
            "origin": str(row.origin),
            "stopped": said is not None,
            "text": example.asked,
            **group_of(row),
        }
        for row, example, said, then in zip(test, examples, now, before, strict=True)
    ]


# ---- scores of answers


def one_hot(read: Sequence[str | None], labels: Sequence[str]) -> np.ndarray:
    """What was answered as shares of 0 and 1, (rows, labels + 1); the last column is no answer."""
    places = {label: k for k, label in enumerate(labels)}
    found = np.zeros((len(read), len(labels) + 1))
    found[np.arange(len(read)), [places.get(one or "", len(labels)) for one in read]] = 1
    return found


def score_labels(
    truth: np.ndarray,
    found: np.ndarray,
    positive: int | None,
    options: EvaluateOptions,
    seed: int,
    units: Units | None = None,
) -> dict[str, Any]:
    """The scores that need no probability.

    Rows without an answer are wrong, as rows are whose label nobody has seen; they are no class
    that a mean over classes counts.

    Args:
        truth: (rows,) class numbers.
        found: from `one_hot`.
        positive: the class that positive_* are about.
        units: of the rows.
    """
    silent = found.shape[1] - 1
    block = intervals(outcome(truth, found, positive, silent, units), options.bootstrap, seed)
    return {name: one for name, one in block.items() if name not in UNHEARD}


def by_class(truth: np.ndarray, found: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Class by class; a last one for rows without an answer, where there are any."""
    names = [*labels, NO_ANSWER]
    if not found[:, -1].any():
        names, found = names[:-1], found[:, :-1]
    return {
        "per_class": per_class(truth, found, names),
        "confusion": confusion(truth, found, names),
    }


def text_sums(
    read: Sequence[str | None],
    examples: Sequence[Example],
    own: Any = None,
    units: Units | None = None,
) -> dict[str, Sums]:
    """What the metrics of texts need; nobody tells whether an answer ended by itself."""
    answers = [
        Answer(said or "", one.answer, True, 0) for said, one in zip(read, examples, strict=True)
    ]
    found = boiled(answers, own=own, units=units)
    return {name: one for name, one in found.items() if name != "stops"}


def primary_of(examples: Sequence[Example]) -> str:
    """The metric of texts that decides."""
    return "rougeL" + (OF_CHARACTERS if by_characters(examples) else "")


def by_characters(examples: Sequence[Example]) -> bool:
    """Whether answers are compared character by character, as Chinese ones are."""
    return mostly_chinese([one.answer for one in examples])


# ---- rows that are asked


def usable(row: Row) -> bool:
    """Whether a row asks something; a plain text does not."""
    return "label" in row.fields or "messages" in row.fields


def some_of(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """So many rows, drawn by the seed, in their order."""
    if count >= len(rows):
        return list(rows)
    draw = np.random.Generator(np.random.PCG64(seed))
    return [rows[k] for k in sorted(draw.choice(len(rows), count, replace=False).tolist())]


def refuse_heat(given: Collection[str], method: str, labels: bool = False) -> None:
    """What a prompt that is scored cannot take.

    Args:
        given: names of the user's options.
        labels: whether it is answered with labels.

    Raises:
        UsageError: some of them are for models that are trained, or for answers that are drawn.
    """
    if "adapter_scale" in given:
        raise UsageError(f"adapter_scale: `{method}` has learned no weights; leave it out.")
    allowed = () if labels else ("max_new_tokens",)
    if heat := [n for n in given if n in DecodingOptions.model_fields and n not in allowed]:
        raise UsageError(
            f"{', '.join(heat)}: `{method}` always takes the likeliest answer here; leave it out, "
            "and give it to `fewtune generate`."
        )


def evaluate_prompt(
    prompted: Prompted, folder: str, path: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Read a file, ask, score; as `evaluation.evaluate_file`.

    Raises:
        UsageError: wrong options or columns.
        FewtuneError: no usable rows, or the model cannot be asked.
    """
    kinds: list[Any] = [DataOptions, EvaluateOptions, DecodingOptions, ScaleOptions, RunOptions]
    given = {name: value for name, value in given.items() if value is not None}
    built: list[Any] = build(kinds, given)
    reading, options, decoding, asked, run = built
    labels, about = prompted.prompt.labels, prompted.about
    refuse_idle(given, writes=not labels)
    refuse_heat(given, about.method, bool(labels))
    table = (
        read_rows(at(path), *with_columns(Classify.reads, reading), like=about.columns)
        if labels
        else read_any(at(path), reading, more=beside(reading))
    )
    most = len(table.rows) if labels else asked.answered_rows
    rows = some_of([row for row in table.rows if usable(row)], most, run.seed)
    examples = [example_of(row) for row in rows]
    most_tokens = None if labels else decoding.max_new_tokens
    writer = writer_of(prompted.model, len(examples), most_tokens)
    said = Said.of(prompted.answers([one.asked for one in examples], writer))
    read = said.read
    told = {
        "run": folder,
        "data": path,
        "task": about.task,
        "method": about.method,
        "primary": Classify.primary if labels else primary_of(examples),
        "rows": table.ledger.counts() | {"answered": len(rows)},
    }
    units = units_of_rows(rows)
    beside_them = [one for one in (said.unanswered(rows), by_group(rows, reading.group)) if one]
    strange = unknown_labels(labels, {"test": rows})
    otherwise = read_otherwise(table, about.columns, reading)
    notes = {"notes": [*table.notes, *otherwise, *strange, *beside_them]}
    if not labels:
        sums = text_sums(read, examples, resolve_metrics(options.metric), units)
        return told | {"test": score_answers(sums, options, run.seed)} | notes
    truth, found = Classify(labels).targets(rows), one_hot(read, labels)
    positive = positive_class(truth, labels, options.positive or about.positive or None)
    block = score_labels(truth, found, positive, options, run.seed, units)
    parts = {"slices": _slices(rows, read, reading.group)}
    return told | {"test": block} | by_class(truth, found, labels) | parts | notes
