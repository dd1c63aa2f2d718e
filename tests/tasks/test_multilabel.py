"""Several labels a row: targets, a loss that adds up, thresholds, answers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.data.row import Origin, Row
from fewtune.tasks import LABELLED
from fewtune.tasks.multilabel import Multilabel, balanced_ones
from fewtune.tasks.thresholds import FEWEST, common, of_class, thresholds_for

LABELS = ("door", "lamp", "pump")


def row(*labels):
    return Row(Origin("a.jsonl", 1), {"text": "t", "labels": labels})


def test_targets_are_ones_for_every_label_and_unknown_ones_are_counted():
    rows = [row("pump", "door"), row(), row("roof", "cellar", "lamp")]
    assert Multilabel(LABELS).targets(rows).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert Multilabel(LABELS).truth(rows)[:, -1].tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("labels", "known"),
    [((), True), (("pump",), True), (("roof",), False), (("pump", "roof"), False)],
)
def test_a_row_is_known_where_all_its_labels_are_and_without_any(labels, known):
    assert Multilabel(LABELS).known(row(*labels)) is known


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=2, max_size=12),
    st.integers(1, 11),
    st.sampled_from([None, (0.2, 1.0, 5.0)]),
    st.sampled_from([0.0, 0.1]),
)
def test_losses_and_weights_of_parts_add_up_to_the_whole(truth, cut, weights, smoothing):
    task = Multilabel(LABELS, weights, smoothing)
    logits = torch.randn(len(truth), 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor(truth)
    whole = task.loss(logits, targets)
    parts = [task.loss(logits[s], targets[s]) for s in (slice(cut), slice(cut, None))]
    for at in range(2):
        torch.testing.assert_close(sum(part[at] for part in parts), whole[at])


def test_the_loss_of_a_row_is_pytorch_s_summed_over_classes():
    logits, targets = torch.randn(6, 3), torch.randint(0, 2, (6, 3)).float()
    total, weight = Multilabel(LABELS).loss(logits, targets)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets) * 3
    torch.testing.assert_close(total / weight, wanted)


def test_balanced_ones_weigh_as_much_as_the_rest():
    truth = np.array([[1, 0], [0, 1], [0, 1], [0, 1], [0, 0], [0, 0]])
    for weight, ones in zip(balanced_ones(truth), truth.sum(0), strict=True):
        assert weight * ones == len(truth) - ones


def test_every_row_has_a_label_only_where_every_training_row_had():
    low = np.array([[0.1, 0.2, 0.05]])
    full = Multilabel.of_rows(LABELS, [row("pump"), row("door", "lamp")], False, 0.0)
    some = Multilabel.of_rows(LABELS, [row("pump"), row()], False, 0.0)
    assert full.answers(low) == [["lamp"]]
    assert some.answers(low) == [[]]


def test_answers_and_what_is_expected_stand_in_the_labels_order():
    task = Multilabel(LABELS, thresholds=(0.5, 0.2, 0.3))
    assert task.answers(np.array([[0.9, 0.2, 0.29], [0.1, 0.1, 0.9]])) == [
        ["door", "lamp"],
        ["pump"],
    ]
    assert task.expected(row("roof", "pump", "door")) == ["door", "pump", "roof"]


def test_a_saved_model_tells_its_task_again():
    task = Multilabel(LABELS, thresholds=(0.5, 0.2, 0.3), least=1)
    told = task.telling()
    again = LABELLED["multilabel"].told(told["labels"], told["thresholds"], told["least"])
    assert again == task


def test_the_majority_knows_the_share_of_every_label():
    found = Multilabel(LABELS).majority(np.array([[1, 0, 1], [1, 0, 0]], dtype=np.float32), rows=2)
    assert found.tolist() == [[1.0, 0.0, 0.5]] * 2


# --- thresholds ----------------------------------------------------------------------------------


def drawn(rows=400, classes=4, seed=0):
    """Probabilities, and ones drawn by them: they mean what they say."""
    chance = np.random.default_rng(seed)
    shares = chance.beta(0.4, 1.6, (rows, classes))
    return shares, (chance.random((rows, classes)) < shares).astype(np.float32)


def micro_f1(chosen, ones):
    return 2 * (chosen * ones).sum() / (chosen.sum() + ones.sum())


def test_the_common_threshold_has_the_highest_micro_f1():
    shares, ones = drawn()
    best = common(shares, ones, 0)
    reached = micro_f1(shares >= best, ones)
    assert all(
        reached >= micro_f1(shares >= other, ones) - 0.01 for other in np.arange(0.02, 1, 0.02)
    )
    assert reached > micro_f1(shares >= 0.5, ones) + 0.02
    assert best == pytest.approx(reached / 2, abs=0.08)  # as theory has it


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000))
def test_the_threshold_of_a_class_has_its_highest_f1(seed):
    shares, ones = drawn(30, 1, seed)
    shares, ones = shares[:, 0].round(1), ones[:, 0]
    if not ones.any():
        return
    reached = micro_f1(shares >= of_class(shares, ones), ones)
    for other in np.unique(shares).clip(0.01, 0.99):
        assert reached >= micro_f1(shares >= other, ones) - 1e-9


def test_a_class_with_few_ones_keeps_the_common_threshold():
    shares, ones = drawn()
    ones[:, 3] = 0
    ones[: FEWEST - 1, 3] = 1
    found = thresholds_for(shares, ones, 0, "class")
    assert found[3] == common(shares, ones, 0)
    assert len(set(found[:3])) == 3
    assert thresholds_for(shares, ones, 0, "half").tolist() == [0.5] * 4
    assert len(set(thresholds_for(shares, ones, 0, "common"))) == 1


# --- self-training -------------------------------------------------------------------------------


def test_a_row_is_sure_where_every_class_is():
    shares = np.array([[0.9, 0.05, 0.95], [0.9, 0.5, 0.01], [0.1, 0.1, 0.1]])
    targets, sure, certain = Multilabel(LABELS, least=1).confident(shares, 0.8)
    assert targets[0].tolist() == [1, 0, 1]
    assert certain.tolist() == [True, False, False]  # one class is open; no class at all
    assert sure[0] == pytest.approx(0.9)
    assert Multilabel(LABELS).confident(shares, 0.8)[2].tolist() == [True, False, True]
