"""The laws on a head that answers with sets of labels: what differs is the loss and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import Case
from conftest import STEPS, fresh, tensors_of
from tiny_models import LABELS, MAX_LENGTH, ROWS, TEXTS, Base
from torch import Tensor

from fewtune.data.row import Origin, Row
from fewtune.methods.artefact import About, fingerprint_of
from fewtune.methods.base import Prepared, prepare
from fewtune.methods.predictor import NgramPredictor, load_predictor, task_of
from fewtune.models.ngrams import fit_ngrams
from fewtune.tasks.multilabel import Multilabel

METHODS_UNDER = [Case("full"), Case("freeze", {"layers": 1}), Case("probe"), Case("lora"),
                 Case("adapter"), Case("bitfit"), Case("ia3"), Case("lora+adapter")]  # fmt: skip
EXACT = {"rtol": 0.0, "atol": 1e-5}
#: The label of the text, `lamp` where it is dark, and `door` where it is cold or at the front.
SETS = [
    sorted(
        {
            label,
            *(["lamp"] if "dark" in text else []),
            *(["door"] if {"cold", "front"} & {*text.split()} else []),
        }
    )
    for text, label in ROWS
]
TASK = Multilabel(tuple(LABELS), thresholds=(0.4, 0.5, 0.6), least=1)
TARGETS = torch.tensor(
    TASK.targets(
        [
            Row(Origin("a", k), {"text": text, "labels": tuple(labels)})
            for k, (text, labels) in enumerate(zip(TEXTS, SETS, strict=True))
        ]
    )
)


@dataclass
class Fitted:
    """A case trained on sets of labels, and what the laws compare."""

    case: Case
    base: Base
    prepared: Prepared
    before: dict[str, Tensor]
    losses: tuple[float, float]
    logits: Tensor
    folder: Path

    @property
    def model(self):
        return self.prepared.model

    @property
    def about(self) -> About:
        pooling = self.model.pooling
        return About(
            task="multilabel",
            method=self.case.method.spell(),
            options=self.case.options,
            max_length=MAX_LENGTH,
            base=str(self.base.folder),
            base_fingerprint=fingerprint_of(self.base.folder),
            pooling={"mode": pooling.mode, "normalize": pooling.normalize},
            **TASK.telling(),
        )


def loss_of(model, base: Base, rows: range) -> tuple[Tensor, Tensor]:
    """Summed loss and weight of some rows."""
    return TASK.loss(model(**base.batch([TEXTS[k] for k in rows])), TARGETS[list(rows)])


@pytest.fixture(scope="module", params=METHODS_UNDER, ids=str)
def fitted(request, bases, tmp_path_factory) -> Fitted:
    case, base = request.param, bases["bert"]
    torch.manual_seed(0)
    prepared = prepare(fresh(base), case.method)
    model, everything = prepared.model, range(len(TEXTS))
    before = tensors_of(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0, foreach=True)
    losses = []
    for step in range(STEPS + 1):
        total, weight = loss_of(model, base, everything)
        losses.append(float((total / weight).detach()))
        if step < STEPS:
            optimizer.zero_grad()
            (total / weight).backward()
            optimizer.step()
    with torch.no_grad():
        logits = model.eval()(**base.batch())
    folder = tmp_path_factory.mktemp("sets")
    found = Fitted(case, base, prepared, before, (losses[0], losses[-1]), logits, folder)
    case.method.save(model, folder, found.about)
    found.about.write(folder)
    base.tokenizer.save_pretrained(folder)
    return found


def test_rows_have_one_label_or_several():
    assert {len(labels) for labels in SETS} == {1, 2, 3}
    assert TARGETS.sum(dim=0).min() >= 4


def test_the_loss_falls_and_only_what_trains_moves(fitted: Fitted):
    assert fitted.losses[1] < fitted.losses[0]
    named = [*fitted.model.named_parameters(), *fitted.model.named_buffers()]
    moved = {name for name, tensor in named if not torch.equal(tensor, fitted.before[name])}
    trained = {name for name, p in fitted.model.named_parameters() if p.requires_grad}
    assert moved <= trained
    assert {"head.weight", "head.bias"} <= moved


def test_every_class_of_the_head_learns_by_itself(fitted: Fitted):
    head = fitted.model.head
    moved = (head.weight - fitted.before["head.weight"]).abs().amax(dim=1)
    assert (moved > 1e-4).all()
    shares = TASK.choice.probabilities(fitted.logits.numpy())
    assert np.abs(shares.sum(axis=1) - 1).max() > 0.05


def test_accumulated_gradients_equal_the_whole_batch(fitted: Fitted):
    model = fitted.model
    trained = [p for p in model.parameters() if p.requires_grad]

    def gradients(*pieces: range) -> list[Tensor]:
        model.zero_grad()
        for piece in pieces:
            (loss_of(model, fitted.base, piece)[0] / len(TEXTS)).backward()
        found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trained]
        model.zero_grad()
        return found

    whole, parts = gradients(range(12)), gradients(range(5), range(5, 6), range(6, 12))
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_row_does_not_depend_on_its_batch(fitted: Fitted):
    with torch.no_grad():
        for rows in ([2], [9], [4, 8, 1], [11, 6]):
            logits = fitted.model(**fitted.base.batch([TEXTS[k] for k in rows]))
            torch.testing.assert_close(logits, fitted.logits[rows], **EXACT)


def test_saved_and_loaded_it_gives_the_same_sets(fitted: Fitted):
    again = load_predictor(fitted.folder, "cpu", bf16=False)
    assert again.task == TASK
    found = again.probabilities(TEXTS)
    wanted = TASK.choice.probabilities(fitted.logits.numpy())
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert again.task.answers(found) == TASK.answers(wanted)


def test_merged_gives_the_same_logits(fitted: Fitted):
    merged = fitted.case.method.merge(load_predictor(fitted.folder, "cpu", bf16=False).model)
    assert (merged is None) == (not all(part.merges for part in fitted.case.method.parts()))
    if merged is not None:
        with torch.no_grad():
            logits = merged.eval()(**fitted.base.batch())
        torch.testing.assert_close(logits, fitted.logits, **EXACT)


# --- without a neural model ----------------------------------------------------------------------


def test_tfidf_learns_sets_and_gives_them_again(tmp_path):
    targets = TARGETS.numpy()
    model = fit_ngrams(TEXTS, targets, len(LABELS))
    found = model.probabilities(TEXTS)
    always = np.tile(targets.mean(axis=0), (len(TEXTS), 1))
    assert TASK.choice.losses(found, targets).mean() < TASK.choice.losses(always, targets).mean()
    alone = np.concatenate([model.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, found, atol=1e-12)
    model.save(tmp_path)
    about = About(task="multilabel", method="tfidf", options={}, **TASK.telling())
    again = NgramPredictor(about, tmp_path)
    np.testing.assert_array_equal(again.probabilities(TEXTS), found)
    assert task_of(about).answers(found) == TASK.answers(found)
