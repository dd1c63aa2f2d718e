"""Numbers that were not given are filled in with a reason; those that were are obeyed."""

import pytest

from fewtune.base.errors import UsageError
from fewtune.choose.method import LARGE, default_method
from fewtune.choose.recipe import SMALL, SNAPSHOTS, decide, too_cautious
from fewtune.methods import METHODS, parse
from fewtune.train.options import TrainOptions
from fewtune.trials.folds import alone

TRAINED = [name for name, method in METHODS.items() if method.needs_steps]


def recipe(method="full", rows=500, has_valid=False, **options):
    return decide(parse(method, {}), TrainOptions(**options), rows, has_valid)


@pytest.mark.parametrize("name", [*TRAINED, "lora+adapter"])
@pytest.mark.parametrize("rows", [10, 500, 10_000])
def test_every_method_gets_steps_and_rates_at_every_size(name, rows):
    found = recipe(name, rows)
    assert found.steps >= 1
    assert found.parts.keys() == set(name.split("+"))
    assert all(rate > 0 for rate in [found.head, *found.parts.values()])
    assert found.options.max_steps == found.steps
    assert found.options.average_last is not None
    assert found.options.load_best_model_at_end is not None
    assert all(reason.endswith(".") for reason in found.reasons)


def test_what_is_given_is_obeyed_and_needs_no_reason():
    found = recipe(
        "lora+adapter", learning_rate=2e-3, head_learning_rate=0.1, max_steps=7, average_last=0
    )
    assert (found.steps, found.head) == (7, 0.1)
    assert found.parts == {"lora": 2e-3, "adapter": 2e-3}
    assert found.reasons == ()


def test_the_head_follows_a_given_rate():
    assert recipe(learning_rate=1e-4).head == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("epochs", "together", "steps"),
    [(1, 1, 32), (2, 1, 64), (0.5, 1, 16), (1, 4, 8), (0.001, 1, 1)],
)
def test_epochs_become_steps(epochs, together, steps):
    found = recipe(num_train_epochs=epochs, gradient_accumulation_steps=together)
    assert found.steps == steps


@pytest.mark.parametrize("given", [{}, {"max_steps": 8}, {"num_train_epochs": 1.0}])
def test_how_long_a_fit_is_by_default_is_known_whatever_was_asked_for(given):
    usual, default = recipe(rows=96, **given).usual, recipe(rows=96)
    assert usual.steps == default.steps == default.usual.steps
    assert (usual.rows, usual.epochs) == (96, parse("full", {}).budget(96).epochs)


def test_a_product_of_floats_is_no_step_longer_than_the_product():
    assert 2.2 * 25 > 55
    assert recipe(rows=400, num_train_epochs=2.2).steps == 55


@pytest.mark.parametrize(
    "name", ["full", "adapter", "lora+bitfit", "freeze+adapter", "adapter+freeze"]
)
def test_a_fit_to_very_few_rows_has_steps_enough(name):
    found = recipe(name, rows=16)
    assert found.steps == 30
    assert f"30 epochs: 30 steps, the least of `{name}` for 16 rows." in found.reasons
    assert recipe(name, rows=40).steps == 30  # three steps a pass
    passes = parse(name, {}).budget(100).epochs
    assert recipe(name, rows=100).steps == passes * 7  # more by themselves
    assert recipe(name, rows=16, num_train_epochs=6).steps == 6


def test_where_more_steps_were_not_better_there_are_none():
    assert recipe("lora", rows=16).steps == 6
    answers = decide(parse("full", {}), TrainOptions(), 16, False, width=4096)
    assert answers.steps < 30


def test_few_rows_are_averaged_unless_the_best_step_is_kept():
    assert recipe(rows=SMALL - 1).options.average_last == SNAPSHOTS
    assert recipe(rows=SMALL).options.average_last == 0
    watched = recipe(rows=SMALL - 1, has_valid=True, early_stopping_patience=2)
    assert watched.options.average_last == 0
    assert watched.options.load_best_model_at_end


@pytest.mark.parametrize(
    ("method", "rows", "options", "alpha"),
    [
        ("full", SMALL - 1, {}, 0.5),
        ("lora+bitfit", SMALL - 1, {}, 1.0),
        ("full", SMALL, {}, 1.0),
        ("full", SMALL - 1, {"start_head": "zero"}, 1.0),
        ("full", SMALL - 1, {"learning_rate": 1e-4}, 1.0),
        ("full", SMALL - 1, {"learning_rate": 1e-4, "wise_ft_alpha": 0.5}, 0.5),
        ("lora+prefix", SMALL - 1, {}, 1.0),
    ],
)
def test_the_way_back_to_the_start_is_taken_where_the_start_is_good(method, rows, options, alpha):
    assert recipe(method, rows, **options).options.wise_ft_alpha == alpha


def test_there_is_no_way_back_from_a_best_step():
    watched = recipe(rows=SMALL - 1, has_valid=True, early_stopping_patience=2)
    assert watched.options.wise_ft_alpha == 1.0


@pytest.mark.parametrize(
    "options", [{"early_stopping_patience": 1}, {"load_best_model_at_end": True}]
)
def test_watching_without_validation_rows_is_refused(options):
    with pytest.raises(UsageError, match="need validation rows"):
        recipe(**options)


def test_a_rate_far_below_the_measured_one_is_told():
    method = parse("full", {})
    usual = method.budget(500).learning_rate
    assert too_cautious(method, TrainOptions(), 500) is None
    assert too_cautious(method, TrainOptions(learning_rate=usual / 2), 500) is None
    told = too_cautious(method, TrainOptions(learning_rate=usual / 10), 500)
    assert "10 times below" in told
    assert "`full`" in told


def test_the_model_s_size_decides_between_full_and_lora():
    assert default_method(LARGE)[0] == "full"
    name, reason = default_method(LARGE + 1)
    assert name == "lora"
    assert "50 million" in reason


def test_folds_end_as_the_fit_to_all_rows_does():
    """A temperature that was chosen on averaged weights is not that of others."""
    for whole in (SMALL + 100, SMALL - 100):
        all_ = recipe(rows=whole)
        fold = decide(parse("full", {}), TrainOptions(), 4 * whole // 5, False, whole=whole)
        for name in ("average_last", "wise_ft_alpha"):
            assert getattr(fold.options, name) == getattr(all_.options, name), name
        assert fold.steps < all_.steps


@pytest.mark.parametrize(
    "given", [{"early_stopping_patience": 2}, {"load_best_model_at_end": True}]
)
def test_trials_of_a_run_that_keeps_its_best_step_average_nothing(given):
    options = TrainOptions(**given)
    found = decide(parse("full", {}), alone(options), 200, False).options
    whole = decide(parse("full", {}), options, 250, True).options
    assert (found.average_last, found.wise_ft_alpha) == (whole.average_last, whole.wise_ft_alpha)
    assert alone(TrainOptions()).average_last is None
    assert alone(TrainOptions(wise_ft_alpha=0.3, **given)).wise_ft_alpha == 0.3
