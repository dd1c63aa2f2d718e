"""What is believed of the methods before anybody has run: how much lower a log-loss they reach.

Rules rank methods (`rules`); a race also needs to know by how much one is usually ahead of another,
and how much that differs between data sets, to weigh it against what its folds say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fewtune.choose.facts import Facts
from fewtune.choose.rules import measured_on
from fewtune.methods import parts_of


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of a method before the folds.

    Attributes:
        mean: the share by which its log-loss is lower than the probe's.
        alone: standard deviation between data sets of what is its own.
        together: of what it shares with the others that train the same model.
    """

    mean: float
    alone: float
    together: float = 0.0


#: With their defaults, rounded; docs/log.md: What the methods gain over the probe, and the folds of
#: four data sets before it. Soft prompts and `ia3` by those folds alone.
ENCODER: dict[str, Belief] = {
    "full": Belief(0.08, 0.03, 0.1),
    "adapter": Belief(0.07, 0.03, 0.1),
    "lora": Belief(0.06, 0.03, 0.1),
    "bitfit": Belief(0.07, 0.03, 0.1),
    "freeze": Belief(0.03, 0.03, 0.1),
    "ia3": Belief(0.02, 0.03, 0.1),
    "prefix": Belief(-0.05, 0.1, 0.1),
    "prompt": Belief(-0.1, 0.1, 0.1),
    "ptuning": Belief(-0.1, 0.1, 0.1),
    "tfidf": Belief(-0.15, 0.3),
}
UNTRIED = Belief(0.0, 0.15, 0.1)
#: Of other rates than the defaults less is known, and the defaults were the best of those tried.
LESS, WIDER = 0.01, 0.05


def believed(method: str, facts: Facts, usual: bool = True) -> Belief | None:
    """What is known of a method as spelled; None where nothing like the case was measured.

    Of a hybrid what is known of the better part: the other adds to it.

    Args:
        usual: whether it runs with its defaults.
    """
    if not measured_on(facts):
        return None
    known = [ENCODER[part] for part in parts_of(method) if part in ENCODER]
    found = max(known, key=lambda one: one.mean, default=UNTRIED)
    if usual:
        return found
    return replace(found, mean=found.mean - LESS, alone=max(found.alone, WIDER))
