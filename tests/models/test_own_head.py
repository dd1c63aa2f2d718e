import pytest

from fewtune.models.own_head import own_labels

BERT = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "No", "1": "Yes"}}


def test_the_pretrained_heads_outputs_are_found_by_name():
    assert own_labels(BERT, ["yes", "no"]) == [1, 0]
    assert own_labels(BERT, ["no"]) == [0]


@pytest.mark.parametrize("config", [{}, {"architectures": ["BertModel"]}, BERT | {"id2label": {}}])
def test_a_model_without_a_head_for_these_classes_cannot_answer(config):
    assert own_labels(config, ["yes", "no"]) is None


def test_one_missing_class_is_enough_to_be_silent():
    assert own_labels(BERT, ["yes", "no", "maybe"]) is None
