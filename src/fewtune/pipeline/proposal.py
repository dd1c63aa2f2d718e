"""What `fewtune plan` says: data, model and machine are looked at, `choose` ranks.

Nothing is trained and no weight is read; a folder with config.json and a tokenizer will do. What
takes seconds (tokens, counts, timed steps) is kept in the user's cache folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fewtune.base.amounts import seconds_of
from fewtune.base.errors import UsageError
from fewtune.base.options import build, take
from fewtune.choose.facts import Facts, Hardware
from fewtune.choose.options import PlanOptions, needs_of
from fewtune.choose.proposal import Proposed, rank, with_options
from fewtune.choose.rules import STRANGE, applying
from fewtune.data.dialogue import as_text
from fewtune.data.holdout import labels_of
from fewtune.data.load import Dataset, load
from fewtune.data.near import is_chinese
from fewtune.data.row import Row
from fewtune.methods.base import Method
from fewtune.methods.count import Count
from fewtune.models.options import is_endpoint
from fewtune.models.shape import shape_of
from fewtune.models.waiting import wait_as_the_machine_allows
from fewtune.pipeline.job import AUTO, WAYS, Job, make_job
from fewtune.pipeline.machine import hardware_of
from fewtune.pipeline.memory import machine_factor
from fewtune.pipeline.plan import reads, with_task, with_valid_rows
from fewtune.pipeline.run import watchable_rows
from fewtune.trials.kept import kept

if TYPE_CHECKING:
    from fewtune.models.load import Source

#: What of a text's language a model must read, to be named where the given one does not.
READS_CHINESE = {
    "classify": "bge-small-zh, bert-base-chinese or paraphrase-multilingual-MiniLM-L12-v2",
    "generate": "Qwen2.5-0.5B-Instruct",
}


@dataclass(frozen=True)
class Proposal:
    """A plan before a run: what it rests on, and the methods by rank.

    Attributes:
        job: as the user gave it, its task named.
        asked: whether the user named the task.
        data: as a run would split it.
        facts: what the ranking rests on.
        methods: the best first.
        notes: what the user should know, a sentence each.
    """

    job: Job
    asked: bool
    data: Dataset
    facts: Facts
    methods: list[Proposed]
    notes: list[str]

    def command(self, one: Proposed) -> str:
        """What to type to train by a proposed method."""
        given = {"model": self.job.model.model, **self.job.given, "method": one.method}
        given.pop("budget", None)  # of a race, which a named method does not run
        given |= one.options
        job = replace(self.job, given=given)
        return job.command

    def as_json(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        facts = self.facts
        return {
            "data": self.job.path,
            "task": {"name": facts.task, "why": self._why()},
            "rows": {
                **self.data.ledger.counts(),
                **{part: len(self.data.part(part)) for part in ("train", "valid", "test")},
            },
            "size": facts.size,
            "rows_per_class": self._per_class(),
            "tokens": {
                "mean": round(float(facts.lengths.mean()), 1),
                "longest": int(facts.lengths.max()),
                "learned": round(facts.learned, 1) if facts.writes else None,
                "unknown": round(facts.unknown, 4),
            },
            "model": {
                "name": facts.model,
                "family": facts.shape.family,
                "parameters": facts.parameters,
                "blocks": facts.shape.layers,
                "width": facts.shape.width,
            },
            "hardware": {
                name: [*value] if isinstance(value, tuple) else value
                for name, value in asdict(facts.hardware).items()
            },
            "needs": sorted(facts.needs),
            "budget": facts.budget,
            "timing": {"how": facts.timings.how, "note": facts.timings.note}
            if facts.timings
            else None,
            "rules": self._rules(),
            "methods": [
                one.as_json() | {"command": None if one.refused else self.command(one)}
                for one in self.methods
            ],
            "notes": self.notes,
        }

    def _why(self) -> str:
        """How the task was found."""
        columns = ", ".join(f"{role} is `{name}`" for role, name in self.data.columns.items())
        if self.asked:
            return "as you said."
        kind = {
            "classify": "a text and one label a row",
            "multilabel": "a text and several labels a row",
            "generate": "dialogues or questions with answers",
        }.get(self.facts.task, "what the rows hold")
        return f"{kind} ({columns})." if columns else f"{kind}."

    def _per_class(self) -> dict[str, float] | None:
        counts = sorted(self.facts.per_class.values())
        if not counts:
            return None
        middle = float(np.median(counts))
        return {"classes": len(counts), "least": counts[0], "median": middle, "most": counts[-1]}

    def _rules(self) -> list[dict[str, Any]]:
        """The rules that applied, with whom they raised and lowered."""
        names = [one.method for one in self.methods if not one.refused]
        return [
            {
                "name": rule.name,
                "kind": rule.kind,
                "says": rule.says(self.facts),
                "source": rule.source,
                "numbers": dict(rule.numbers),
                "raises": [name for name in names if rule.adds(name) > 0],
                "lowers": [name for name in names if rule.adds(name) < 0],
            }
            for rule in applying(self.facts)
        ]


def propose(path: str, given: Mapping[str, Any]) -> Proposal:
    """Look at data, model and machine, and rank the methods.

    Args:
        path: the training file.
        given: options by name, those of `fewtune train` and of PlanOptions.

    Raises:
        UsageError: wrong options; every mistake of a kind at once.
        FewtuneError: no such model, or no method could learn from these rows.
    """
    wait_as_the_machine_allows()  # said before torch is imported
    given = {name: value for name, value in given.items() if value is not None}
    first, wanted = _asked(path, given)
    _refuse_endpoint(first)
    job = with_task(first)
    data = with_valid_rows(load(job.path, reads(job), job.data, job.run.seed), job)
    hardware = hardware_of(job.model, wanted.memory)
    learned = machine_factor(hardware.device, limited=wanted.memory is not None)
    hardware = replace(hardware, factor=learned)
    facts, source = facts_of(job, data, hardware, wanted)
    facts = timed(facts, source, wanted.again)
    asked = first.task != AUTO
    return Proposal(job, asked, data, facts, rank(facts), _notes(facts))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user says of a plan: needs, seconds, bytes, and whether to time anew."""

    needs: frozenset[str] = frozenset()
    budget: float | None = None
    memory: int | None = None
    again: bool = False


def _asked(path: str, given: Mapping[str, Any]) -> tuple[Job, Wanted]:
    """The job, and what is wanted besides.

    Raises:
        UsageError: every mistake at once, one a line.
    """
    wrong: list[str] = []

    def tried(read: Callable[..., Any], *words: Any) -> Any:
        try:
            return read(*words)
        except UsageError as error:
            wrong.append(str(error))

    own = take(PlanOptions, given)
    job = tried(make_job, path, {name: v for name, v in given.items() if name not in own})
    built = tried(build, [PlanOptions], own)
    options = cast(PlanOptions, built[0]) if built else PlanOptions()
    wanted = Wanted(
        tried(needs_of, options.need) or frozenset(),
        tried(seconds_of, job.trials.budget) if job and job.trials.budget else None,
        job.model.budget if job else None,
        options.again,
    )
    if wrong:
        raise UsageError("\n".join(wrong))
    return cast(Job, job), wanted


def facts_of(
    job: Job,
    data: Dataset,
    hardware: Hardware,
    wanted: Wanted | None = None,
) -> tuple[Facts, Source]:
    """What the ranking rests on, without timings.

    Raises:
        FewtuneError: as `models.load.find`; the model cannot do the task.
    """
    from fewtune.models.load import find

    wanted = wanted or Wanted()
    again = wanted.again
    source = find(job.model, weights=False)
    shape = shape_of(source.config)
    if job.task == "generate" and not shape.causal:
        raise UsageError(
            f"model: {job.model.model} reads and does not write; give a causal language model, "
            "such as a folder or hub id of the Qwen or Llama family (--model)."
        )
    told = kept("tokens", _data_key(job, data, source), partial(_tokens, job, data, source), again)
    writes = job.task == "generate"
    facts = Facts(
        task=job.task,
        rows=len(told["lengths"]),
        per_class=Counter(label for row in data.train for label in labels_of(row)),
        lengths=np.array(told["lengths"]),
        learned=told["learned"],
        unknown=told["unknown"],
        chinese=told["chinese"],
        model=job.model.model,
        parameters=shape.backbone_parameters + (shape.head_parameters if writes else 0),
        shape=shape,
        hardware=hardware,
        methods={name: way() for name, way in WAYS.items()},
        counts={},
        needs=wanted.needs,
        budget=wanted.budget,
        train=job.train,
        has_valid=watchable_rows(data),
    )
    facts = replace(facts, methods=with_options(facts))
    return _counted(facts, source, job, data, again), source


def _refuse_endpoint(job: Job) -> None:
    if is_endpoint(job.model.model):
        raise UsageError(
            "model: what answers behind an address can be asked and not trained, so there is "
            "nothing to weigh; `fewtune train` with it searches a prompt (--method text-prompt)."
        )


def _data_key(job: Job, data: Dataset, source: Source) -> tuple[object, ...]:
    """What the tokens of the training rows depend on."""
    files = [(told["fingerprint"], told["rows"]) for told in data.files.values()]
    tokenizer = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(source.folder.iterdir())
        if path.suffix in (".json", ".txt", ".model", ".spm") or path.name.startswith("tokenizer")
    ]
    options = (job.data.model_dump(), job.generate.model_dump(), job.model.max_length)
    return (job.task, files, str(source.folder), tokenizer, options, job.run.seed)


def _tokens(job: Job, data: Dataset, source: Source) -> dict[str, Any]:
    """Lengths of the training rows in tokens, what of them is learned, what nobody knows."""
    from fewtune.models.load import load_tokenizer

    tokenizer = load_tokenizer(source)
    texts = [_text_of(row) for row in data.train]
    chinese = sum(map(is_chinese, texts)) / len(texts)
    if job.task == "generate":
        return {"chinese": chinese, **_answer_tokens(job, data.train, source, tokenizer)}
    from fewtune.tasks import LABELLED

    task = LABELLED[job.task].of_rows(data.labels, data.train, False, 0.0)
    ids = task.encode(texts, tokenizer, source.room(0)).ids
    return {
        "lengths": [len(row) for row in ids],
        "learned": 0.0,
        "unknown": _unknown(ids, tokenizer),
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
        "unknown": _unknown(found.ids, tokenizer),
    }


def _unknown(ids: Sequence[np.ndarray], tokenizer: Any) -> float:
    """Share of tokens that the tokenizer does not know; a padding token may stand for them."""
    missing = tokenizer.unk_token_id
    if missing is None or missing == tokenizer.eos_token_id:
        return 0.0
    every = np.concatenate(ids)
    return float((every == missing).mean())


def _text_of(row: Row) -> str:
    return row["text"] if "text" in row.fields else as_text(row["messages"])


def _counted(facts: Facts, source: Source, job: Job, data: Dataset, again: bool) -> Facts:
    """The facts with what each method trains of the model."""
    from fewtune import __version__
    from fewtune.base.files import fingerprint

    neural = {n: m for n, m in facts.methods.items() if m.tunes and m.needs_model}
    told = [(name, method.model_dump()) for name, method in neural.items()]
    key = (__version__, fingerprint(source.folder / "config.json"), facts.classes, told)
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


def _notes(facts: Facts) -> list[str]:
    """What the user should know besides the table."""
    notes = []
    if facts.unknown > STRANGE:
        chinese = facts.chinese > 0.2
        better = READS_CHINESE.get(facts.task, READS_CHINESE["classify"])
        advice = (
            f"choose one that reads Chinese, such as {better}"
            if chinese
            else "choose a model of the texts' language"
        )
        notes.append(
            f"{facts.unknown:.0%} of the tokens of the training rows are unknown to {facts.model}"
            + (f", and {facts.chinese:.0%} of the rows are Chinese" if chinese else "")
            + f": it cannot read them well; {advice}."
        )
    if not any(one for one in _weights(facts)):
        notes.append(
            f"{facts.model} has no weights here; sizes come from its config.json alone, and "
            "`fewtune train` needs the weights."
        )
    return notes


def _weights(facts: Facts) -> list[Path]:
    from fewtune.models.load import locate
    from fewtune.models.options import ModelOptions

    folder = locate(ModelOptions(model=facts.model))
    return [*folder.glob("*.safetensors"), *folder.glob("*.bin")]


__all__ = ["Proposal", "Wanted", "facts_of", "propose"]
