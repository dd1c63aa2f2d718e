"""A saved prompt and the model that it is put to: what answers after a search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fewtune.base.errors import UsageError
from fewtune.base.files import at, write_atomic
from fewtune.methods.artefact import About
from fewtune.models.chat import OWN
from fewtune.models.endpoint import Endpoint
from fewtune.models.load import loading
from fewtune.models.nearest import Nearest
from fewtune.models.options import ENDPOINT, ModelOptions, is_endpoint
from fewtune.models.source import is_causal
from fewtune.models.writer import (
    Manner,
    Writer,
    endpoint_writer,
    local_writer,
    without_thoughts,
)
from fewtune.tasks.classify import rarer
from fewtune.trials.options import TextPrompt
from fewtune.trials.prompt import Example, Prompt, as_json

SHEET = "prompt.md"
ROWS = "demonstrations.jsonl"
SEED = 0  # the likeliest answer needs no dice; servers that throw them all the same get this one


def look_at(model: str) -> None:
    """What can be said of a model without asking it.

    Raises:
        UsageError: it is neither the address of a server nor a language model.
        FewtuneError: its folder cannot be read.
    """
    if is_endpoint(model):
        Endpoint.parse(model.removeprefix(ENDPOINT))
    elif not is_causal(ModelOptions(model=model)):
        raise UsageError(
            f"model: {model} reads and does not write, so it cannot be asked; give "
            f"{ENDPOINT}URL#NAME, or a causal language model such as one of the Qwen family."
        )


def full_name(model: str) -> str:
    """A model so that it is found again elsewhere: with its name on the server, its folder whole.

    Raises:
        FewtuneError: the server cannot be asked for the model's name.
    """
    if is_endpoint(model):
        endpoint = Endpoint.parse(model.removeprefix(ENDPOINT))
        return f"{ENDPOINT}{endpoint.url}#{endpoint.model}"
    return str(at(model).resolve()) if at(model).is_dir() else model


def writer_of(model: str, calls: int, max_tokens: int | None = None) -> Writer:
    """What asks a model for its likeliest answers, and keeps them.

    Args:
        model: `endpoint:URL#NAME`, or a folder or hub id.
        calls: most questions that are sent.
        max_tokens: of an answer.
    """
    manner = Manner(0.0, 1.0, max_tokens, lambda text, _: without_thoughts(text) or None)
    if is_endpoint(model):
        return endpoint_writer(model.removeprefix(ENDPOINT), calls, manner)
    return local_writer(model, calls, manner)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a question.

    Attributes:
        said: what the answer says; None where it says nothing that counts.
        raw: the answer; None where there is none.
        refused: why there is none, where that is known.
    """

    said: str | None
    raw: str | None
    refused: str = ""


@dataclass(frozen=True)
class Prompted:
    """A prompt, the rows that it shows, and a model.

    Attributes:
        about: what `fewtune.json` tells.
        prompt: instruction, labels, how demonstrations are chosen.
        rows: what may be shown: the same to every question, or all where the nearest are.
        model: as `writer_of` takes it.
    """

    about: About
    prompt: Prompt
    rows: tuple[Example, ...]
    model: str

    def write(self, questions: Sequence[str]) -> list[str]:
        """What is sent for each question."""
        if self.prompt.how == "nearest":
            near = self._near(questions, self.prompt.shown)
            each = [[self.rows[k] for k in reversed(one)] for one in near]
        else:
            each = [list(self.rows)] * len(questions)
        return [self.prompt.write(q, shown) for q, shown in zip(questions, each, strict=True)]

    def answers(self, questions: Sequence[str], writer: Writer | None = None) -> list[Told]:
        """What came of each question.

        Raises:
            FewtuneError: the model cannot be asked.
        """
        ask = writer or writer_of(self.model, len(questions))
        prompts = self.write(questions)
        told = ask(prompts, SEED)
        why = [str(ask.failed.get(one, "")) for one in prompts]
        return [
            Told(self.prompt.read(one), one, reason if one is None else "")
            for one, reason in zip(told, why, strict=True)
        ]

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """One `{"prediction", "answer"}` a text, and `refused` where it got no answer: why."""
        return [
            {"prediction": one.said, "answer": one.raw}
            | ({"refused": one.refused} if one.refused else {})
            for one in self.answers(texts)
        ]

    @cached_property
    def _near(self) -> Nearest:
        return Nearest([one.asked for one in self.rows])


# ---- on disk


def save(
    folder: Path,
    prompt: Prompt,
    pool: Sequence[Example],
    groups: Sequence[str],
    model: str,
    positive: str | None = None,
) -> About:
    """Write the artefact: `fewtune.json`, the rows that are shown, and a sheet for people.

    Args:
        folder: an empty one.
        pool: the training rows.
        groups: of each its label, or whatever demonstrations should differ in.
        model: that the prompt was searched for, as `full_name` gives it.
        positive: of two labels the one that scores are about; where not given the rarer one.
    """
    labels = list(prompt.labels)
    targets = np.array([labels.index(one.answer) for one in pool if one.answer in labels], int)
    rows: Sequence[Example] = ()
    if prompt.how == "nearest":
        rows = pool
    elif prompt.shown:
        chosen = Nearest([one.asked for one in pool]).diverse(groups, prompt.shown)
        rows = [pool[k] for k in chosen]
    about = About(
        task="classify" if prompt.labels else "generate",
        method=TextPrompt.name,
        options=as_json(prompt),
        labels=labels,
        positive=positive or rarer(targets, labels),
        base=model,
        template="" if prompt.labels else OWN,
    )
    about.write(folder)
    lines = [json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rows]
    write_atomic(folder / ROWS, "".join(lines))
    write_atomic(folder / SHEET, sheet(load(folder), pool))
    return about


def is_prompt(folder: Path) -> bool:
    """Whether a folder holds a prompt."""
    return (folder / SHEET).is_file() and (folder / ROWS).is_file()


def load(folder: Path, model: str | None = None) -> Prompted:
    """The prompt in `model/` of a run.

    Args:
        folder: the artefact's.
        model: to put it to another one than it was searched for.

    Raises:
        FewtuneError: it is none, or damaged.
        UsageError: `model` cannot be asked.
    """
    about = About.read(folder)
    if model is not None:
        look_at(model)
    with loading(folder, "prompt"):
        lines = (folder / ROWS).read_text(encoding="utf-8").split("\n")
        rows = tuple(Example(**json.loads(line)) for line in lines if line)
        prompt = Prompt(labels=tuple(about.labels), **about.options)
    return Prompted(about, prompt, rows, model or about.base)


def sheet(prompted: Prompted, pool: Sequence[Example]) -> str:
    """The prompt for people: what is told, what is shown, and an example as it is sent."""
    prompt = prompted.prompt
    shown = {
        "none": "No training rows are shown.",
        "nearest": f"Before each question stand the {prompt.shown} of the {len(prompted.rows):,} "
        f"rows in `{ROWS}` that are nearest to it (TF-IDF of character n-grams), the nearest last.",
        "diverse": f"Before every question stand the same {len(prompted.rows)} rows, those in "
        f"`{ROWS}`.",
    }
    if prompt.how == "nearest":  # of all rows a row is nearest to itself
        example, *others = pool
        sent = replace(prompted, rows=tuple(others)).write([example.asked])[0]
    else:
        hidden = [one for one in pool if one not in prompted.rows] or pool
        sent = prompted.write([hidden[0].asked])[0]
    fence = "`" * max(3, 1 + max(map(len, _runs(sent)), default=0))
    return (
        f"# The prompt\n\nFor {prompted.model}.\n\n## Instruction\n\n{prompt.instruction}\n\n"
        f"## Demonstrations\n\n{shown[prompt.how]}\n\n## As it is sent\n\n"
        f"To a training row's text:\n\n{fence}text\n{sent}\n{fence}\n"
    )


def _runs(text: str) -> list[str]:
    """Runs of backticks, which a fence must outdo."""
    from re import findall

    return findall("`+", text)
