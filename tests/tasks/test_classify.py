"""Classification: targets, token ids, a loss that adds up, the majority."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from fewtune.data.row import Origin, Row
from fewtune.tasks.classify import UNKNOWN, Classify, balanced_weights

LABELS = ("door", "lamp", "pump")


def test_targets_are_places_in_the_labels_and_unknown_ones_are_marked():
    rows = [Row(Origin("a.csv", 2), {"label": label}) for label in ("pump", "roof", "door")]
    assert Classify(LABELS).targets(rows).tolist() == [2, UNKNOWN, 0]


class Words:
    """A tokenizer of words with a start and an end, as encoders have."""

    pad_token_id = 0

    def __call__(self, texts, truncation, max_length, **_):
        assert truncation
        ids = [[1, *range(3, 3 + len(text.split())), 2] for text in texts]
        return {
            "input_ids": [i if len(i) <= max_length else [*i[: max_length - 1], 2] for i in ids]
        }


def test_long_texts_are_cut_with_their_end_token_and_counted():
    found = Classify(LABELS).encode(["a b", "a b c d", "a b c d e f", "a b c"], Words(), 6)
    assert [row.tolist() for row in found.ids] == [
        [1, 3, 4, 2],
        [1, 3, 4, 5, 6, 2],  # exactly as long as may be: not cut
        [1, 3, 4, 5, 6, 2],
        [1, 3, 4, 5, 2],
    ]
    assert list(found.truncated) == [2]


def test_a_text_of_no_tokens_is_one_padding_token():
    class Nothing(Words):
        def __call__(self, texts, **_):
            return {"input_ids": [[] for _ in texts]}

    assert Classify(LABELS).encode([""], Nothing(), 6).ids[0].tolist() == [0]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 2), min_size=2, max_size=12),
    st.integers(1, 11),
    st.sampled_from([None, (0.2, 1.0, 5.0)]),
    st.sampled_from([0.0, 0.1]),
)
def test_losses_and_weights_of_parts_add_up_to_the_whole(truth, cut, weights, smoothing):
    task = Classify(LABELS, weights, smoothing)
    logits = torch.randn(len(truth), 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor(truth)
    whole = task.loss(logits, targets)
    parts = [task.loss(logits[s], targets[s]) for s in (slice(cut), slice(cut, None))]
    for at in range(2):
        torch.testing.assert_close(sum(part[at] for part in parts), whole[at])


@pytest.mark.parametrize("weights", [None, (0.2, 1.0, 5.0)])
def test_the_mean_loss_is_pytorch_s(weights):
    logits, targets = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    total, weight = Classify(LABELS, weights).loss(logits, targets)
    given = None if weights is None else torch.tensor(weights)
    wanted = torch.nn.functional.cross_entropy(logits, targets, weight=given)
    torch.testing.assert_close(total / weight, wanted)


def test_balanced_weights_are_scikit_learn_s():
    truth = np.array([0, 0, 0, 1, 2, 2])
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=truth)
    np.testing.assert_allclose(balanced_weights(truth, 3), wanted)


def test_the_majority_answers_every_row_by_the_training_shares():
    found = Classify(LABELS).majority(np.array([0, 2, 2, 2]), rows=2)
    assert found.tolist() == [[0.25, 0.0, 0.75]] * 2
