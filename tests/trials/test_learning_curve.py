"""Learning curves: a law that is known is found, noise is not called a gain, fits are kept."""

import numpy as np
import pytest

from fewtune.trials.fits import FitsOnDisk
from fewtune.trials.learning_curve import (
    SHARES,
    Curve,
    cost,
    fitted_law,
    measured,
    smaller,
    told,
)
from fewtune.trials.race import Entrant, Fitted

SIZES = np.array([60.0, 120.0, 180.0, 240.0])


@pytest.mark.parametrize(("a", "b", "c"), [(0.05, 0.2, 0.5), (0.0, 0.3, 0.35), (0.1, 0.05, 1.0)])
def test_a_law_without_noise_is_found(a, b, c):
    errors = a + b * (SIZES / 240) ** -c
    law = fitted_law(SIZES, errors[None])
    assert law.error(480)[0] == pytest.approx(a + b * 2**-c, abs=2e-3)
    assert law.error(240)[0] == pytest.approx(errors[-1], abs=1e-3)


def test_errors_that_rise_have_a_flat_law():
    law = fitted_law(SIZES, np.array([[0.1, 0.12, 0.13, 0.15]]))
    assert law.b[0] == 0
    assert law.error(1000)[0] == pytest.approx(0.125)


def curve(shares, rows=400, seed=0):
    """Rows each wrong below its own threshold, so that sizes are compared on the same rows."""
    hard = np.random.default_rng(seed).random(rows)
    return Curve(SIZES, (hard[:, None] < np.array(shares)).astype(float))


def test_the_gain_of_more_rows_has_an_interval_that_holds_the_truth():
    shares = 0.05 + 0.15 * (SIZES / 240) ** -0.7
    true = 0.15 * ((300 / 240) ** -0.7 - (500 / 240) ** -0.7)
    held = 0
    for seed in range(20):
        found = told(curve(shares, seed=seed), "probe", 300, seed)
        held += found["gain"]["low"] <= true <= found["gain"]["high"]
    assert found["more"] == 200
    assert held >= 17
    assert "200 more rows would bring about +" in found["said"]
    assert "of accuracy, by the learning curve of `probe`" in found["said"]
    assert [one["rows"] for one in found["points"]] == [60, 120, 180, 240]
    assert found["fitted"][0]["rows"] == 60
    assert found["fitted"][-1]["rows"] == 500
    assert all(one["low"] <= one["value"] <= one["high"] for one in found["fitted"])


def test_where_the_error_does_not_fall_no_curve_is_fitted_and_that_is_said():
    found = told(curve([0.1, 0.11, 0.12, 0.12]), "full", 300)
    assert "fitted" not in found
    assert "No learning curve can be fitted" in found["said"]


def test_smaller_sets_are_nested_and_keep_every_class():
    targets = np.array([0] * 60 + [1] * 30 + [2] * 3)
    learned = np.setdiff1d(np.arange(93), np.arange(0, 93, 5))
    sets = [set(smaller(learned, targets, share, 7).tolist()) for share in SHARES]
    assert sets[0] < sets[1] < sets[2] < set(learned.tolist())
    for share, one in zip(SHARES, sets, strict=True):
        assert set(targets[[*one]]) == {0, 1, 2}
        assert len(one) == pytest.approx(share * len(learned), abs=3)
    assert sets[0] != set(smaller(learned, targets, 0.25, 8).tolist())


@pytest.fixture
def knows_the_common(tmp_path):
    """A candidate that answers with the class whose mean of one feature is nearest."""
    targets = np.arange(120) % 3
    feature = targets + np.random.default_rng(0).normal(0, 0.6, 120)
    fits = []

    def fit(learned, held):
        fits.append(len(learned))
        centres = np.array([feature[learned][targets[learned] == k].mean() for k in range(3)])
        return -((feature[held][:, None] - centres) ** 2)

    return Entrant("near", fit), targets, fits, FitsOnDisk(tmp_path / "curve")


def drained(steps):
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def test_the_races_own_fits_are_its_end_and_fits_are_made_once(knows_the_common, tmp_path):
    entrant, targets, fits, kept = knows_the_common
    folds = [np.arange(k, 120, 4) for k in range(4)]
    race = FitsOnDisk(tmp_path / "race")
    for number, held in enumerate(folds):
        answers = np.eye(3)[targets[held]]
        race.write("near", number, Fitted(answers, 1.0))  # all right: told apart from a new fit
    events, found = drained(measured(entrant, folds, targets, race, kept, 0))
    assert [event.name for event in events] == ["trial"] * 4
    assert len(fits) == 12
    assert max(fits) < 90
    assert found.wrong[:, -1].sum() == 0
    assert found.wrong[:, 0].sum() > 0
    assert found.sizes.tolist() == pytest.approx([23, 45, 69, 90], abs=2)
    _, again = drained(measured(entrant, folds, targets, race, kept, 0))
    assert len(fits) == 12
    assert (again.wrong == found.wrong).all()


def test_its_cost_is_told_before_it_is_paid():
    assert cost(2.0, 5) == pytest.approx(1.5 * 5 * 2.0)
