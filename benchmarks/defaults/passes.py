"""Whether folds can choose the number of passes: `python -m benchmarks.defaults.passes`.

From the fits of trials.jsonl: a fold's passes are chosen by the log-loss of the other folds, and
the fold is scored.
"""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import jsonl

TRIALS = Path(__file__).parent / "trials.jsonl"
PASSES = (6, 10)

Fits = dict[tuple[int, int], dict[str, Any]]  # by fold and passes


def main() -> None:
    print(
        "| method | set | folds | always 6 | always 10 | as other folds choose | points against 6 |"
    )
    print("|---|---|---|---|---|---|---|")
    for (method, name), fits in _fits().items():
        folds = sorted({fold for fold, _ in fits if all((fold, one) in fits for one in PASSES)})
        if len(folds) > 1:
            print(f"| {method} | {name} | {len(folds)} | {' | '.join(_row(fits, folds))} |")


def _fits() -> dict[tuple[str, str], Fits]:
    """Of the rate that each method was tried at with both numbers of passes."""
    found: dict[tuple[str, str], Fits] = {}
    for one in jsonl.lines(TRIALS):
        name, fold, method, rate, passes = one["key"]
        if (method, rate) in (("full", 0.0001), ("lora", 0.002)) and passes in PASSES:
            found.setdefault((method, name), {})[fold, passes] = one
    return dict(sorted(found.items()))


def _row(fits: Fits, folds: list[int]) -> list[str]:
    def loss(passes: int, over: list[int]) -> float:
        return mean(fits[fold, passes]["log_loss"] for fold in over)

    def chosen(fold: int) -> dict[str, Any]:
        others = [one for one in folds if one != fold]
        return fits[fold, min(PASSES, key=lambda passes: loss(passes, others))]

    gained = mean(chosen(fold)["accuracy"] - fits[fold, PASSES[0]]["accuracy"] for fold in folds)
    losses = [
        *(loss(one, folds) for one in PASSES),
        mean(chosen(fold)["log_loss"] for fold in folds),
    ]
    return [*(f"{one:.3f}" for one in losses), f"{100 * gained:+.1f}"]


if __name__ == "__main__":
    main()
