"""Learning curves: a law that is known is found, noise is not called a gain, fits are kept."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fewtune.base.errors import FewtuneError
from fewtune.evaluate.answers import Likelihood, boiled, shares
from fewtune.evaluate.multilabel import boiled as boiled_tags
from fewtune.evaluate.multilabel import tags
from fewtune.evaluate.units import units_of
from fewtune.trials.fits import FitsOnDisk
from fewtune.trials.learning_curve import SHARES, Curve, measured, sizes_of, told, too_alike
from fewtune.trials.power_law import fitted_law
from fewtune.trials.runners import Entrant, Fitted
from fewtune.trials.smaller import of_owners, of_targets

SIZES = np.array([60.0, 120.0, 180.0, 240.0])
LAW = 0.05 + 0.15 * (SIZES / 240) ** -0.7  # errors
TRUE = 0.15 * ((300 / 240) ** -0.7 - (500 / 240) ** -0.7)  # what 200 rows after 300 bring by it


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


# ---- what is told


def of_one_label(errors, rows=400, seed=0):
    """Rows each wrong below its own threshold, so that sizes are compared on the same rows."""
    hard = np.random.default_rng(seed).random(rows)
    return Curve(SIZES, [shares(hard >= one) for one in errors], "accuracy")


def of_several_labels(errors, rows=400, seed=0):
    """Of four labels a row has two and is told two; each is right but for a share, so F1 is it."""
    draw = np.random.default_rng(seed)
    truth = np.argsort(draw.random((rows, 4)), axis=1) < 2
    order, hard = np.argsort(~truth, axis=1, kind="stable"), draw.random((rows, 2))
    scores = []
    for one in errors:
        said = truth.copy()
        for k in range(2):  # the k-th label it has makes place for the k-th it has not
            wrong = np.flatnonzero(hard[:, k] < one)
            said[wrong, order[wrong, k]] = False
            said[wrong, order[wrong, 2 + k]] = True
        scores.append(boiled_tags(tags(truth, said, said.astype(float)))["micro_f1"])
    return Curve(SIZES, scores, "micro_f1")


def of_answers(losses, rows=400, seed=0):
    """Answers of 1 to 30 tokens, each with its own difficulty around the loss."""
    draw = np.random.default_rng(seed)
    tokens, hard = draw.integers(1, 31, rows), draw.normal(0, 0.3, rows)
    each = [Likelihood((one + hard) * tokens, tokens, tokens) for one in losses]
    return Curve(SIZES, [boiled(likelihood=one)["loss"] for one in each], "loss")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (of_one_label, "200 more rows would bring about +{:.1f} points ({:.1f} to {:.1f}) of "
         "accuracy, by the learning curve of `probe`."),
        (of_several_labels, "200 more rows would bring about +{:.1f} points ({:.1f} to {:.1f}) of "
         "micro F1, by the learning curve of `probe`."),
    ],
)  # fmt: skip
def test_the_gain_of_more_rows_has_an_interval_that_holds_the_truth(made, said):
    held = 0
    for seed in range(20):
        found = told(made(LAW, seed=seed), "probe", 300, seed)
        held += found["gain"]["low"] <= TRUE <= found["gain"]["high"]
    assert held >= 17
    assert found["more"] == 200
    gain = (100 * found["gain"][key] for key in ("value", "low", "high"))
    assert found["said"] == said.format(*gain)
    assert [one["rows"] for one in found["points"]] == [60, 120, 180, 240]
    assert [one["value"] for one in found["points"]] == pytest.approx(1 - LAW, abs=0.05)
    assert found["fitted"][0]["rows"] == 60
    assert found["fitted"][-1]["rows"] == 500
    for key in ("points", "fitted"):
        assert all(0 <= one["low"] <= one["value"] <= one["high"] <= 1 for one in found[key])


def test_of_answers_it_is_the_loss_that_falls_and_it_may_be_above_one():
    held = 0
    for seed in range(20):
        found = told(of_answers(2 + 10 * LAW, seed=seed), "lora", 300, seed)
        held += found["gain"]["low"] <= 10 * TRUE <= found["gain"]["high"]
    assert held >= 17
    gain = (found["gain"][key] for key in ("value", "low", "high"))
    assert found["said"] == (
        "200 more rows would lower the loss of the answers by about {:.3f} nats a token "
        "({:.3f} to {:.3f}), by the learning curve of `lora`.".format(*gain)
    )
    values = [one["value"] for one in found["fitted"]]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(2 + 10 * LAW[0], abs=0.2)
    assert all(one["low"] < one["value"] < one["high"] for one in found["points"])


@pytest.mark.parametrize(
    ("curve", "told_in"),
    [
        (of_one_label([0.1, 0.11, 0.12, 0.12]), "accuracy 89"),
        (of_several_labels([0.1, 0.11, 0.12, 0.12]), "micro F1 88"),
        (of_answers([2.0, 2.1, 2.1, 2.2]), "loss of the answers 2.0"),
    ],
)
def test_where_the_error_does_not_fall_no_curve_is_fitted_and_that_is_said(curve, told_in):
    found = told(curve, "full", 300)
    assert "fitted" not in found
    assert found["gain"]["value"] == 0 <= found["gain"]["high"]
    assert (
        "No learning curve can be fitted: with more rows `full` becomes no better"
        in (found["said"])
    )
    assert told_in in found["said"]
    assert "after 60 rows" in found["said"]
    assert re.search(
        r"; 200 more rows would bring 0\.\d+ (points|nats a token) at most", found["said"]
    )


def test_where_more_rows_change_nothing_the_interval_says_so():
    """Rows are answered otherwise by each fit, and as many wrongly: half of the laws must rise."""
    draw, held, gains = np.random.default_rng(0), 0, 0
    for seed in range(40):
        hard, scores = draw.random(300), []
        for _ in SIZES:
            own = np.where(draw.random(300) < 0.4, draw.random(300), hard)
            scores.append(shares(own >= 0.15))
        gain = told(Curve(SIZES, scores, "accuracy"), "probe", 300, seed)["gain"]
        held += gain["low"] <= 0 <= gain["high"]
        gains += gain["low"] > 0
    assert held >= 36
    assert gains <= 3


@pytest.mark.parametrize(
    ("a", "b", "c", "least"),
    [(0.0, 0.4, 0.35, 49), (0.3, 0.05, 1.5, 56)],  # of 60; percentiles alone: 45 and 53
)
def test_the_gain_is_in_its_interval_at_the_ends_of_the_law(a, b, c, least):
    """No error remains in the end, or the errors fall as steeply as a law may."""
    sizes = 448 * np.array([0.25, 0.5, 0.75, 1])
    true = b * ((560 / 448) ** -c - (1060 / 448) ** -c)
    held = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        hard, scores = draw.random(560), []
        for one in a + b * (sizes / 448) ** -c:
            own = np.where(draw.random(560) < 0.15, draw.random(560), hard)
            scores.append(shares(own >= one))
        gain = told(Curve(sizes, scores, "accuracy"), "full", 560, seed)["gain"]
        held += gain["low"] <= true <= gain["high"]
    assert held >= least


def test_rows_of_one_machine_make_the_gain_less_certain():
    """Of each machine rows are hard or easy alike, so 400 rows say what 20 machines do."""
    machine, draw = np.repeat(np.arange(20), 20), np.random.default_rng(3)
    hard = draw.random(20)[machine] * 0.8 + draw.random(400) * 0.2
    alone = Curve(SIZES, [shares(hard >= one) for one in 2 * LAW], "accuracy")
    units = units_of(machine.tolist())
    grouped = replace(alone, scores=[replace(one, units=units) for one in alone.scores])
    by_rows, by_machines = (told(one, "full", 300) for one in (alone, grouped))
    assert by_rows["gain"]["value"] == by_machines["gain"]["value"]
    for of in (lambda found: found["gain"], lambda found: found["fitted"][12]):
        widths = [of(one)["high"] - of(one)["low"] for one in (by_rows, by_machines)]
        assert widths[1] > 1.5 * widths[0]


# ---- smaller sets


def nested(smaller, learned):
    """The sets of all shares, each a part of the next and the last of what a fold learns."""
    sets = [set(smaller(learned, share).tolist()) for share in SHARES]
    assert sets[0] < sets[1] < sets[2] < set(learned.tolist())
    return sets


def test_smaller_sets_are_nested_and_keep_every_class():
    targets = np.array([0] * 60 + [1] * 30 + [2] * 3)
    learned = np.setdiff1d(np.arange(93), np.arange(0, 93, 5))
    sets = nested(of_targets(targets, 7), learned)
    for share, one in zip(SHARES, sets, strict=True):
        assert set(targets[[*one]]) == {0, 1, 2}
        assert len(one) == pytest.approx(share * len(learned), abs=3)
    assert sets[0] != set(of_targets(targets, 8)(learned, 0.25).tolist())


def test_many_small_classes_do_not_make_the_sets_alike():
    targets = np.arange(154) % 77
    folds = [np.arange(k, 154, 5) for k in range(5)]
    sizes = sizes_of(folds, 154, of_targets(targets, 0))
    assert sizes.tolist() == pytest.approx([77, 77, 93, 123], abs=2)
    learned = np.setdiff1d(np.arange(154), folds[0])
    nested(lambda rows, share: of_targets(targets, 0)(rows, 0.6 + 0.4 * share), learned)
    assert not too_alike(sizes)
    assert too_alike(
        sizes_of([np.arange(60), np.arange(60, 120)], 120, of_targets(np.arange(120) % 60, 0))
    )


def test_of_several_labels_they_keep_every_label_that_is_learned():
    targets = (np.random.default_rng(0).random((93, 6)) < [0.5, 0.4, 0.3, 0.2, 0.04, 0]).astype(int)
    targets[:, 4] = 0
    targets[[1, 90], 4] = 1
    learned = np.setdiff1d(np.arange(93), np.arange(0, 93, 5))
    for seed in range(10):
        sets = nested(of_targets(targets, seed), learned)
        for share, one in zip(SHARES, sets, strict=True):
            assert targets[[*one]].any(axis=0).tolist() == [True] * 5 + [False]
            assert share * len(learned) <= len(one) <= share * len(learned) + 3


def test_pieces_of_a_row_stay_together():
    owners = np.repeat(np.arange(40), np.arange(40) % 3 + 1)
    learned = np.flatnonzero(owners % 5 > 0)
    for share, one in zip(SHARES, nested(of_owners(owners, 0), learned), strict=True):
        whole = set(owners[[*one]].tolist())
        assert one == set(np.flatnonzero(np.isin(owners, [*whole])).tolist())
        assert len(whole) == share * 32


# ---- its fits


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
    smaller = of_targets(targets, 0)
    events, found = drained(measured(entrant, folds, 120, smaller, race, kept))
    assert [event.name for event in events] == ["trial"] * 4
    assert len(fits) == 12
    assert max(fits) < 90
    truth = targets[np.concatenate(folds)]
    wrong = [(one.argmax(axis=1) != truth).sum() for one in found.answers]
    assert wrong[0] > 0
    assert wrong[-1] == 0
    assert {len(one) for one in found.answers} == {120}
    assert found.sizes.tolist() == pytest.approx([23, 45, 69, 90], abs=2)
    _, again = drained(measured(entrant, folds, 120, smaller, race, kept))
    assert len(fits) == 12
    assert all(np.array_equal(*both) for both in zip(again.answers, found.answers, strict=True))


def test_sizes_count_rows_and_not_their_pieces(tmp_path):
    owners = np.repeat(np.arange(60), 2)
    folds = [np.flatnonzero(owners % 2 == k) for k in range(2)]
    entrant = Entrant("loss", lambda learned, held: np.ones((len(held), 3)))
    none = FitsOnDisk(tmp_path / "none")
    smaller = of_owners(owners, 0)
    steps = measured(
        entrant, folds, 120, smaller, none, none, lambda some: len(np.unique(owners[some]))
    )
    assert drained(steps)[1].sizes.tolist() == [8, 15, 23, 30]


def test_a_fit_that_fails_ends_the_curve_and_is_not_made_again(tmp_path):
    fits = []

    def fit(learned, held):
        fits.append(len(learned))
        if len(learned) < 30:
            raise FewtuneError("the loss is not a number at step 3.")
        return np.zeros(len(held))

    folds, memory = [np.arange(20), np.arange(20, 40)], FitsOnDisk(tmp_path)
    for _ in range(2):
        told = measured(
            Entrant("full", fit), folds, 60, lambda rows, share: rows[: int(share * len(rows))],
            memory, memory,
        )  # fmt: skip
        with pytest.raises(StopIteration) as ended:
            next(told)
        assert ended.value.value.failed == "the loss is not a number at step 3."
    assert fits == [10]
