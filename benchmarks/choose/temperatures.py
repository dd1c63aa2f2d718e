"""What the prior of a temperature is worth with few rows, on test rows of five data sets.

    python -m benchmarks.choose.temperatures [--draws 12]

Probes on MiniLM's features of a few rows a class, drawn anew each time. Penalty and temperature are
chosen on folds of these rows, once by the log-loss there alone and once with the prior of
`models/temperature.py`; both answer the same test rows.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from benchmarks.choose import sets

from fewtune.data.splits import stratified_folds
from fewtune.models.choice import ONE_OF
from fewtune.models.device import find_machine
from fewtune.models.infer import features
from fewtune.models.load import load_pooled, load_tokenizer
from fewtune.models.options import ModelOptions
from fewtune.models.probe import SETTINGS, fit_probe, usual_temperature
from fewtune.models.source import find
from fewtune.models.temperature import best_temperature
from fewtune.tasks.classify import Classify

#: Set -> rows a class.
FEW = {
    "sst2": (4, 8, 16, 64),
    "thucnews": (2, 5, 10),
    "fault_reports": (4, 8, 16),
    "maintnet": (4, 10, 30),
    "banking77": (2,),
}
ROWS = 2500  # of a set's training rows, from which few are drawn
TEST = 1000
FOLDS = 5

Texts = list[sets.Pair]
#: logits, targets and the usual temperature -> the temperature and its log-loss.
Way = Callable[[np.ndarray, np.ndarray, float], tuple[float, float]]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=12)
    draws = parser.parse_args().draws
    if why := sets.absent():
        print(why)
        return
    print("| set | rows a class | rows | by the folds alone | with the prior | draws that gain |")
    print("|---|---|---|---|---|---|")
    for name, counts in FEW.items():
        learned, asked = _texts(name)
        known = sorted({label for _, label in learned})
        train = _features(learned, known), _targets(learned, known)
        test = _features(asked, known), _targets(asked, known)
        for few in counts:
            losses = np.array([_drawn(train, test, len(known), few, k) for k in range(draws)])
            alone, prior = losses.mean(axis=0)
            gained = (losses[:, 1] < losses[:, 0]).sum()
            cells = f"{few} | {few * len(known)} | {alone:.3f} | {prior:.3f} | {gained}"
            print(f"| {name} | {cells} of {draws} |", flush=True)


def _drawn(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    classes: int,
    few: int,
    seed: int,
) -> tuple[float, float]:
    """Log-loss on the test rows, by the folds alone and with the prior."""
    draw = np.random.default_rng(seed)
    each = [draw.permutation(np.flatnonzero(train[1] == k))[:few] for k in range(classes)]
    chosen = np.concatenate(each)
    found, targets = train[0][chosen], train[1][chosen]
    folds = stratified_folds([*map(str, targets)], min(FOLDS, few), seed)
    tried = [*_tried(found, targets, classes, folds, test[0])]
    return _loss_of(_alone, tried, targets, test[1]), _loss_of(_prior, tried, targets, test[1])


def _tried(
    found: np.ndarray,
    targets: np.ndarray,
    classes: int,
    folds: Sequence[np.ndarray],
    asked: np.ndarray,
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Penalty, logits out of fold, logits of the test rows."""
    for c in SETTINGS:
        logits = np.zeros((len(targets), classes))
        for held in folds:
            learned = np.setdiff1d(np.arange(len(targets)), held)
            probe = fit_probe(found[learned], targets[learned], classes, c)
            logits[held] = found[held] @ probe.weight.T + probe.bias
        whole = fit_probe(found, targets, classes, c)
        yield c, logits, asked @ whole.weight.T + whole.bias


def _loss_of(
    way: Way,
    tried: Sequence[tuple[float, np.ndarray, np.ndarray]],
    targets: np.ndarray,
    truth: np.ndarray,
) -> float:
    """On the test rows, of the penalty and the temperature that a way chooses."""
    usual = [usual_temperature(c) for c, *_ in tried]
    told = [way(logits, targets, heat) for (_, logits, _), heat in zip(tried, usual, strict=True)]
    best = min(range(len(tried)), key=lambda k: told[k][1])
    return _log_loss(tried[best][2], truth, told[best][0])


def _prior(logits: np.ndarray, targets: np.ndarray, usual: float) -> tuple[float, float]:
    return best_temperature(logits, targets, usual=usual)


def _alone(logits: np.ndarray, targets: np.ndarray, usual: float) -> tuple[float, float]:
    grid = np.exp(np.linspace(-4, 4, 401))
    losses = [_log_loss(logits, targets, heat) for heat in grid]
    best = int(np.argmin(losses))
    return float(grid[best]), losses[best]


def _log_loss(logits: np.ndarray, targets: np.ndarray, temperature: float) -> float:
    return ONE_OF.mean_loss(ONE_OF.probabilities(logits / temperature), targets, None)


def _texts(name: str) -> tuple[Texts, Texts]:
    """Training and test rows; what is asked for is of a class that was learned."""
    learned, asked = sets.READERS[name](random.Random(0))
    learned = random.Random(1).sample(learned, min(ROWS, len(learned)))
    known = {label for _, label in learned}
    asked = [one for one in asked if one[1] in known]
    return learned, random.Random(1).sample(asked, min(TEST, len(asked)))


def _targets(rows: Texts, known: Sequence[str]) -> np.ndarray:
    return np.array([known.index(label) for _, label in rows])


def _features(rows: Texts, known: Sequence[str]) -> np.ndarray:
    options = ModelOptions()
    source = find(options)
    texts = [text for text, _ in rows]
    encoded = Classify(tuple(known)).encode(texts, load_tokenizer(source), source.room(0))
    machine = find_machine(options.device, options.bf16)
    return features(load_pooled(source, len(known), options), encoded, machine).astype(float)


if __name__ == "__main__":
    main()
