"""The words around a comparison's table."""

from fewtune.report.standings import scenes_of


def test_a_scene_is_told_once_a_method_and_not_of_the_untouched_model():
    lines = [
        {"method": "lora", "scene": "one GPU"},
        {"method": None, "scene": "the untouched model, to see the gain"},
        {"method": "lora", "scene": "one GPU"},
    ]
    assert scenes_of({"methods": lines}) == [("lora", "one GPU")]
