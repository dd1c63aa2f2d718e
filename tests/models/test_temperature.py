"""The temperature: believed in as far as the rows can tell."""

import numpy as np
import pytest

from fewtune.models.choice import ANY_OF, ONE_OF
from fewtune.models.temperature import USUAL, best_temperature


def answered(rows: int, sureness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, three classes, that are `sureness` times what the labels were drawn by."""
    draw = np.random.default_rng(seed)
    honest = draw.normal(size=(rows, 3))
    shares = ONE_OF.probabilities(honest)
    labels = (shares.cumsum(axis=1) < draw.random((rows, 1))).sum(axis=1)
    return sureness * honest, labels


@pytest.mark.parametrize("sureness", [0.2, 1.0, 6.0])
def test_many_rows_tell_by_how_much_answers_are_too_sure(sureness):
    logits, labels = answered(20_000, sureness)
    temperature, loss = best_temperature(logits, labels)
    assert temperature == pytest.approx(sureness, rel=0.1)
    honest = ONE_OF.mean_loss(ONE_OF.probabilities(logits / sureness), labels, None)
    assert loss == pytest.approx(honest, abs=1e-3)


def test_rows_that_are_told_apart_by_luck_do_not_make_it_endlessly_sure():
    logits = np.array([[1.0, 0.0], [0.0, 1.0]] * 8)
    temperature, _ = best_temperature(logits, np.array([0, 1] * 8))
    assert 0.15 < temperature < 1.0  # the likelihood alone would have it at the end of the span


def test_rows_that_are_all_wrong_do_not_make_it_say_nothing():
    logits = np.array([[1.0, 0.0], [0.0, 1.0]] * 8)
    temperature, _ = best_temperature(logits, np.array([1, 0] * 8))
    assert 1.0 < temperature < 10.0


def test_no_evidence_leaves_what_is_usual():
    for usual in (0.3, USUAL, 4.0):
        temperature, _ = best_temperature(np.zeros((5, 2)), np.zeros(5, int), usual=usual)
        assert temperature == pytest.approx(usual, rel=0.02)


def test_few_rows_are_nearer_to_what_is_usual_than_many():
    far = [abs(np.log(best_temperature(*answered(rows, 6.0))[0] / USUAL)) for rows in (6, 60, 6000)]
    assert far == sorted(far)


def test_weights_and_several_labels_count():
    logits, labels = answered(500, 3.0)
    weighed = best_temperature(logits, labels, np.array([20.0, 1.0, 1.0]))
    assert weighed != best_temperature(logits, labels)
    truth = np.eye(3)[labels]
    temperature, loss = best_temperature(logits, truth, choice=ANY_OF)
    assert loss == pytest.approx(
        ANY_OF.mean_loss(ANY_OF.probabilities(logits / temperature), truth, None)
    )


def test_on_new_rows_few_rows_with_luck_cost_less_than_by_likelihood_alone():
    """Forty draws of sixteen rows: what the temperature is for."""
    behind = []
    for seed in range(40):
        logits, labels = answered(16, 2.0, seed)
        others, theirs = answered(2000, 2.0, 1000 + seed)
        told = best_temperature(logits, labels)[0]
        grid = np.exp(np.linspace(-4, 4, 200))
        alone = min(
            grid, key=lambda t: ONE_OF.mean_loss(ONE_OF.probabilities(logits / t), labels, None)
        )
        new = [
            ONE_OF.mean_loss(ONE_OF.probabilities(others / t), theirs, None) for t in (told, alone)
        ]
        behind.append(new[0] - new[1])
    assert np.mean(behind) < 0
