"""Methods are ranked with their prices; the candidates of a race are few, the cheap ones first."""

import json
from dataclasses import replace

import pytest
from plans import MINILM, QWEN, QWEN_7B, facts

from fewtune.choose.proposal import MOST, candidates, rank, unmet
from fewtune.choose.recipe import decide
from fewtune.methods import METHODS, parse
from fewtune.train.options import TrainOptions

CASES = {
    "few rows": facts(rows=60),
    "small": facts(),
    "large": facts(rows=20_000),
    "strange": facts(unknown=0.6),
    "tight": facts(memory=0.6),
    "writes": facts(QWEN, memory=32),
    "writes, tight": facts(QWEN_7B, memory=16, bf16=True),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each
def test_every_method_stands_in_the_ranking_once(case):
    found = rank(case)
    assert sorted(one.method for one in found) == sorted(case.methods)
    usable = [one for one in found if not one.refused]
    assert [one.rank for one in usable] == list(range(1, len(usable) + 1))
    assert all(one.rank == 0 and one.refused.endswith(".") for one in found[len(usable) :])


@each
def test_a_method_that_can_be_used_has_its_price_and_its_reasons(case):
    for one in rank(case):
        if one.refused or not case.methods[one.method].tunes:
            continue
        assert one.seconds is not None
        assert one.seconds > 0
        assert one.trained is not None
        if case.methods[one.method].needs_model:
            assert one.memory is not None
            assert one.bytes > 0
        assert one.score == pytest.approx(sum(one.rules.values()))
        assert all(reason.endswith((".", "].")) for reason in one.reasons)


@each
def test_what_does_not_fit_stands_behind_what_does(case):
    fits = [one.fits for one in rank(case) if not one.refused]
    assert fits == sorted(fits, reverse=True)


@pytest.mark.parametrize("needs", [{"input-only"}, {"edge", "switch"}, {"modular"}])
@pytest.mark.parametrize("memory", [0.3, 0.6, 16])
def test_what_meets_the_needs_stands_before_what_does_not_whether_it_fits_or_not(needs, memory):
    case = facts(memory=memory, needs=frozenset(needs))
    found = [one for one in rank(case) if not one.refused]
    order = [(one.meets, one.fits) for one in found]
    assert order == sorted(order, reverse=True)
    assert (unmet(case, found) is None) == ((True, True) in order)


@pytest.mark.parametrize("need", ["modular", "switch"])
def test_ngrams_have_no_base_to_share_so_they_stand_behind_what_has(need):
    found = [one for one in rank(facts(needs=frozenset([need]))) if not one.refused]
    meets = {one.method: one.meets for one in found}
    assert meets["prefix"]
    assert not meets["tfidf"]
    order = [one.method for one in found]
    assert order.index("tfidf") > max(map(order.index, ("prefix", "ptuning", "prompt")))


def test_where_nothing_is_recommended_the_least_that_would_do_is_named():
    case = facts(memory=0.3, needs=frozenset({"input-only"}))
    found = rank(case)
    least = min((one for one in found if one.meets and one.memory), key=lambda one: one.bytes)
    said = unmet(case, found)
    assert said.startswith("nothing meets input-only and fits into 307 MiB; the least that meets")
    assert f"`{least.method}`" in said
    enough = int(said.split("--memory ")[1].split("MB")[0]) * 10**6
    more = replace(case, hardware=replace(case.hardware, memory=enough))
    assert unmet(more, rank(more)) is None
    writes = facts(QWEN_7B, memory=1, bf16=True)
    assert unmet(writes, rank(writes)).startswith("nothing fits into 1.0 GiB; the least that there")


def test_needs_that_nothing_meets_at_once_are_told():
    case = facts(QWEN, memory=64, needs=frozenset({"input-only", "edge", "modular"}))
    found = [replace(one, meets=False) for one in rank(case)]
    assert "ask for one need at a time" in unmet(case, found)


@each
def test_as_json_it_is_plain(case):
    for one in rank(case):
        told = json.loads(json.dumps(one.as_json()))
        assert told["method"] == one.method
        if told["memory"]:
            parts = {"weights", "gradients", "optimiser", "activations", "logits", "peak"}
            assert parts <= told["memory"].keys()


def test_the_numbers_are_those_that_a_run_would_use():
    case = facts(rows=500)
    lora = next(one for one in rank(case) if one.method == "lora")
    recipe = decide(parse("lora", {}), TrainOptions(), 500, False)
    assert lora.decided["learning_rate"] == recipe.parts
    assert lora.decided["max_steps"] == recipe.steps
    assert lora.decided["average_last"] == recipe.options.average_last
    assert any("epochs: the measured default" in reason for reason in lora.reasons)


def test_only_options_that_differ_from_the_defaults_are_to_be_given():
    found = {one.method: one.options for one in rank(facts())}
    assert found["full"] == found["lora"] == found["freeze"] == {}
    large = {one.method: one.options for one in rank(facts(QWEN_7B, memory=200))}
    assert large["lora"] == {"lora_r": 16}
    assert large["prompt"] == {"num_virtual_tokens": 30}


def test_what_is_changed_to_fit_is_among_the_options():
    case = facts(QWEN, rows=200, memory=32, bf16=True)
    case = replace(case, lengths=case.lengths * 20)
    need = next(one for one in rank(case) if one.method == "lora").bytes
    tight = replace(case, hardware=replace(case.hardware, memory=int(0.8 * need)))
    lora = next(one for one in rank(tight) if one.method == "lora")
    assert lora.fits
    assert lora.options["gradient_accumulation_steps"] > 1
    assert lora.decided["per_device_train_batch_size"] < 16
    assert lora.room


def test_a_budget_lowers_what_takes_longer_and_says_so():
    free = {one.method: one for one in rank(facts())}
    case = facts(budget=0.5 * free["full"].seconds)
    full = next(one for one in rank(case) if one.method == "full")
    assert full.rules["budget"] < 0
    assert any("of the budget" in reason for reason in full.reasons)
    assert rank(case)[0].method != "full"


def test_language_models_do_not_get_what_chooses_among_labels():
    refused = {one.method for one in rank(facts(QWEN)) if one.refused}
    assert refused == {"tfidf", "probe"}
    assert {one.method for one in rank(facts()) if one.refused} == {"text-prompt"}


@each
def test_a_race_has_few_candidates_each_once_and_the_baselines_among_them(case):
    found = candidates(rank(case))
    assert 1 <= len(found) <= MOST
    assert len({one.name for one in found}) == len(found)
    assert not any(one.refused for one in found)
    assert case.writes or {"tfidf", "probe"} <= {one.method for one in found}
    for one in found:
        parse(one.method, {k: v for k, v in one.options.items() if k not in known_to_train()})


def known_to_train():
    return set(TrainOptions.model_fields)


def test_the_best_are_tried_at_another_rate_too():
    found = candidates(rank(facts(MINILM)))
    rates = [one for one in found if "learning_rate" in one.options]
    assert [one.method for one in rates] == ["full", "adapter"]
    assert rates[0].options["learning_rate"] == pytest.approx(METHODS["full"].rate / 2)


def test_a_rate_that_the_user_gave_is_not_varied():
    found = candidates(rank(facts(MINILM)), other_rates=False)
    assert "full" in {one.method for one in found}
    assert not [one for one in found if "learning_rate" in one.options]


def test_a_single_step_is_a_part_of_an_epoch():
    case = facts(MINILM, rows=1800, train=TrainOptions(max_steps=1))
    for one in rank(case):
        if one.decided:
            assert 0 < one.decided["num_train_epochs"] < 0.05


def test_fewer_candidates_may_be_asked_for():
    assert len(candidates(rank(facts()), most=4)) <= 4
