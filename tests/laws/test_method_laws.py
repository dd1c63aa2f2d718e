"""The laws that every tuning method obeys, on tiny models of every family.

A method is under them because it is in the registry; cases.py says which variants and combinations
are tried besides.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from cases import ALONE, EVERYWHERE, HYBRIDS, NEURAL, PAIRED_ON, PAIRS, VARIANTS, Case
from conftest import Fitted, fresh
from tiny_models import LABELS, MAX_LENGTH, TARGETS, TEXTS, TINY, Base
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewtune.base.errors import UsageError
from fewtune.methods import METHODS
from fewtune.methods.artefact import About, method_of
from fewtune.methods.base import prepare
from fewtune.models.device import Machine, frozen_in_bf16
from fewtune.models.parts import family_of, lowest_trained_block
from fewtune.models.pooled import Pooling
from fewtune.models.weights import load_trained, save_tensors, trained_tensors

#: Trained tensors that no gradient reaches, by what their name holds, and why.
STILL = {
    ".pooler.": "BERT's pooler stands behind the first token; pooling reads the token states",
    "attention.self.key.bias": "adds the same to every score of a row, which softmax takes off",
    "attention.k_lin.bias": "the same, by DistilBERT's name",
    "attention.attn.k.bias": "the same, by MPNet's name",
}
#: The one part that makes key biases count: a prefix's keys come without the bias.
BRINGS_KEYS = "prefix"
EXACT = {"rtol": 0.0, "atol": 1e-5}


def everywhere(where=lambda case: True):
    """Every case on every family, every pair on one."""
    found = [(f, c) for f in TINY for c in EVERYWHERE if where(c)]
    found += [(f, c) for f in PAIRED_ON for c in PAIRS if where(c)]
    return pytest.mark.parametrize(("family", "case"), found, ids=[f"{f}-{c}" for f, c in found])


def test_every_neural_method_is_under_the_laws():
    assert set(METHODS) - set(NEURAL) == {"tfidf"}  # no neural model: its laws stand apart
    assert {case.name for case in ALONE} == set(NEURAL)
    assert (len(ALONE), len(VARIANTS), len(HYBRIDS), len(PAIRS)) == (10, 14, 8, 36)
    assert len(TINY) == 8


def test_every_pooling_is_under_the_laws(bases: dict[str, Base]):
    found = {family: base.model.pooling for family, base in bases.items()}
    assert found == {
        "bert": Pooling("mean"),
        "roberta": Pooling("cls"),
        "distilbert": Pooling("mean", normalize=True),
        "mpnet": Pooling("max"),
        "gpt2": Pooling("lasttoken"),
        "llama": Pooling("lasttoken"),
        "qwen2": Pooling("lasttoken", normalize=True),
        "qwen3": Pooling("lasttoken"),
    }


# --- training ---------------------------------------------------------------------------------


@everywhere()
def test_frozen_tensors_stay_bit_identical(fitted: Fitted):
    after = [*fitted.model.named_parameters(), *fitted.model.named_buffers()]
    moved = [n for n, t in after if n not in fitted.trained and not same(t, fitted.before[n])]
    assert not moved
    assert len(after) == len(fitted.before)


@everywhere()
def test_every_trained_tensor_moves(fitted: Fitted):
    now = dict(fitted.model.named_parameters())
    stuck = [
        n for n in fitted.trained if same(now[n], fitted.before[n]) and not is_still(fitted, n)
    ]
    assert not stuck


@everywhere()
def test_what_is_excused_from_moving_has_no_gradient(fitted: Fitted):
    largest = max(float(g.abs().max()) for g in fitted.gradients.values() if g is not None)
    for name in (n for n in fitted.trained if is_still(fitted, n)):
        gradient = fitted.gradients[name]
        assert gradient is None or float(gradient.abs().max()) < 1e-5 * largest, name


@everywhere()
def test_the_head_trains(fitted: Fitted):
    assert {"head.weight", "head.bias"} <= fitted.trained
    assert not same(fitted.model.head.weight, fitted.before["head.weight"])
    assert not same(fitted.model.head.bias, fitted.before["head.bias"])


@everywhere()
def test_the_loss_falls(fitted: Fitted):
    before, after = fitted.losses
    assert after < before


@everywhere()
def test_every_trained_tensor_belongs_to_one_part(fitted: Fitted):
    owner = fitted.prepared.owner
    assert owner.keys() == fitted.trained - {"head.weight", "head.bias"}
    assert set(owner.values()) <= set(fitted.method.parts())


@everywhere(lambda case: "+" in case.name)
def test_attaching_turns_on_and_never_off(base: Base, case: Case):
    if reason := case.method.refuses(base.model):
        pytest.skip(f"refused: {reason}")
    model = fresh(base).requires_grad_(False)
    model.head.requires_grad_(True)
    on: dict[int, nn.Parameter] = {}
    for part in case.method.parts():
        on |= {id(p): p for p in model.parameters() if p.requires_grad}
        model = part.attach(model)
        assert all(p.requires_grad for p in on.values()), part.name
        assert on.keys() <= {id(p) for p in model.parameters()}, part.name


@everywhere()
def test_accumulated_gradients_equal_the_whole_batch(fitted: Fitted):
    model = fitted.model
    parameters = [p for p in model.parameters() if p.requires_grad]
    whole = gradients(model, fitted.base, [range(12)], parameters)
    parts = gradients(model, fitted.base, [range(5), range(5, 6), range(6, 12)], parameters)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@everywhere()
def test_no_gradient_is_needed_below_the_lowest_trained_block(fitted: Fitted):
    lowest = lowest_trained_block(fitted.model.backbone)
    seen = blocks_with_gradients(fitted.model, fitted.base.batch())
    assert seen == [i >= lowest for i in range(2)]
    expected = {"probe": 2, "freeze": 2 - fitted.case.options.get("layers", 0), "full": 0}
    assert lowest == expected.get(fitted.case.name, lowest)


# --- the trained model, kept ------------------------------------------------------------------


@everywhere()
def test_trained_tensors_rebuild_the_model(fitted: Fitted, scratch: Path):
    save_tensors(trained_tensors(fitted.model), scratch / "w.safetensors")
    torch.manual_seed(1)  # a start that is drawn must not matter
    again = prepare(fresh(fitted.base), fitted.method).model
    load_trained(again, scratch / "w.safetensors")
    torch.testing.assert_close(logits_of(again.eval(), fitted.base), fitted.logits, **EXACT)


@everywhere()
def test_the_artefact_loads_to_the_same_logits(fitted: Fitted, artefact: Path):
    about = About.read(artefact)
    torch.manual_seed(1)
    again = method_of(about, METHODS).load(artefact, about)
    assert not again.training
    torch.testing.assert_close(logits_of(again, fitted.base), fitted.logits, **EXACT)
    torch.testing.assert_close(logits_of(fitted.model, fitted.base), fitted.logits, **EXACT)


def is_plain(case: Case) -> bool:
    """Held by plain libraries, so that the model card's code needs no fewtune."""
    about = About("classify", case.name, {}, [], pooling={"mode": "mean", "normalize": False})
    return "fewtune" not in case.method.code(about)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers' to PEFT
@everywhere(lambda case: case not in PAIRS and is_plain(case))
def test_plain_libraries_predict_the_same_labels(
    fitted: Fitted, artefact: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(artefact)
    card: dict = {}
    exec(compile(fitted.method.code(fitted.about), "README.md", "exec"), card)
    texts = [*TEXTS, " ".join(TEXTS)]  # the last is cut
    with torch.no_grad():
        logits = fitted.model(**fitted.base.batch(texts, truncation=True, max_length=MAX_LENGTH))
    assert card["predict"](texts) == [LABELS[i] for i in logits.argmax(dim=1).tolist()]


@everywhere()
def test_merged_gives_the_same_logits_and_a_plain_model(fitted: Fitted):
    merged = fitted.method.merge(deepcopy(fitted.model))
    if not all(part.merges for part in fitted.method.parts()):
        assert merged is None
        return
    assert merged is not None
    assert merged.state_dict().keys() == fitted.base.model.state_dict().keys()
    torch.testing.assert_close(logits_of(merged, fitted.base), fitted.logits, **EXACT)


@everywhere(lambda case: case.method.restores)
def test_switched_off_is_the_base_and_on_again_the_tuned_model(fitted: Fitted):
    model, batch = fitted.model, fitted.base.batch()
    tuned = features_of(model, batch)
    fitted.method.switch(model, False)
    off = features_of(model, batch)
    fitted.method.switch(model, True)
    torch.testing.assert_close(off, features_of(fitted.base.model, batch), **EXACT)
    assert same(features_of(model, batch), tuned)
    assert not torch.allclose(off, tuned, atol=1e-3)


# --- the trained model, used ------------------------------------------------------------------


@everywhere()
def test_a_row_does_not_depend_on_its_batch_or_its_padding(fitted: Fitted):
    model, base = fitted.model, fitted.base
    left = base.batch(padding_side="left")
    assert not left["attention_mask"][:, 0].all()
    with torch.no_grad():
        torch.testing.assert_close(model(**left), fitted.logits, **EXACT)
    # alone (the shortest, one between, the longest), and in the company of longer rows
    for rows in ([2], [0], [9], [4, 8, 1], [11, 6], [3, 5, 7, 10, 2]):
        logits = logits_of(model, base, [TEXTS[i] for i in rows])
        torch.testing.assert_close(logits, fitted.logits[rows], **EXACT)
    longer = base.batch([*TEXTS, " ".join(TEXTS[:3])])
    with torch.no_grad():
        torch.testing.assert_close(model(**longer)[:12], fitted.logits, **EXACT)


@everywhere()
def test_bf16_is_near_and_leaves_the_weights_alone(fitted: Fitted):
    model, machine, batch = fitted.model, Machine("cpu", bf16=True), fitted.base.batch()
    before = [(p, p.data, p.detach().clone()) for p in model.parameters()]
    with machine.autocast(), torch.no_grad():
        rounded_each_time = model(**batch)
    with machine.autocast(), frozen_in_bf16(model, machine):
        logits = model(**batch)
        cross_entropy(logits, TARGETS).backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())
    model.zero_grad()
    assert logits.dtype == torch.float32
    assert all(p.data_ptr() == data.data_ptr() and same(p, copy) for p, data, copy in before)
    # bfloat16 keeps 8 bits; seen: 0.7 % of the largest logit in the middle, 2.6 % at most
    tolerance = 0.05 * float(fitted.logits.abs().max())
    torch.testing.assert_close(logits.detach(), fitted.logits, rtol=0, atol=tolerance)
    # DoRA takes the norm of the rounded matrix, autocast alone that of the exact one
    apart = tolerance if fitted.case.options.get("use_dora") else 0.0
    torch.testing.assert_close(logits.detach(), rounded_each_time, rtol=0, atol=apart)


# --- refusals ---------------------------------------------------------------------------------


@everywhere()
def test_a_refusal_is_a_sentence_with_an_alternative(base: Base, case: Case):
    method = case.method
    reason = method.refuses(base.model)
    if reason is None:
        return
    check_refusal(base, case, reason)


def test_more_blocks_than_there_are_is_refused(bases: dict[str, Base]):
    case = Case("freeze", {"layers": 3})
    reason = case.method.refuses(bases["bert"].model)
    assert reason == "the model has 2 blocks; got layers=3, so give 2 or fewer."


def check_refusal(base: Base, case: Case, reason: str) -> None:
    assert reason.endswith(".")
    assert len(reason) > 30
    assert "try `" in reason
    with pytest.raises(UsageError) as told:
        prepare(fresh(base), case.method)
    assert reason in str(told.value)
    assert str(told.value).startswith(case.name)


# --- what the laws measure with ---------------------------------------------------------------


def same(a: Tensor, b: Tensor) -> bool:
    """Equal to the bit."""
    return torch.equal(a, b)


def is_still(fitted: Fitted, name: str) -> bool:
    """Excused from moving, see STILL."""
    if BRINGS_KEYS in fitted.case.name and ".pooler." not in name:
        return False
    return any(part in name for part in STILL)


@torch.no_grad()
def logits_of(model: nn.Module, base: Base, texts: list[str] = TEXTS) -> Tensor:
    """(rows, classes)."""
    return model(**base.batch(texts))


@torch.no_grad()
def features_of(model, batch: dict[str, Tensor]) -> Tensor:
    """(rows, width)."""
    return model.features(**batch)


def gradients(
    model: nn.Module, base: Base, pieces: list[range], parameters: list[nn.Parameter]
) -> list[Tensor]:
    """Of the mean loss over 12 rows: each piece's summed loss over the weight of the whole."""
    model.zero_grad()
    for piece in pieces:
        logits = model(**base.batch([TEXTS[i] for i in piece]))
        (cross_entropy(logits, TARGETS[list(piece)], reduction="sum") / 12).backward()
    found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    model.zero_grad()
    return found


def blocks_with_gradients(model: nn.Module, batch: dict[str, Tensor]) -> list[bool]:
    """For each block, first to last: does its output need a gradient?"""
    backbone = model.backbone
    path = family_of(backbone).blocks
    blocks = next(m for n, m in backbone.named_modules() if f".{n}".endswith(f".{path}"))
    seen: list[bool] = []

    def look(module, inputs, output) -> None:
        states = output if isinstance(output, Tensor) else output[0]
        seen.append(states.requires_grad)

    hooks = [block.register_forward_hook(look) for block in blocks]
    model(**batch)
    for hook in hooks:
        hook.remove()
    return seen
