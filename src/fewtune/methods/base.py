"""What a tuning method is: a frozen model of its own options with one verb, `attach`.

The caller freezes the whole model once (`prepare`); `attach` only adds parts and turns gradients
on, never off. That promise is what lets methods be combined with `+`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fewtune.base.errors import UsageError
from fewtune.base.options import Options
from fewtune.methods.space import Space, Span, around, spans_of

if TYPE_CHECKING:
    from torch import nn

    from fewtune.methods.artefact import About
    from fewtune.models.probe import Probe
    from fewtune.models.tunable import Tunable


SOFTER = 2.0  # temperature of the head's start, over the calibrated probe's
MEASURED_ROWS = 1000  # the sizes at which rates and passes were measured end here
WIDE = 4096  # the width of the models whose rates for generation the literature gives
MOST_PASSES = 8.0  # over very few dialogues
RATES = 4.0  # times and a fourth of the default rate: where the search looks


@dataclass(frozen=True, slots=True)
class Budget:
    """A method's measured default for a number of rows: rates (per step) and passes, and how many
    steps these are at the least."""

    learning_rate: float
    head_learning_rate: float
    epochs: float
    least_steps: int = 1


class Method(Options):
    """A way to adapt a pretrained model.

    Attributes:
        name: the key in the registry.
        scene: one clause on when to use it, for tables.
        tunes: False for what changes the question and leaves the model as it is.
        needs_model: False for a candidate without a neural model.
        needs_steps: False where the start of the head is the whole fit.
        saves_base: True where the artefact holds the base's own weights.
        trains_words: True where the vocabulary's vectors train.
        adds_parts: True where what trains stands beside the base's own weights.
        merges: True where `merge` leaves a plain model that computes the same.
        rate: default learning rate; `head_rate` the head's, `passes` over up to 1,000 rows.
        least_steps: of the default: six passes over sixteen rows are six steps and hardly move
            anything (docs/log.md, Steps on very few rows).
        answer_rate: default learning rate where a model of WIDE learns to write; `narrower` the
            power by which it grows as the model gets narrower.
        decays: False where what is learned starts at another value than 0, to which weight decay
            would pull it.
        alpha: how far from the start to the trained weights the final ones lie, on few rows
            (WiSE-FT); 1 is all the way.
    """

    name: ClassVar[str]
    scene: ClassVar[str]
    tunes: ClassVar[bool] = True
    needs_model: ClassVar[bool] = True
    needs_steps: ClassVar[bool] = True
    saves_base: ClassVar[bool] = False
    trains_words: ClassVar[bool] = False
    adds_parts: ClassVar[bool] = False
    merges: ClassVar[bool] = False
    rate: ClassVar[float] = 1e-4
    head_rate: ClassVar[float] = 1e-3
    passes: ClassVar[float] = 10
    least_steps: ClassVar[int] = 1
    answer_rate: ClassVar[float] = 2e-4
    narrower: ClassVar[float] = 0.5
    answer_passes: ClassVar[float] = 3.0
    decays: ClassVar[bool] = True
    alpha: ClassVar[float] = 1.0

    def refuses(self, model: Tunable) -> str | None:
        """Why this method cannot be used on this model, as a full sentence; None if it can."""
        return None

    def attach(self, model: Tunable) -> Tunable:
        """Add parts to a frozen model and turn their gradients on."""
        raise NotImplementedError

    def switch(self, model: Tunable, on: bool) -> None:
        """Turn the added parts off or on again; only where `restores`."""

    def scale(self, model: Tunable, by: float) -> bool:
        """Multiply what the added parts contribute; False where it cannot be done.

        1 leaves the model as it was trained, 0 is the base; between them lies less of what was
        learned and less of what was forgotten.
        """
        return False

    def merge(self, model: Tunable) -> Tunable | None:
        """The same function as a plain model, or None where there is none."""
        return model if self.merges else None

    @property
    def needs_exact_base(self) -> bool:
        """Whether the artefact will hold the base's weights, as they are or with parts merged into
        them; else a base that stays frozen may be rounded for good.
        """
        parts = self.parts()
        merged = len(parts) > 1 and all(part.merges for part in parts)
        return merged or any(part.saves_base for part in parts)

    def save(self, model: Tunable, folder: Path, about: About) -> None:
        """Write the weights into `folder`, in the ecosystem's format where it has one."""
        raise NotImplementedError

    def load(self, folder: Path, about: About) -> Tunable:
        """Rebuild the trained model from what `save` wrote."""
        raise NotImplementedError

    def code(self, about: About) -> str:
        """Python for the model card: defines `predict(texts) -> labels` with plain libraries."""
        raise NotImplementedError

    def budget(self, rows: int) -> Budget:
        """Default rates and passes for `rows` training rows; measured, see docs/log.md.

        Beyond MEASURED_ROWS the passes shrink with the square root of the rows, so that the steps
        still grow; that is a rule and not a measurement.
        """
        shrunk = self.passes * min(1.0, (MEASURED_ROWS / rows) ** 0.5)
        passes = round(max(2.0, shrunk), 1)
        return Budget(self.rate, self.head_rate, passes, self.least_steps)

    def answer_budget(self, rows: int, width: int) -> Budget:
        """Default rate and passes where a language model learns answers.

        The literature's rates are those of wide models; a narrower one takes larger steps (for all
        weights about width^-0.75, for added parts width^-0.5: trials on two small models and on
        the published rates, docs/log.md). Few rows want more passes.

        Args:
            rows: training rows.
            width: of the model's states.
        """
        rate = self.answer_rate * (WIDE / width) ** self.narrower
        passes = self.answer_passes * (MEASURED_ROWS / rows) ** 0.5
        return Budget(rate, rate, round(min(MOST_PASSES, max(2.0, passes)), 1))

    def space(self, rows: int, width: int | None, blocks: int) -> Space:
        """What `--search` may vary: options of the method and of its fit, each with its range.

        The rate lies round the method's default, the method's own options where their annotations
        say. A subclass adds what it alone knows. Empty where there is nothing to vary.

        Args:
            rows: training rows.
            width: of the language model that learns to write; None for a classifier.
            blocks: of the model.
        """
        own = spans_of(type(self).model_fields)
        if not self.needs_steps:
            return own
        budget = self.budget(rows) if width is None else self.answer_budget(rows, width)
        found = {"learning_rate": around(budget.learning_rate, RATES)}
        found["dropout"] = Span(0.0, 0.3, step=0.1)
        if self.alpha < 1 and width is None:
            found["wise_ft_alpha"] = Span(0.2, 1.0, step=0.1)
        return found | own

    def usual(self, name: str, width: int | None) -> float | None:
        """The value of one of its own options, as the search counts it."""
        return getattr(self, name, None)

    def head_start(self, probe: Probe) -> Probe:
        """Where the head starts: the probe's ranking, with room left to learn.

        A calibrated probe explains its training rows almost fully, and then no gradient is left for
        the encoder: on a BANKING77 fold a start half as sure gave log-loss .499 after the same
        steps, the calibrated one .550 (docs/log.md).
        """
        return probe.at(SOFTER) if self.needs_steps else probe

    def rate_factor(self, parameter: str) -> float:
        """What the learning rate of a parameter is multiplied by."""
        return 1.0

    @property
    def restores(self) -> bool:
        """True where switching the added parts off gives the base model back."""
        return self.adds_parts

    def parts(self) -> tuple[Method, ...]:
        """The methods this one is made of; itself, unless a hybrid."""
        return (self,)

    @property
    def reserved_tokens(self) -> int:
        """Positions of the model that the text cannot use."""
        return 0

    def spell(self) -> str:
        """The name as it is written on the command line."""
        return self.name


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready to train, and which part of the method owns each trained parameter.

    `owner` maps a parameter's name to its part; the head's parameters belong to nobody.
    """

    model: Tunable
    owner: dict[str, Method]


def prepare(model: Tunable, method: Method) -> Prepared:
    """Freeze the base, turn the head on, attach the method.

    Raises:
        UsageError: the method refuses the model, in a sentence.
    """
    if reason := method.refuses(model):
        raise UsageError(f"{method.spell()}: {reason}")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if model.head_is_new:
        model.head.requires_grad_(True)
    owned: dict[int, Method] = {}
    seen = {id(p) for p in model.parameters() if p.requires_grad}
    for part in method.parts():
        model = part.attach(model)
        fresh = {id(p) for p in model.parameters() if p.requires_grad} - seen
        owned.update(dict.fromkeys(fresh, part))
        seen |= fresh
    owner = {n: owned[id(p)] for n, p in model.named_parameters() if id(p) in owned}
    return Prepared(model, owner)


def turn_on(module: nn.Module, wanted: Callable[[str], bool]) -> None:
    """Turn gradients on for the parameters whose name is wanted."""
    for name, parameter in module.named_parameters():
        if wanted(name):
            parameter.requires_grad_(True)


def replace(root: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module where another one stands."""
    parent, _, child = path.rpartition(".")
    setattr(root.get_submodule(parent), child, module)


def options_of(methods: Iterable[type[Method]]) -> dict[str, list[str]]:
    """Every option's name with the methods that obey it."""
    found: dict[str, list[str]] = {}
    for cls in methods:
        for name in cls.model_fields:
            found.setdefault(name, []).append(cls.name)
    return found
