"""A sign of trouble in a run's record, and the parts of a record that signs are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite
from statistics import mean
from typing import Any

from fewtune.report.facts import Facts, happened, part

FEW_STEPS = 20  # with fewer a curve says nothing
#: Of a part's size. Six steps at a third of the default rates, kept at a fifth of the way, moved
#: the parts of every method by 1e-4 and more.
NOTHING = 1e-6


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that the record shows.

    Attributes:
        code: the rule's name.
        said: a sentence with the numbers.
        do: what to do next, a sentence.
    """

    code: str
    said: str
    do: str


@dataclass(frozen=True)
class Told:
    """The parts of a record that rules look at."""

    facts: Facts

    @property
    def writes(self) -> bool:
        """Whether the model answers in words of its own."""
        return self.facts.writes

    @cached_property
    def losses(self) -> list[float]:
        """The training loss of every step, in order; what was no number is infinite."""
        steps = {one.fields.get("step"): one for one in happened(self.facts, "step")}
        found = (one.fields.get("loss") for one in steps.values())
        return [one if isinstance(one, int | float) and isfinite(one) else inf for one in found]

    @cached_property
    def comparable(self) -> bool:
        """Whether training losses and held-out losses are of the same kind, and enough of them."""
        options = part(self.facts.plan, "train")
        changed = options.get("label_smoothing_factor")
        changed = changed or options.get("class_weights") == "balanced"
        known = self.summed > 0 and not changed
        return known and len(self.losses) >= FEW_STEPS and inf not in self.losses

    @cached_property
    def tenths(self) -> list[float]:
        """The mean training loss of each tenth of the run."""
        size = len(self.losses) / 10
        return [mean(self.losses[int(k * size) : int((k + 1) * size)]) for k in range(10)]

    @property
    def first(self) -> float:
        """The training loss at the start."""
        return self.tenths[0]

    @property
    def last(self) -> float:
        """The training loss at the end."""
        return self.tenths[-1]

    @cached_property
    def summed(self) -> int:
        """How many losses training adds up in a row's where its score is their mean.

        Of several labels a row there is one of every label; else a row has a single one.
        """
        return len(self.facts.data.get("labels") or ()) if self.several else 1

    @property
    def several(self) -> bool:
        """Whether a row may have several labels."""
        return self.facts.several

    @property
    def each(self) -> str:
        """What such a loss is of, after its number; a row's needs no words."""
        return " a label" if self.several else ""

    @property
    def ended(self) -> float:
        """The training loss at the end, of the kind that scores are."""
        return self.last / self.summed

    @property
    def moved(self) -> dict[str, dict[str, Any]]:
        """How far the fit moved each part (`train/moved.py`); empty where nothing was fitted."""
        return part(part(self.facts.scores, "train"), "moved")

    @property
    def still(self) -> dict[str, float]:
        """Those that are as they were, with what they moved by, relative to their size."""
        found = {name: one["change"] for name, one in self.moved.items()}
        return {name: change for name, change in found.items() if change < NOTHING}

    @cached_property
    def key(self) -> str:
        """What a held-out row's loss is called."""
        return "loss" if self.writes else "log_loss"

    @cached_property
    def held_out(self) -> float | None:
        """The loss of the scored rows."""
        value = part(part(self.facts.scores, "test"), self.key).get("value")
        return None if value is None else float(value)

    @cached_property
    def blind(self) -> float | None:
        """The loss of who knows nothing of the rows: the untouched model, or class shares."""
        name = "before" if self.writes else "majority"
        block = part(part(self.facts.scores, "baselines"), name)
        value = part(block, self.key).get("value")
        return None if value is None else float(value)


def called(name: str) -> str:
    """A part of the model in a sentence."""
    return "the head" if name == "head" else f"`{name}`"


Rule = Callable[[Told], Iterator[Sign]]


def hardly_learned(told: Told) -> bool:
    """Whether the training loss ended near that of who knows nothing of the rows."""
    if not told.comparable or not told.blind:
        return False
    score = part(part(told.facts.scores, "test"), told.key)
    if (score.get("high") or inf) < 0.9 * told.blind:  # what is hard to learn, and is learned
        return False
    return told.ended / told.blind > (0.95 if told.writes else 0.6)
