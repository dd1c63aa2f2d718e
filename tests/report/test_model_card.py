import re

import pytest
import yaml

from fewtune.report import evidence, markdown, model_card
from fewtune.report.facts import gather

CODE = 'def predict(texts):\n    """Labels of texts."""\n    return ["a" for _ in texts]'


def card_of(folder, code=CODE, **plan):
    return model_card({**folder.plan, **plan}, folder.data, folder.scores, code)


def first_fence(text):
    return re.search(r"^(`{3,})python\n(.*?)\n\1$", text, re.DOTALL | re.MULTILINE)[2]


def test_the_first_fence_is_the_code_as_given(twelve):
    assert first_fence(card_of(twelve)) == CODE
    assert card_of(twelve).count("```") == 2
    names = {}
    exec(first_fence(card_of(twelve)), names)
    assert names["predict"](["x"]) == ["a"]


def test_code_with_a_fence_in_it_is_not_cut(twelve):
    code = 'text = """\n```\n"""'
    assert first_fence(card_of(twelve, code)) == code


def test_the_front_matter_is_yaml_without_what_nobody_said(twelve):
    head = yaml.safe_load(card_of(twelve).split("---")[1])
    assert head["pipeline_tag"] == "text-classification"
    assert head["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "license" not in head
    assert "language" not in head


@pytest.mark.parametrize("model", ["/models/bert", "./bert", "../x/y", "C:\\models\\bert"])
def test_a_folder_of_this_machine_is_not_published(twelve, model):
    card = card_of(twelve, model={"model": model})
    assert "base_model" not in card
    assert "/models/" not in card


def test_a_method_without_a_model_names_none(twelve):
    twelve.write_scores({**twelve.scores, "method": "tfidf"})
    assert "base_model" not in card_of(twelve)
    assert "Made from no pretrained model" in card_of(twelve)


def test_the_card_holds_scores_with_intervals_baselines_and_verdict(twelve):
    card = card_of(twelve)
    assert twelve.scores["verdict"] in card
    assert "| **lora (this run)** | 87.0 % (82.4 to 91.6 %)" in card
    assert "| TF-IDF + logistic regression | 81.0 %" in card
    assert "1,018 rows were read" in card


def test_the_limits_follow_from_the_numbers(twelve):
    scores = twelve.scores
    scores["per_class"][0]["rows"] = 2
    scores["gain"].update(low=-0.01)
    twelve.write_scores(scores)
    limits = card_of(twelve).split("## Limits")[1].split("## Use")[0]
    assert "rest on 201 test rows" in limits
    assert "1 class has fewer than 5 test rows (bearing worn)" in limits
    assert "not shown to be better" in limits


def test_what_was_answered_beside_the_classes_is_no_class_of_few_rows(twelve):
    scores = twelve.scores
    nothing = {"label": "(no answer)", "precision": 0.0, "recall": None, "f1": 0.0, "rows": 0}
    scores["per_class"].insert(0, nothing)
    twelve.write_scores(scores)
    card = card_of(twelve)
    assert "(no answer)" not in card.split("## Limits")[1]
    assert evidence.classes(gather(twelve))[-1]["label"] == "(no answer)"


def test_labels_and_verdicts_cannot_open_a_fence_or_markup(twelve):
    data, scores = twelve.data, twelve.scores
    evil = "a|b\n```python\nimport os\n```\n<script>"
    data["labels"][0] = scores["per_class"][0]["label"] = scores["verdict"] = evil
    twelve.write_data(data)
    twelve.write_scores(scores)
    assert first_fence(card_of(twelve)) == CODE
    assert not re.search(r"(?<!\\)<script", card_of(twelve))
    assert not re.search(r"(?<!\\)<script", markdown(twelve))


def test_a_card_of_a_run_with_little_to_tell_is_still_a_card():
    card = model_card({"name": "x"}, {}, {"verdict": "Do not fine-tune."}, CODE)
    assert "Do not fine-tune." in card
    assert first_fence(card) == CODE


def test_the_text_report_tells_the_main_parts(twelve, tmp_path):
    text = markdown(twelve)
    for part in ("Fine-tuning helped", "## Gain", "## Most frequent confusions", "## Warnings"):
        assert part in text


def test_the_card_of_several_labels_does_not_promise_one_of_them(twelve):
    one = "It always answers with one of its classes"
    assert one in card_of(twelve)
    twelve.write_scores({**twelve.scores, "task": "multilabel"})
    assert one not in card_of(twelve)
    assert "It knows no labels but these" in card_of(twelve)
    twelve.write_scores({**twelve.scores, "task": "generate"})
    assert one not in card_of(twelve)


def test_the_card_tells_how_much_of_a_text_the_artefact_reads(twelve):
    assert "tokens are read" not in card_of(twelve)  # the plan's --max_length is not the artefact's
    card = model_card(twelve.plan, twelve.data, twelve.scores, CODE, 62)
    assert "Of a text, the first 62 tokens are read." in card
