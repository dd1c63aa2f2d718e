"""Rows through a model without gradients: order, batches, precision."""

import random
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import LABELS, MAX_LENGTH, WORDS

from fewtune.models import infer
from fewtune.models.batches import Encoded, by_length
from fewtune.models.device import Machine, frozen_in_bf16, placed
from fewtune.models.infer import features, logits, settled_logits
from fewtune.models.pooled import PooledModel
from fewtune.tasks.classify import Classify

FLOAT, BFLOAT = Machine("cpu", bf16=False), Machine("cpu", bf16=True)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=200), st.integers(1, 64))
def test_batches_by_length_hold_every_row_once_longest_first_within_their_bounds(lengths, most):
    found = by_length(np.array(lengths), most, tokens=1000)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    longest = [max(lengths[i] for i in batch) for batch in found]
    assert longest == sorted(longest, reverse=True)
    for batch, length in zip(found, longest, strict=True):
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * length <= 1000


def test_a_batch_is_padded_on_the_right_and_masked():
    rows = Encoded([np.array([5, 6, 7]), np.array([8])], pad=9)
    ids, mask = rows.batch([1, 0])
    assert ids.tolist() == [[8, 9, 9], [5, 6, 7]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]


def encoded(base, count=12):
    """Different rows of words at random."""
    chance = random.Random(0)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(count)]
    return Classify(tuple(LABELS)).encode(texts, base.tokenizer, MAX_LENGTH)


@pytest.fixture
def model(bert) -> PooledModel:
    """A head at random whose classes are equally likely on average, so that many rows are close."""
    torch.manual_seed(1)
    model = deepcopy(bert.model)
    torch.nn.init.normal_(model.head.weight, std=0.1)
    centre = torch.from_numpy(features(model, encoded(bert, 600), FLOAT).mean(0))
    with torch.no_grad():
        model.head.bias.copy_(-model.head.weight @ centre)
    return model


@pytest.mark.parametrize("size", [1, 5, 64])
def test_rows_come_back_in_their_order_whatever_the_batches(bert, model, size):
    rows = encoded(bert)
    one_by_one = np.concatenate([logits(model, rows.take([i]), FLOAT) for i in range(len(rows))])
    np.testing.assert_allclose(logits(model, rows, FLOAT, size), one_by_one, rtol=1e-4, atol=1e-5)
    width = features(model, rows, FLOAT, size)
    assert width.shape == (12, 32)
    assert width.dtype == np.float32


def test_settled_logits_give_the_labels_of_float32(bert, model):
    rows = encoded(bert, 600)
    exact = logits(model, rows, FLOAT)
    quick = logits(model, rows, BFLOAT)
    assert (quick.argmax(1) != exact.argmax(1)).any()  # there is something to settle
    settled = settled_logits(model, rows, BFLOAT)
    np.testing.assert_array_equal(settled.argmax(1), exact.argmax(1))


def test_only_close_rows_are_computed_again(bert, model, monkeypatch):
    counted = []
    plain = infer.logits

    def counting(model, rows, machine, size=64):
        counted.append((machine.bf16, len(rows)))
        return plain(model, rows, machine, size)

    monkeypatch.setattr(infer, "logits", counting)
    torch.nn.init.constant_(model.head.bias[0], 30.0)  # far apart
    settled_logits(model, encoded(bert, 600), BFLOAT)
    again = sum(rows for bf16, rows in counted if not bf16)
    assert counted[0] == (True, 600)
    assert again == 64  # the sample alone


def test_in_float32_nothing_is_computed_twice(bert, model, monkeypatch):
    rows = encoded(bert)
    np.testing.assert_array_equal(settled_logits(model, rows, FLOAT), logits(model, rows, FLOAT))


def test_frozen_matrices_are_bfloat16_for_a_while_and_then_the_same_bits(model):
    model.requires_grad_(False)
    blocks = model.backbone.encoder.layer
    blocks[1].requires_grad_(True)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with frozen_in_bf16(model, BFLOAT):
        assert blocks[0].attention.self.query.weight.dtype == torch.bfloat16
        assert blocks[1].attention.self.query.weight.dtype == torch.float32  # it trains
        assert model.head.weight.dtype == torch.float32
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_model_that_is_moved_while_it_answers_can_train_afterwards():
    moved, lost = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    with torch.inference_mode():
        placed(moved, Machine("meta", bf16=False))  # another device, without one
        lost.to("meta")
    assert all(one.device.type == "meta" for one in moved.parameters())
    assert not any(one.is_inference() for one in moved.parameters())
    assert all(one.is_inference() for one in lost.parameters())  # what it is there for
