"""The stages of a generation run between its rows and its scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.augment.apply import augment
from fewtune.augment.context import context_of
from fewtune.base.errors import FewtuneError
from fewtune.base.events import Event, tell
from fewtune.base.files import found
from fewtune.data.dialogue import as_text
from fewtune.data.ledger import Entry
from fewtune.data.read import read_any
from fewtune.data.row import Row
from fewtune.data.shapes import SHAPES
from fewtune.models.decoding import DecodingOptions
from fewtune.pipeline.extra import calls_of, kept_rows, recipes_of, told
from fewtune.pipeline.job import Job, races
from fewtune.pipeline.learning import learn_curve_of_answers_alone
from fewtune.pipeline.memory import footprint
from fewtune.pipeline.race import race_answers, reserved_tokens
from fewtune.pipeline.run import Run
from fewtune.tasks.generate import Encoding, Generate, asked

if TYPE_CHECKING:
    from fewtune.models.batches import Marked
    from fewtune.train.answers import AnswerBench
    from fewtune.trials.runners import Entrant

LOOKED_AT = 16  # training rows that the untouched model is asked about
ASKED = 3  # of them, those that it answers
UNREADABLE = 0.01  # share of learned tokens without a word of the tokenizer's that is told
SHOWN = 2  # rows of the sample of learned tokens
REPLACED = (
    "the model brings a chat template of its own, which `{}` replaces: what it was taught to "
    "answer in that form is lost to it; leave --chat_template out unless you mean it."
)
UNTRAINED = ("template-untrained", "none of its tokens is learned")
LONGEST_SHOWN = 400  # characters of a piece in it

#: What a model that writes is scored on and replays: answers and texts.
WRITTEN = tuple(shape for shape in SHAPES if shape.task == Generate.name)
#: Replayed rows are read by themselves, whatever the task's file was told to be.
PLAIN: dict[str, Any] = {"text": None, "label": None, "map": {}, "format": None}
CUTS = {
    "turns": ("truncated-turns", "its oldest turns are left out"),
    "prompt": ("truncated-prompt", "the middle of its prompt is left out"),
    "answer": ("truncated-answer", "the end of its answer is cut, with the stop token"),
}


def generate(run: Run) -> Iterator[Event]:
    """Plan, fit and save; then everything that is said about the test rows."""
    from fewtune.pipeline.answering import finish
    from fewtune.train.answers import AnswerBench, Answerer

    assert run.source is not None
    job = run.job
    task = Generate(job.generate.train_on)
    bench = AnswerBench(
        run.source, task, job.model, job.train, run.seed, reserved_tokens(run), run.chosen,
        job.generate.chat_template, keep=run.keep_measured,
    )  # fmt: skip
    run.chosen["chat_template"] = bench.template
    if bench.replaces:
        yield tell("warned", message=REPLACED.format(bench.template))
    encoding = bench.encode(run.data.train)
    yield from set_aside(run, "train", run.data.train, encoding)
    rows = own = learnable(run, encoding)
    if job.augment.augment:
        rows = yield from _augmented(run, bench, rows)
    if job.generate.replay:
        rows = yield from _replayed(run, bench, rows)
    yield _encoded(bench, encoding, rows)
    yield from _unreadable(bench, rows)
    yield from _before(run, bench, rows)
    if races(job):
        # made and replayed rows are no rows of a fold: a made one would be learned where its
        # parent is held out, and what is replayed is not what candidates are compared on
        yield from race_answers(run, bench, own)
    valid = bench.encode(run.data.valid)
    yield from set_aside(run, "valid", run.data.valid, valid)
    candidate = Answerer(bench, run.method)
    candidate.attach()
    run.facts["trainable"], run.facts["total"] = candidate.counts()
    recipe = run.decide(len(rows), len(own))
    candidate.measure(rows.lengths)
    yield from run.planned(recipe)
    begun = perf_counter()
    run.seconds["before_first_step"] = begun - run.begun
    watched = valid.rows.take(np.flatnonzero(valid.rows.learned)) if len(valid.rows) else None
    fit = candidate.fit(rows, recipe, run.folder.checkpoints, watched)
    for event in footprint(run, candidate, rows, recipe, fit):
        if event.name == "trained":
            run.facts |= {key: event[key] for key in ("tokens", "moved")}
        yield event
    run.seconds["train"] = perf_counter() - begun
    yield from run.save(candidate.save)
    del candidate  # what is told from here on is told of the saved model
    if not races(job):
        begun = perf_counter()
        yield from learn_curve_of_answers_alone(run, partial(_entrant, run, bench, own), own)
        run.seconds["learning_curve"] = perf_counter() - begun
    yield from finish(run, bench)


def _entrant(run: Run, bench: AnswerBench, rows: Marked, folds: list[np.ndarray]) -> Entrant:
    """The run's method on folds of its rows."""
    from fewtune.trials.answer_entrants import AnswerSetting, answer_entrant
    from fewtune.trials.entrants import Contender

    assert run.answer_width is not None
    setting = AnswerSetting(bench, rows, folds, run.answer_width, run.folder.trials)
    return answer_entrant(setting, Contender(run.method.spell(), run.method))


def set_aside(run: Run, part: str, rows: Sequence[Row], encoding: Encoding) -> Iterator[Event]:
    """Write down what could not be learned from, and what was cut."""
    ledger = run.data.ledger
    gone = {k: ("template-role", reason) for k, reason in encoding.refused.items()}
    gone |= dict.fromkeys(encoding.unlearned, UNTRAINED)
    for k, (code, reason) in sorted(gone.items()):
        ledger.quarantined.append(Entry(rows[k].origin, code, reason))
        ledger.kept -= 1
    for k, cut in enumerate(encoding.cuts):
        if cut and k not in gone:
            ledger.truncated.append(Entry(rows[k].origin, *CUTS[cut]))
    ledger.check()
    if gone or any(encoding.cuts):
        run.folder.write_data(run.data.as_json())
    if gone:
        first = min(gone)
        yield tell(
            "warned",
            message=f"{len(gone):,} of {len(rows):,} {part} rows are set aside; the first, "
            f"{rows[first].origin}: {gone[first][1]} [{gone[first][0]}].",
        )
    for kind, count in Counter(cut for cut in encoding.cuts if cut).items():
        yield tell(
            "warned",
            message=f"{count:,} of {len(rows):,} {part} rows are longer than the model reads "
            f"here; of each, {CUTS[kind][1]} (--max_length sets the limit) [{CUTS[kind][0]}].",
        )


def learnable(run: Run, encoding: Encoding) -> Marked:
    """The rows with something to learn.

    Raises:
        FewtuneError: there is none.
    """
    rows = encoding.rows.take(np.flatnonzero(encoding.rows.learned))
    if len(rows):
        return rows
    why = next(iter(encoding.refused.values()), "no token of an answer is left to learn")
    raise FewtuneError(
        f"none of the {len(run.data.train):,} training rows can be learned from ({why}); look at "
        "them with `fewtune check DATA --model MODEL`."
    )


def _augmented(run: Run, bench: AnswerBench, rows: Marked) -> Generator[Event, None, Marked]:
    """The rows, and new ones by the recipes asked for."""
    more = bench.encode((yield from kept_rows(run, _made(run)))).rows
    more = more.take(np.flatnonzero(more.learned)) if len(more) else more
    return rows.and_also(more)


def _made(run: Run) -> Generator[Event, None, Sequence[Row]]:
    """What the recipes make of the training rows."""
    job = run.job
    recipes = recipes_of(job)
    held = [*run.data.valid, *run.data.test]
    context = context_of(job.augment, recipes)
    made = augment(run.data.train, recipes, context, run.seed, job.augment.augment_copies, held)
    yield from told(made, context)
    yield tell("augmented", made=len(made.rows), dropped=dict(made.dropped), **calls_of(context))
    return made.rows


def replayable_rows(job: Job) -> list[Row]:
    """The rows of `--replay`.

    Raises:
        UsageError: there is no such file, or it holds neither texts nor dialogues.
        FewtuneError: no row can be used.
    """
    path = job.generate.replay or ""
    table = read_any(found(path, "replay"), job.data.model_copy(update=PLAIN), shapes=WRITTEN)
    return table.rows


def _replayed(run: Run, bench: AnswerBench, rows: Marked) -> Generator[Event, None, Marked]:
    """The rows, and general ones among them, drawn by the seed."""
    options = run.job.generate
    more = bench.encode(replayable_rows(run.job)).rows
    more = more.take(np.flatnonzero(more.learned)) if len(more) else more
    wanted = round(len(rows) * options.replay_share / (1 - options.replay_share))
    draw = np.random.Generator(np.random.PCG64(run.seed))
    chosen = draw.permutation(len(more))[:wanted]
    yield tell(
        "warned",
        message=f"{len(chosen):,} of {len(more):,} rows of {options.replay} are learned along "
        f"({len(chosen) / max(1, len(chosen) + len(rows)):.0%} of all), so that less is forgotten.",
    )
    return rows.and_also(more.take(chosen))


def _encoded(bench: AnswerBench, encoding: Encoding, rows: Marked) -> Event:
    """How much is learned, whether answers end, and a sample to look at."""
    from fewtune.models.chat import stop_ids

    ends = set(stop_ids(bench.tokenizer))
    last = [int(ids[np.flatnonzero(w)[-1]]) for ids, w in zip(rows.ids, rows.weights, strict=True)]
    return tell(
        "encoded",
        rows=len(rows),
        tokens=int(rows.lengths.sum()),
        learned=int(rows.learned.sum()),
        cut=dict(Counter(filter(None, encoding.cuts))),
        ends=sum(one in ends for one in last) / len(rows),
        template=bench.template,
        sample=[_pieces(bench.tokenizer, rows, k) for k in range(min(SHOWN, len(rows)))],
    )


def _unreadable(bench: AnswerBench, rows: Marked) -> Iterator[Event]:
    """A warning where the tokenizer has no word for much of what is to be learned."""
    unknown = bench.tokenizer.unk_token_id
    if unknown is None:
        return
    learned = [ids[weights > 0] for ids, weights in zip(rows.ids, rows.weights, strict=True)]
    share = sum(int((one == unknown).sum()) for one in learned) / int(rows.learned.sum())
    if share > UNREADABLE:
        yield tell(
            "warned",
            message=f"{share:.0%} of the learned tokens are `{bench.tokenizer.unk_token}`: the "
            "model has no tokens for these letters and cannot learn to write them; choose a model "
            "for the language of the rows.",
        )


def _pieces(tokenizer: Any, rows: Marked, row: int) -> list[dict[str, Any]]:
    """A row as text, cut where learning begins and ends."""
    ids, learned = rows.ids[row], rows.weights[row] > 0
    edges = [0, *(np.flatnonzero(np.diff(learned)) + 1).tolist(), len(ids)]
    found = []
    for start, end in pairwise(edges):
        text = tokenizer.decode(ids[start:end], clean_up_tokenization_spaces=False)
        if len(text) > LONGEST_SHOWN:
            text = f"{text[: LONGEST_SHOWN // 2]} … {text[-LONGEST_SHOWN // 2 :]}"
        found.append({"text": text, "learned": bool(learned[start])})
    return found


def _before(run: Run, bench: AnswerBench, rows: Marked) -> Iterator[Event]:
    """The untouched model on a few training rows: can it be taught at all?

    Raises:
        FewtuneError: it answers with what is no number.
    """
    some = rows.take(range(min(LOOKED_AT, len(rows))))
    voice = bench.voice(bench.base)
    loss, count, _ = voice.losses(some)
    if not np.isfinite(loss).all():
        exact = ", or try --no-bf16" if bench.machine.bf16 else ""
        raise FewtuneError(
            f"{run.job.model.model} finds its training rows likely by what is no number, so its "
            f"weights are damaged; copy them again{exact}."
        )
    per_token = float(loss.sum() / count.sum())
    talks = [row for row in run.data.train[:LOOKED_AT] if "messages" in row.fields][:ASKED]
    decoding = DecodingOptions(max_new_tokens=min(64, run.job.decoding.max_new_tokens))
    replies = voice.answer([asked(row)[0] for row in talks], decoding, run.seed) if talks else []
    yield tell(
        "asked",
        rows=len(some),
        loss=per_token,
        stops=sum(one.stopped for one in replies) / len(replies) if replies else None,
        questions=[as_text(asked(row)[0]) for row in talks],
        answers=[one.text for one in replies],
    )
    if per_token > math.log(bench.base.vocabulary) + 1:
        yield tell(
            "warned",
            message=f"the untouched model's loss on the answers is {per_token:.2f} nats a token, "
            f"worse than guessing among its {bench.base.vocabulary:,} tokens: it has never seen "
            "texts like these, or its weights and its tokenizer do not belong together.",
        )
