"""What a plan rests on: rows, tokens, sizes, what each method trains, and what steps take.

What takes seconds (tokens, counts, timed steps) is kept in the user's cache folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.errors import UsageError
from fewtune.base.files import fingerprint
from fewtune.choose.facts import Facts, Hardware
from fewtune.choose.proposal import with_options
from fewtune.data.dialogue import as_text
from fewtune.data.holdout import labels_of
from fewtune.data.load import Dataset
from fewtune.data.near import is_chinese
from fewtune.data.row import Row
from fewtune.methods.base import Method
from fewtune.methods.count import Count
from fewtune.models.shape import shape_of
from fewtune.pipeline.job import Job
from fewtune.pipeline.language import unknown_share
from fewtune.pipeline.run import watchable_rows
from fewtune.trials.kept import kept
from fewtune.trials.sections import WAYS

if TYPE_CHECKING:
    from fewtune.models.source import Source


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user says of a plan: needs, seconds, bytes, and whether to time anew."""

    needs: frozenset[str] = frozenset()
    budget: float | None = None
    memory: int | None = None
    again: bool = False


def facts_of(
    job: Job,
    data: Dataset,
    hardware: Hardware,
    wanted: Wanted | None = None,
) -> tuple[Facts, Source]:
    """What the ranking rests on, without timings.

    Raises:
        FewtuneError: as `models.source.find`; the model cannot do the task.
    """
    from fewtune.models.source import find

    wanted = wanted or Wanted()
    again = wanted.again
    source = find(job.model, weights=False)
    shape = shape_of(source.config)
    if job.writes and not shape.causal:
        raise UsageError(
            f"model: {job.model.model} reads and does not write; give a causal language model, "
            "such as a folder or hub id of the Qwen or Llama family (--model)."
        )
    told = kept("tokens", _data_key(job, data, source), partial(_tokens, job, data, source), again)
    facts = Facts(
        task=job.task,
        rows=len(told["lengths"]),
        per_class=Counter(label for row in data.train for label in labels_of(row)),
        lengths=np.array(told["lengths"]),
        learned=told["learned"],
        unknown=told["unknown"],
        chinese=told["chinese"],
        model=job.model.model,
        parameters=shape.backbone_parameters + (shape.head_parameters if job.writes else 0),
        shape=shape,
        hardware=hardware,
        methods={name: way() for name, way in WAYS.items()},
        counts={},
        needs=wanted.needs,
        budget=wanted.budget,
        train=job.train,
        has_valid=watchable_rows(data),
        attention=job.model.attention,
    )
    facts = replace(facts, methods=with_options(facts, job.method_options))
    return _counted(facts, source, job, data, again), source


def _data_key(job: Job, data: Dataset, source: Source) -> tuple[object, ...]:
    """What the tokens of the training rows depend on."""
    files = [(told["fingerprint"], told["rows"]) for told in data.files.values()]
    parts = fingerprint(repr(data.as_json()["parts"]))  # a race may hold out no row of its own
    tokenizer = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(source.folder.iterdir())
        if path.suffix in (".json", ".txt", ".model", ".spm") or path.name.startswith("tokenizer")
    ]
    options = (job.data.model_dump(), job.generate.model_dump(), job.model.max_length)
    return (job.task, files, parts, str(source.folder), tokenizer, options, job.run.seed)


def _tokens(job: Job, data: Dataset, source: Source) -> dict[str, Any]:
    """Lengths of the training rows in tokens, what of them is learned, what nobody knows."""
    from fewtune.models.load import load_tokenizer

    tokenizer = load_tokenizer(source)
    texts = [_text_of(row) for row in data.train]
    chinese = sum(map(is_chinese, texts)) / len(texts)
    if job.writes:
        return {"chinese": chinese, **_answer_tokens(job, data.train, source, tokenizer)}
    from fewtune.tasks import LABELLED

    task = LABELLED[job.task].of_rows(data.labels, data.train, False, 0.0)
    ids = task.encode(texts, tokenizer, source.room(0)).ids
    return {
        "lengths": [len(row) for row in ids],
        "learned": 0.0,
        "unknown": unknown_share(ids, tokenizer),
        "chinese": chinese,
    }


def _answer_tokens(job: Job, rows: Sequence[Row], source: Source, tokenizer: Any) -> dict[str, Any]:
    """The same of rows that a language model learns to answer."""
    from fewtune.models.chat import set_template
    from fewtune.tasks.generate import LONGEST, Generate

    set_template(tokenizer, job.generate.chat_template)
    room = min(job.model.max_length or LONGEST, source.positions)
    found = Generate(job.generate.train_on).encode(rows, tokenizer, room).rows
    if not len(found):
        raise UsageError(
            "no row can be learned from; look at them with `fewtune check DATA --model MODEL`."
        )
    return {
        "lengths": found.lengths.tolist(),
        "learned": float(found.learned.mean()),
        "unknown": unknown_share(found.ids, tokenizer),
    }


def _text_of(row: Row) -> str:
    return row["text"] if "text" in row.fields else as_text(row["messages"])


def _counted(facts: Facts, source: Source, job: Job, data: Dataset, again: bool) -> Facts:
    """The facts with what each method trains of the model."""
    from fewtune import __version__

    neural = {n: m for n, m in facts.methods.items() if m.tunes and m.needs_model}
    told = [(name, method.model_dump()) for name, method in neural.items()]
    known = [one.name for one in fields(Count)]
    key = (__version__, known, fingerprint(source.folder / "config.json"), facts.classes, told)
    found = kept("counts", key, partial(_count_all, source, facts.classes, neural), again)
    counts = {name: Count(**one) for name, one in found.items()}
    if not facts.writes:
        texts = [_text_of(row) for row in data.train]
        key_of_texts = _data_key(job, data, source)
        grams = kept("ngrams", key_of_texts, partial(_ngrams, texts), again)
        size = (facts.classes or 0) * (grams + 1)
        counts["tfidf"] = Count(trained=size, total=size)
    return replace(facts, counts=counts)


def _count_all(
    source: Source, classes: int | None, methods: Mapping[str, Method]
) -> dict[str, dict[str, Any]]:
    from fewtune.methods.count import count
    from fewtune.models.empty import empty

    make = partial(empty, source, classes)
    return {name: asdict(count(make, method)) for name, method in methods.items()}


def _ngrams(texts: list[str]) -> int:
    """How many n-grams TF-IDF would count."""
    from sklearn.feature_extraction.text import CountVectorizer

    from fewtune.models.ngrams import KINDS

    return sum(len(CountVectorizer(**how).fit(texts).vocabulary_) for how in KINDS.values())


def timed(facts: Facts, source: Source, again: bool) -> Facts:
    """The facts with what passes cost."""
    from fewtune.trials.timing import time_steps

    found = time_steps(source, facts.shape, facts.writes, facts.hardware, facts.lengths, again)
    return replace(facts, timings=found)
