import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import TEXTS

from fewtune.base.errors import FewtuneError
from fewtune.models.device import Machine
from fewtune.models.load import loading
from fewtune.models.options import ModelOptions
from fewtune.models.own_head import answers_before, own_labels
from fewtune.models.source import find
from fewtune.tasks.classify import Classify

BERT = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "No", "1": "Yes"}}


def test_the_pretrained_heads_outputs_are_found_by_name():
    assert own_labels(BERT, ["yes", "no"]) == [1, 0]
    assert own_labels(BERT, ["no"]) == [0]


@pytest.mark.parametrize("config", [{}, {"architectures": ["BertModel"]}, BERT | {"id2label": {}}])
def test_a_model_without_a_head_for_these_classes_cannot_answer(config):
    assert own_labels(config, ["yes", "no"]) is None


def test_one_missing_class_is_enough_to_be_silent():
    assert own_labels(BERT, ["yes", "no", "maybe"]) is None


def test_a_head_that_is_a_pickle_answers_where_it_is_trusted(bert, tmp_path):
    folder = shutil.copytree(bert.folder, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    width = bert.model.backbone.config.hidden_size
    head = {"classifier.weight": torch.eye(2, width), "classifier.bias": torch.zeros(2)}
    torch.save(
        {f"bert.{name}": one for name, one in weights.items()} | head, folder / "pytorch_model.bin"
    )
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | BERT), encoding="utf-8")
    task = Classify(("yes", "no"))
    rows = task.encode(TEXTS, bert.tokenizer, 24)
    options = ModelOptions(model=str(folder), allow_pickle=True)
    machine = Machine("cpu", bf16=False)
    found = answers_before(find(options), rows, task.labels, machine, task.choice, options)
    assert found.shape == (len(TEXTS), 2)
    assert found.sum(axis=1) == pytest.approx(1.0)
    with pytest.raises(FewtuneError, match=r"the model in .* cannot be loaded"):
        answers_before(
            find(options), rows, task.labels, machine, task.choice, ModelOptions(model=str(folder))
        )


def test_memory_that_runs_out_while_loading_is_not_called_damage(tmp_path):
    said = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    with (
        pytest.raises(FewtuneError, match="memory ran out while the model in"),
        loading(tmp_path, "model"),
    ):
        raise RuntimeError(said)
