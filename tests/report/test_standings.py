"""The words around a comparison's table."""

from fewtune.base.race_state import NO_BASE
from fewtune.report.standings import _of_steps, scenes_of


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
    assert _of_steps({"steps": steps}) == "Of 2 changes, worse: `dropout=0.5`."
    nothing = [one | {"said": NO_BASE} for one in steps]
    assert _of_steps({"steps": nothing}).endswith("there is nothing to compare with.")
