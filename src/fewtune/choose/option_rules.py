"""Options of methods that the guides make depend on size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fewtune.choose.facts import LARGE, Facts
from fewtune.choose.rules import LARGE_MODEL, SOFT
from fewtune.methods import parts_of


@dataclass(frozen=True, slots=True)
class OptionRule:
    """A method's option that depends on the case.

    Attributes:
        method, option: which.
        value: of the case.
        says: the reason.
        source: where it comes from.
    """

    method: str
    option: str
    value: Callable[[Facts], object]
    says: Callable[[Facts], str]
    source: str


def _virtual_tokens(facts: Facts) -> int:
    return 30 if facts.parameters > LARGE_MODEL else 20


OPTIONS: tuple[OptionRule, ...] = (
    OptionRule(
        "lora",
        "lora_r",
        lambda f: 16 if f.parameters > LARGE_MODEL else 8,
        lambda f: (
            f"rank {16 if f.parameters > LARGE_MODEL else 8}: 8 for small models, 16 for large"
        ),
        "Hu et al. 2021, arXiv:2106.09685, section 7.2",
    ),
    *(
        OptionRule(
            name,
            "num_virtual_tokens",
            _virtual_tokens,
            lambda f: f"{_virtual_tokens(f)} virtual tokens: 20 for small models, 30 for large",
            "Lester et al. 2021, arXiv:2104.08691, figure 3a",
        )
        for name in SOFT
    ),
    OptionRule(
        "adapter",
        "reduction_factor",
        lambda f: 16 if f.rows < LARGE else 8,
        lambda f: (
            f"bottlenecks of 1/{16 if f.rows < LARGE else 8} of the width: a sixteenth below "
            f"{LARGE:,} rows, an eighth from there"
        ),
        "Houlsby et al. 2019, arXiv:1902.00751",
    ),
)


def options_for(method: str, facts: Facts) -> tuple[dict[str, object], tuple[str, ...]]:
    """Options that the guides make depend on the case, and why."""
    mine = [rule for rule in OPTIONS if rule.method in parts_of(method)]
    return {r.option: r.value(facts) for r in mine}, tuple(f"{r.says(facts)}." for r in mine)
