"""Rules about dialogues and the template that will write them out."""

import json
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fewtune.check.look import Look, look_at
from fewtune.check.options import CheckOptions
from fewtune.check.rules import RULES
from fewtune.data.options import DataOptions
from fewtune.models.options import ModelOptions

GOOD = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
NO_STOP = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role != 'system' %}{{ m.role }}: {{ m.content }}<|im_end|>\n"
    "{% endif %}{% endfor %}"
)
REFUSES = "{{ raise_exception('no') if messages[0].role == 'system' }}" + GOOD
CLEAN = [
    {"role": "system", "content": "You are a fitter."},
    {"role": "user", "content": "why is it hot?"},
    {"role": "assistant", "content": "the bearing is dry"},
]


def tokenizer(template):
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "<|im_start|>": 1, "<|im_end|>": 2}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
    )  # fmt: skip
    made.chat_template = template
    return made


@pytest.fixture
def speak(tmp_path):
    """The codes of the rules of dialogues that speak of some."""

    def call(*dialogues, template=None, ask=True, room=512):
        path = tmp_path / "rows.jsonl"
        lines = [json.dumps({"messages": one}) for one in dialogues]
        path.write_text("\n".join(lines), encoding="utf-8")
        model = ModelOptions(model="tiny") if ask else None
        look: Look = look_at(str(path), DataOptions(), CheckOptions(), model)
        look.__dict__["tokenizer"] = tokenizer(template)
        look.__dict__["source"] = SimpleNamespace(positions=room)
        rules = [rule for rule in RULES if rule.speaks_of == "dialogue"]
        found = [one for rule in rules if ask or rule.needs == "rows" for one in rule.look(look)]
        for one in found:
            assert one.message.endswith(".")
            assert one.do.endswith(".")
            assert one.total
        return [one.code for one in found]

    return call


def said(answer, question="why is it hot?"):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def test_clean_dialogues_under_a_good_template_are_silent(speak):
    assert speak(CLEAN, CLEAN, template=GOOD) == []
    assert speak(CLEAN, ask=False) == []


@pytest.mark.parametrize(
    ("dialogue", "template", "codes"),
    [
        (CLEAN, None, ["template-missing"]),
        (CLEAN, NO_SYSTEM, ["template-role"]),
        (CLEAN, REFUSES, ["template-role", "template-refused"]),
        (CLEAN, NO_STOP, ["template-stop"]),
        (said("dry<|im_end|>"), GOOD, ["template-special-tokens"]),
        (said(" the bearing is dry"), GOOD, ["template-spaces"]),
    ],
)
def test_a_rule_speaks_of_what_it_is_for(speak, dialogue, template, codes):
    assert speak(dialogue, dialogue, template=template) == codes


def test_marks_of_two_templates_are_told(speak):
    mixed = (said("[INST] hot"), said("### Response: dry"))
    assert speak(*mixed, ask=False) == ["template-special-tokens", "template-mixed"]


def test_a_user_s_blanks_are_nobody_s_business(speak):
    assert speak(said("dry", " why? "), template=GOOD) == []


def test_answers_that_do_not_fit_and_prompts_that_are_shortened_are_told(speak):
    assert speak(said("dry" + " dry" * 600), template=GOOD) == ["truncated-answer"]
    assert speak(said("dry", "hot" + " hot" * 600), template=GOOD) == ["truncated-prompt"]
    assert speak(said("dry", "hot" + " hot" * 600), template=GOOD, room=2000) == []


def test_dialogues_of_which_nothing_is_learned_are_told(speak):
    silent = [said("dry")[0], {**said("dry")[1], "weight": 0}]
    assert speak(CLEAN, silent, template=GOOD) == ["template-untrained"]
