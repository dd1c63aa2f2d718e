"""Hybrids: several methods on one model, written `lora+adapter`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fewtune.methods.base import Budget, Method
from fewtune.methods.ia3 import IA3
from fewtune.methods.parts_file import load_parts, parts_code, save_parts
from fewtune.methods.soft_prompt import SoftPrompt
from fewtune.methods.space import Space, joined
from fewtune.methods.whole import load_whole_model, save_whole_model, whole_code

if TYPE_CHECKING:
    from fewtune.methods.artefact import About
    from fewtune.models.tunable import Tunable


class Hybrid(Method):
    """Methods attached in order (`ia3` first, soft prompts last); each part keeps its own rate.

    Where every part merges the artefact is a plain model, else fewtune's own weights file.
    """

    name: ClassVar[str] = "hybrid"
    scene: ClassVar[str] = "what one method alone does not reach"

    members: tuple[Method, ...]

    def parts(self) -> tuple[Method, ...]:
        """The parts in the order they attach."""
        return tuple(sorted(self.members, key=_turn))

    def spell(self) -> str:
        """`lora+adapter`."""
        return "+".join(part.name for part in self.members)

    def refuses(self, model: Tunable) -> str | None:
        """The first part's reason; or two soft prompts, which would each wrap the other."""
        prompts = [part.name for part in self.members if isinstance(part, SoftPrompt)]
        if len(prompts) > 1:
            return (
                f"{' and '.join(prompts)} would each stand before the text and the model has room "
                f"for one soft prompt; try `{prompts[0]}` alone, or with `lora`."
            )
        reasons = ((part, part.refuses(model)) for part in self.parts())
        return next((f"{part.name}: {reason}" for part, reason in reasons if reason), None)

    def attach(self, model: Tunable) -> Tunable:
        """Attach part by part."""
        for part in self.parts():
            model = part.attach(model)
        return model

    @property
    def restores(self) -> bool:
        """Every part can be switched off."""
        return all(part.restores for part in self.members)

    @property
    def plain(self) -> bool:
        """Every part merges."""
        return all(part.merges for part in self.members)

    def merge(self, model: Tunable) -> Tunable | None:
        """Merge every part, or none."""
        if not self.plain:
            return None
        for part in self.parts():
            model = part.merge(model) or model
        return model

    def switch(self, model: Tunable, on: bool) -> None:
        """Switch every part that was added."""
        for part in self.parts():
            part.switch(model, on)

    def scale(self, model: Tunable, by: float) -> bool:
        """Every part, or none."""
        return all(part.scale(model, by) for part in self.parts())

    def save(self, model: Tunable, folder: Path, about: About) -> None:
        """A plain model from a merged copy, or fewtune's own file."""
        if not self.plain:
            save_parts(model, folder, about)
            return
        from copy import deepcopy

        merged = self.merge(deepcopy(model))
        assert merged is not None
        save_whole_model(merged, folder, about)

    def load(self, folder: Path, about: About) -> Tunable:
        """As it was saved."""
        return load_whole_model(folder, about) if self.plain else load_parts(self, folder, about)

    def code(self, about: About) -> str:
        """As it was saved."""
        return whole_code(about) if self.plain else parts_code(about)

    def budget(self, rows: int) -> Budget:
        """The passes and least steps of the parts that want most; rates stay with the parts."""
        budgets = [part.budget(rows) for part in self.members]
        most = max(budgets, key=lambda budget: budget.epochs)
        return replace(most, least_steps=max(one.least_steps for one in budgets))

    def answer_budget(self, rows: int, width: int) -> Budget:
        """Likewise."""
        budgets = [part.answer_budget(rows, width) for part in self.members]
        return max(budgets, key=lambda budget: budget.epochs)

    def space(self, rows: int, width: int | None, blocks: int) -> Space:
        """That of every part; they share one rate."""
        return joined(part.space(rows, width, blocks) for part in self.members)

    def usual(self, name: str, width: int | None) -> float | None:
        """The part's that has the option."""
        parts = (part for part in self.members if name in type(part).model_fields)
        return next((part.usual(name, width) for part in parts), None)

    @property
    def reserved_tokens(self) -> int:
        """Positions that the text cannot use."""
        return sum(part.reserved_tokens for part in self.members)


def _turn(part: Method) -> int:
    """IA3 looks for plain layers, which LoRA hides; LoRA goes on what IA3 scales as well; a soft
    prompt wraps whatever is there."""
    return 2 * isinstance(part, SoftPrompt) - isinstance(part, IA3)
