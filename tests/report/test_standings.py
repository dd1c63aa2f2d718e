"""The words around a comparison's table."""

from fewtune.base.race_state import NO_BASE
from fewtune.report.standings import _of_methods, _of_seeds, _of_steps, protocol, scenes_of


def test_a_scene_is_told_once_a_method_and_not_of_the_untouched_model():
    lines = [
        {"method": "lora", "scene": "one GPU"},
        {"method": None, "scene": "the untouched model, to see the gain"},
        {"method": "lora", "scene": "one GPU"},
    ]
    assert scenes_of({"methods": lines}) == [("lora", "one GPU")]


def test_a_change_that_could_not_be_fitted_is_not_called_worse():
    steps = [
        {"name": "learning_rate=10", "said": "worse", "state": "failed"},
        {"name": "dropout=0.5", "said": "worse", "state": "whole"},
    ]
    said = "Of 1 change on all folds, worse: `dropout=0.5`; failed: `learning_rate=10`."
    assert _of_steps({"steps": steps}) == said
    nothing = [one | {"said": NO_BASE} for one in steps]
    assert _of_steps({"steps": nothing}).endswith("there is nothing to compare with.")


def test_a_change_that_left_early_is_not_within_noise():
    steps = [
        {"name": "lora_r=4", "said": "within noise", "state": "whole"},
        {"name": "learning_rate=1", "said": "worse", "state": "beaten"},
        {"name": "lora_r=64", "said": "within noise", "state": "out of time"},
    ]
    assert _of_steps({"steps": steps}) == (
        "Of 1 change on all folds, none makes a difference beyond noise; beaten early: "
        "`learning_rate=1`; out of time: `lora_r=64`."
    )
    said = "No change was fitted to all folds (beaten early: `learning_rate=1`)."
    assert _of_steps({"steps": steps[1:2]}) == said


def test_more_time_is_asked_for_where_time_was_short():
    lines = [{"name": "full", "rank": None, "state": "failed"}]
    told = {"metric": "accuracy", "methods": lines, "missing": []}
    said = "No method was fitted to all folds (failed: `full`); see the notes."
    assert _of_methods(told) == said
    late = "(out of time: `lora`; failed: `full`); give more time (--budget)."
    assert _of_methods(told | {"missing": ["lora"]}).endswith(late)


def ranks(*scores, metric="accuracy", rows=90):
    """A comparison of methods with these scores and spreads over three seeds."""
    methods = [
        {"name": f"m{k}", "rank": k, "seeds": 3, "score": {"value": value, "spread": spread}}
        for k, (value, spread) in enumerate(scores, start=1)
    ]
    return {"metric": metric, "rows": {"train": rows, "test": 0}, "methods": methods}


def test_seeds_that_differ_by_more_than_ranks_are_told():
    said = _of_seeds(ranks((0.612, 0.023), (0.604, 0.001), (0.5, 0.0)))
    assert said == (
        "Seeds differ by more than ranks: `m1` 61.2 ± 2.3 points over 3 seeds, 0.8 ahead of `m2`. "
        "Try more --seeds."
    )
    said = _of_seeds(ranks((0.4, 0.001), (0.5, 0.03), (0.51, 0.02), (0.52, 0.0), metric="log_loss"))
    assert "`m2` 0.500 ± 0.030 over 3 seeds, 0.010 ahead of `m3`, and 1 other rank likewise" in said
    assert "average weights (--average_last 5)" in _of_seeds(ranks((0.6, 0.1), (0.6, 0), rows=1000))


def test_seeds_that_differ_less_than_ranks_or_a_single_one_are_not():
    assert _of_seeds(ranks((0.7, 0.01), (0.6, 0.02))) == ""  # the last has nobody behind it
    assert _of_seeds(ranks((0.7, None), (0.7, None))) == ""
    assert _of_seeds(ranks((0.7, 0.01))) == ""


def test_the_spread_is_explained_where_there_is_one():
    told = ranks((0.7, 0.01)) | {"folds": 5}
    assert protocol(told | {"seeds": 3}).endswith("and ± is the standard deviation over seeds.")
    assert "±" not in protocol(told | {"seeds": 1})
