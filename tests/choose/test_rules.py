"""The guides' rules can be read, and give way to what was measured and to what is needed."""

import re
from pathlib import Path

import pytest
from plans import BERT_BASE, MINILM, QWEN, QWEN_7B, facts

from fewtune.base.amounts import told_bytes
from fewtune.base.errors import UsageError
from fewtune.choose.option_rules import OPTIONS
from fewtune.choose.options import needs_of
from fewtune.choose.proposal import rank
from fewtune.choose.rules import MEASURED, NEEDS, PRIOR, RULES, WANTED, applying
from fewtune.methods import METHODS
from fewtune.trials.options import TextPrompt

LOG = Path(__file__).parents[2] / "docs" / "log.md"
CASES = [
    facts(),
    facts(rows=100),
    facts(rows=20_000, memory=64),
    facts(unknown=0.6, chinese=0.9),
    facts(QWEN),
    facts(QWEN_7B, memory=24),
    facts(QWEN_7B, rows=5_000, memory=24),
    facts(needs=frozenset(NEEDS)),
    facts(BERT_BASE, bf16=True),
]


def order(case):
    return [one.method for one in rank(case) if not one.refused]


def names(case):
    return {rule.name for rule in applying(case)}


def test_every_rule_names_methods_that_exist_and_applies_to_some_case():
    known = {*METHODS, TextPrompt.name}
    assert len(RULES) >= 15
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert {*rule.points, *rule.numbers} <= known, rule.name
        assert any(rule.when(case) for case in CASES), rule.name
    assert {rule.option for rule in OPTIONS} <= {
        option for method in METHODS.values() for option in method.model_fields
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_a_sentence_and_where_it_comes_from(rule):
    case = next(case for case in CASES if rule.when(case))
    for method in rule.points:
        said = rule.reason(case, method)
        assert said.endswith(f"[{rule.source}].")
        assert "\n" not in said


def test_memory_of_all_weights_says_what_it_counts():
    """The table's number, which has batch and process in it, is another one."""
    told = 0
    for case in (facts(rows=100, memory=0.1), facts(QWEN_7B, rows=5_000, memory=24), CASES[2]):
        for rule in applying(case):
            if "weights, gradients and optimiser of all" in rule.says(case):
                told += 1
                assert told_bytes(16 * case.parameters) in rule.says(case)
    assert told == 3


def test_measured_rules_cite_sections_that_the_log_has():
    log = LOG.read_text(encoding="utf-8")
    cited = [part for rule in MEASURED for part in rule.source.split("; ")]
    cited = [part.removeprefix("docs/log.md: ") for part in cited if part.startswith("docs/log.md")]
    assert len(cited) >= 5
    for title in cited:
        assert f"## {title}" in log, title


def test_the_gains_that_a_rule_tells_are_those_of_the_log():
    log = LOG.read_text(encoding="utf-8")
    rule = next(rule for rule in MEASURED if rule.name == "small-encoder-full")
    for method in ("adapter", "bitfit", "freeze", "ia3", "lora"):
        best = re.search(
            rf"^\| {method} \|.*\| (\S+) / \S+ \(\d+\) \*\*best\*\*", log, re.MULTILINE
        )
        assert best, method
        assert rule.numbers[method].startswith(best[1]), method


def test_what_ngrams_are_said_to_gain_is_told_of_the_probe_on_the_same_rows():
    log = LOG.read_text(encoding="utf-8").partition("## What the methods gain over the probe")[2]
    points, share = re.search(
        r"^\| thucnews-10 \| 2 \| \S+ \| (\S+) / \+(\S+)%", log, re.M
    ).groups()
    told = next(rule for rule in MEASURED if rule.name == "baselines-stay").numbers["tfidf"]
    assert told == f"{points} points of accuracy over the probe, log-loss {share} % better"


def test_on_a_small_encoder_with_few_rows_full_is_first_though_the_guides_would_freeze():
    found = order(facts(MINILM, rows=500))
    assert found[0] == "full"
    assert found.index("probe") < found.index("prefix")
    reason = next(one for one in rank(facts()) if one.method == "full").reasons
    assert any("BANKING77" in one and "docs/log.md" in one for one in reason)


def test_with_very_few_rows_who_was_measured_to_gain_most_is_first_and_who_gained_little_is_last():
    found = order(facts(rows=100))
    assert found[0] == "bitfit"
    assert {*found[:4]} == {"adapter", "full", "bitfit", "lora"}
    assert found.index("probe") < found.index("freeze") < found.index("prompt")


def test_a_large_model_on_little_memory_gets_lora():
    found = order(facts(QWEN_7B, rows=1_000, memory=80, bf16=True))
    assert found[0] == "lora"
    assert found.index("lora") < found.index("full")


def test_a_larger_encoder_gets_lora_and_full_before_the_smallest_parts():
    found = order(facts(BERT_BASE))
    assert found[0] == "lora"
    assert found.index("full") < found.index("bitfit")
    assert found.index("probe") < found.index("prompt")


def test_much_data_and_room_raise_full_training():
    roomy = facts(QWEN, rows=20_000, memory=64)
    assert "large-data" in names(roomy)
    assert order(roomy)[0] == "full"
    assert "large-data" not in names(facts(QWEN, rows=20_000, memory=4))


def test_rank_eight_for_small_models_and_sixteen_for_large_ones():
    assert facts(QWEN).methods["lora"].lora_r == 8
    assert facts(QWEN_7B).methods["lora"].lora_r == 16
    assert facts(QWEN_7B).methods["prefix"].num_virtual_tokens == 30
    assert facts(MINILM).methods["adapter"].reduction_factor == 16
    assert facts(MINILM, rows=20_000).methods["adapter"].reduction_factor == 8


@pytest.mark.parametrize(
    ("need", "first"),
    [("modular", "adapter"), ("switch", "prefix"), ("edge", "probe"), ("input-only", "prompt")],
)
def test_a_need_changes_the_order_and_says_so(need, first):
    case = facts(needs=frozenset([need]))
    best = rank(case)[0]
    assert best.method == first
    assert order(facts())[0] != first
    rule = next(rule for rule in WANTED if rule.name == need)
    assert any(rule.says(case) in reason for reason in best.reasons)


def test_who_cannot_read_the_texts_falls_behind_the_ngrams():
    case = facts(unknown=0.6, chinese=0.9)
    found = order(case)
    assert found[0] == "tfidf"
    assert found[1] == "probe"
    assert any("60% of the tokens are unknown" in one for one in rank(case)[0].reasons)
    assert order(facts(unknown=0.01))[0] == "full"


def test_guides_alone_are_the_prior():
    assert {rule.kind for rule in PRIOR} == {"prior"}
    assert all("arXiv" in rule.source for rule in PRIOR)


def test_needs_are_read_with_any_comma_and_unknown_ones_refused_all_at_once():
    assert needs_of("Modular，edge、switch") == {"modular", "edge", "switch"}
    with pytest.raises(UsageError) as caught:
        needs_of("modulr,fast")
    assert "Did you mean 'modular'?" in str(caught.value)
    assert str(caught.value).count("input-only") == 2
