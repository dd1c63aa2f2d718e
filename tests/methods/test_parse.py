"""From the name and options that a user types to a method."""

import pytest

from fewtune.base.errors import UsageError
from fewtune.methods import METHODS, parse
from fewtune.methods.hybrid import Hybrid


def told(name: str, given: dict) -> list[str]:
    with pytest.raises(UsageError) as error:
        parse(name, given)
    return str(error.value).splitlines()


def test_a_name_with_a_plus_is_a_hybrid_of_its_parts():
    method = parse("lora+adapter", {"lora_r": 4, "reduction_factor": 8})
    assert isinstance(method, Hybrid)
    lora, adapter = method.members
    assert (lora.name, lora.lora_r) == ("lora", 4)
    assert (adapter.name, adapter.reduction_factor) == ("adapter", 8)
    assert method.spell() == "lora+adapter"


def test_spaces_around_the_plus_do_not_matter():
    assert parse("lora + adapter", {}) == parse("lora+adapter", {})


def test_soft_prompts_attach_last_and_keep_their_place_in_the_name():
    method = parse("prefix+lora", {})
    assert [part.name for part in method.parts()] == ["lora", "prefix"]
    assert method.spell() == "prefix+lora"


def test_every_method_can_be_named_alone():
    assert [parse(name, {}).spell() for name in METHODS] == list(METHODS)


def test_an_option_that_parts_share_goes_to_each_of_them():
    method = parse("prompt+prefix", {"num_virtual_tokens": 7})
    assert [part.num_virtual_tokens for part in method.members] == [7, 7]


def test_an_unknown_method_is_told_what_there_is():
    assert told("lorra", {}) == [
        f"method: one of {', '.join(METHODS)}; got 'lorra'. Did you mean 'lora'?"
    ]


def test_an_option_of_another_method_is_told_whose_it_is():
    assert told("lora", {"num_virtual_tokens": 5}) == [
        "num_virtual_tokens: `lora` has no such option; it belongs to prompt, ptuning, prefix."
    ]


def test_an_unknown_option_is_told_its_neighbour():
    assert told("lora", {"lora_rank": 5}) == [
        "lora_rank: there is no such option. Did you mean 'lora_r'?"
    ]


def test_a_part_cannot_stand_twice():
    assert told("lora+lora", {}) == ["method: a part stands twice in 'lora+lora'."]


@pytest.mark.parametrize("alone", ["probe", "tfidf"])
def test_what_trains_nothing_is_no_part_of_a_hybrid(alone):
    assert told(f"lora+{alone}", {}) == [
        f"method: `{alone}` trains nothing, so it cannot be part of 'lora+{alone}'."
    ]


def test_all_mistakes_are_told_at_once():
    given = {"lora_r": 0, "num_virtual_tokens": 5, "lora_alfa": 3, "lora_target": "al"}
    lines = told("lora+probe", given)
    assert [line.split(":")[0] for line in lines] == [
        "method",
        "num_virtual_tokens",
        "lora_alfa",
        "lora_r",
        "lora_target",
    ]
    assert lines[-1] == "lora_target: one of all, attention, mlp; got 'al'. Did you mean 'all'?"


def test_mistakes_in_the_options_are_told_beside_an_unknown_method():
    lines = told("lorra+adaptor", {"lora_r": 0, "reduction_facter": 3})
    assert [line.split(":")[0] for line in lines] == [
        "method",
        "method",
        "reduction_facter",
        "lora_r",
    ]


def test_a_start_from_words_needs_the_words():
    (line,) = told("prompt", {"prompt_tuning_init": "text"})
    assert line.endswith('prompt_tuning_init=text needs prompt_tuning_init_text="some words".')
