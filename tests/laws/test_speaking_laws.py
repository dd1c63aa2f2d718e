"""The laws of language models: what was learned is what is said, however it is batched or kept.

Every method and hybrid of the registry is trained for a few steps on tiny models of the causal
families; the registry puts it here, as it puts it under the laws of classifiers.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import EVERYWHERE, NEURAL, PAIRS, Case
from tiny_models import MAX_LENGTH, ROWS, build_speaker
from torch import Tensor, nn

from fewtune.data.dialogue import Message
from fewtune.data.row import Origin, Row
from fewtune.methods import METHODS
from fewtune.methods.artefact import About, fingerprint_of, method_of
from fewtune.methods.base import Prepared, prepare
from fewtune.models.batches import Marked
from fewtune.models.causal import CausalModel
from fewtune.models.chat import set_template, stop_ids
from fewtune.models.decoding import DecodingOptions
from fewtune.models.device import Machine
from fewtune.models.load import load_causal, load_tokenizer
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.models.speaking import Speaker, answer_losses
from fewtune.tasks.generate import Generate
from fewtune.train.answers import AnswerRows

FAMILIES = ("gpt2", "llama", "qwen2", "qwen3")
CASES = [case for case in EVERYWHERE if case.name != "probe"]
EXACT = {"rtol": 0.0, "atol": 2e-5}
STEPS = 6
HERE = Machine("cpu", bf16=False)
GREEDY = DecodingOptions(max_new_tokens=8)
DIALOGUES = [
    (Message("user", text), Message("assistant", f"{label} is dark")) for text, label in ROWS
] + [
    (
        Message("system", "cold weather"), Message("user", "pump leaks"),
        Message("assistant", "oil is low"), Message("user", "door jams"),
        Message("assistant", "lock turns again"),
    )
]  # fmt: skip
DATA = [Row(Origin("a", k), {"messages": turns}) for k, turns in enumerate(DIALOGUES)]


@dataclass
class Voice:
    """A tiny language model on disk, and as fewtune loads it."""

    family: str
    folder: Path
    tokenizer: object
    model: CausalModel

    @property
    def rows(self) -> Marked:
        return Generate().encode(DATA, self.tokenizer, 48).rows

    @property
    def prompts(self) -> list[np.ndarray]:
        return [Generate().prompt(turns[:-1], self.tokenizer, 40) for turns in DIALOGUES[::2]]

    def speaker(self, model: CausalModel) -> Speaker:
        return Speaker(model, HERE, stop_ids(self.tokenizer), self.tokenizer.decode, 0, 64)


@dataclass
class Spoken:
    """A case trained on a voice."""

    voice: Voice
    case: Case
    prepared: Prepared
    before: dict[str, Tensor]
    losses: tuple[float, float]

    @property
    def model(self) -> CausalModel:
        return self.prepared.model

    @property
    def method(self):
        return self.case.method

    @property
    def about(self) -> About:
        return About(
            "generate",
            self.method.spell(),
            self.case.options,
            max_length=MAX_LENGTH,
            base=str(self.voice.folder),
            base_fingerprint=fingerprint_of(self.voice.folder),
            template="plain",
            stop_ids=stop_ids(self.voice.tokenizer),
        )


def made(family: str, folder: Path) -> Voice:
    """A whole language model, built and loaded."""
    build_speaker(family, folder)
    options = ModelOptions(model=str(folder))
    source = find(options)
    loaded = load_tokenizer(source)
    set_template(loaded, "plain")
    return Voice(family, folder, loaded, load_causal(source, options))


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> dict[str, Voice]:
    root = tmp_path_factory.mktemp("voices")
    return {family: made(family, root / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def spoken_already() -> dict:
    return {}


@pytest.fixture
def spoken(voices, family, case, spoken_already) -> Spoken:
    """The case on the family, trained when first asked for; a refused one is skipped."""
    voice = voices[family]
    if reason := case.method.refuses(voice.model):
        pytest.skip(f"refused: {reason}")
    key = (family, str(case))
    if key not in spoken_already:
        spoken_already[key] = fit(voice, case)
    return spoken_already[key]


def fit(voice: Voice, case: Case) -> Spoken:
    torch.manual_seed(0)
    prepared = prepare(deepcopy(voice.model), case.method)
    model = prepared.model
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0)
    work, every = AnswerRows(model, voice.rows, HERE), np.arange(len(voice.rows))
    model.train()
    losses = []
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        loss, weight = work.loss(every)
        losses.append(float(loss.detach() / weight))
        (loss / weight).backward()
        optimizer.step()
    optimizer.zero_grad()
    model.eval()
    return Spoken(voice, case, prepared, before, (losses[0], losses[-1]))


def everywhere(where=lambda case: True):
    found = [(f, c) for f in FAMILIES for c in CASES if where(c)]
    found += [("llama", c) for c in PAIRS if where(c)]
    return pytest.mark.parametrize(("family", "case"), found, ids=[f"{f}-{c}" for f, c in found])


def test_every_method_that_trains_is_under_the_laws():
    assert {case.name for case in CASES} >= set(NEURAL) - {"probe"}
    assert (len(CASES), len(PAIRS)) == (31, 36)


@everywhere()
def test_what_is_frozen_stays_and_the_loss_falls(spoken: Spoken):
    now = dict(spoken.model.named_parameters())
    frozen = [n for n, p in now.items() if not p.requires_grad]
    assert all(torch.equal(now[n], spoken.before[n]) for n in frozen)
    assert spoken.losses[1] < spoken.losses[0]
    owned = {n for n, p in now.items() if p.requires_grad}
    assert spoken.prepared.owner.keys() == owned


@everywhere()
def test_answers_do_not_depend_on_the_batch(spoken: Spoken):
    """A batch of unequal prompts, each prompt alone, and the model without any cache."""
    speaker, prompts = spoken.voice.speaker(spoken.model), spoken.voice.prompts
    together = speaker.answers(prompts, GREEDY)
    alone = [speaker.answers([one], GREEDY)[0] for one in prompts]
    assert together == alone
    slowly = [without_cache(spoken.model, one, speaker.stop_ids) for one in prompts]
    assert [one.ids for one in together] == slowly


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bases_answer_unlike_prompts_unlike(voices, family):
    """Else the law above would compare the same words with the same words."""
    voice = voices[family]
    said = voice.speaker(voice.model).answers(voice.prompts, GREEDY)
    assert len({tuple(one.ids) for one in said}) > 2


@everywhere(lambda case: case not in PAIRS)
def test_samples_do_not_depend_on_the_batch_either(spoken: Spoken):
    speaker, prompts = spoken.voice.speaker(spoken.model), spoken.voice.prompts
    how = DecodingOptions(temperature=1.0, top_p=0.95, max_new_tokens=6)
    together = speaker.answers(prompts, how, seed=3)
    assert together[0] == speaker.answers(prompts[:1], how, seed=3)[0]
    assert together == speaker.answers(prompts, how, seed=3)
    assert together != speaker.answers(prompts, how, seed=4)


@everywhere()
def test_a_row_counts_the_same_in_every_batch(spoken: Spoken):
    rows = spoken.voice.rows
    loss, count, right = answer_losses(spoken.model, rows, HERE)
    for k in range(len(rows)):
        alone = answer_losses(spoken.model, rows.take([k]), HERE)
        assert alone[0][0] == pytest.approx(loss[k], abs=2e-4)
        assert (alone[1][0], alone[2][0]) == (count[k], right[k])
    assert count.sum() == rows.learned.sum()


@everywhere()
def test_the_artefact_says_the_same(spoken: Spoken, tmp_path: Path):
    spoken.method.save(deepcopy(spoken.model), tmp_path, spoken.about)
    spoken.about.write(tmp_path)
    about = About.read(tmp_path)
    torch.manual_seed(1)
    again = method_of(about, METHODS).load(tmp_path, about)
    assert isinstance(again, CausalModel)
    torch.testing.assert_close(
        next_logits(again, spoken.voice), next_logits(spoken.model, spoken.voice), **EXACT
    )
    same_words(again, spoken.model, spoken.voice)


@everywhere()
def test_merged_says_the_same_and_is_plain(spoken: Spoken):
    merged = spoken.method.merge(deepcopy(spoken.model))
    if not all(part.merges for part in spoken.method.parts()):
        assert merged is None
        return
    assert merged is not None
    assert merged.state_dict().keys() == spoken.voice.model.state_dict().keys()
    same_words(merged, spoken.model, spoken.voice)


@everywhere(lambda case: case.method.restores)
def test_switched_off_it_says_what_the_base_says(spoken: Spoken):
    model, voice = spoken.model, spoken.voice
    tuned = next_logits(model, voice)
    spoken.method.switch(model, False)
    off = next_logits(model, voice)
    same_words(model, voice.model, voice)
    spoken.method.switch(model, True)
    torch.testing.assert_close(off, next_logits(voice.model, voice), **EXACT)
    assert torch.equal(next_logits(model, voice), tuned)


def is_plain(case: Case) -> bool:
    about = About("generate", case.name, {}, template="plain", stop_ids=[1])
    return "fewtune" not in case.method.code(about)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@everywhere(lambda case: case not in PAIRS and is_plain(case))
def test_plain_libraries_say_the_same(spoken: Spoken, tmp_path: Path, monkeypatch):
    spoken.method.save(deepcopy(spoken.model), tmp_path, spoken.about)
    monkeypatch.chdir(tmp_path)
    card: dict = {}
    code = spoken.method.code(spoken.about).replace("max_new_tokens=256", "max_new_tokens=8")
    exec(compile(code, "README.md", "exec"), card)
    prompts = [turns[:-1] for turns in DIALOGUES[::3]]
    tokenizer = spoken.voice.tokenizer
    ids = [Generate().prompt(turns, tokenizer, 52) for turns in prompts]
    ours = spoken.voice.speaker(spoken.model).answers(ids, GREEDY)
    told = [[{"role": one.role, "content": one.content} for one in turns] for turns in prompts]
    expected = [tokenizer.decode(one.ids, skip_special_tokens=True).strip() for one in ours]
    assert card["predict"](told) == expected


@everywhere(lambda case: case.name in ("full", "lora", "adapter+bitfit", "prompt"))
def test_accumulated_gradients_equal_the_whole_batch(spoken: Spoken):
    model, rows = spoken.model, spoken.voice.rows
    work = AnswerRows(model, rows, HERE)
    trained = [p for p in model.parameters() if p.requires_grad]
    whole = gradients(work, trained, [range(len(rows))])
    parts = gradients(work, trained, [range(5), range(5, 6), range(6, len(rows))])
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


# --- the loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_and_its_gradients_are_those_of_all_logits(voices, family, monkeypatch):
    from fewtune.models import answer_loss as module

    monkeypatch.setattr(module, "CHUNK", 300)  # several chunks even here
    voice = voices[family]
    model, rows = deepcopy(voice.model), voice.rows
    every = np.arange(len(rows))
    loss, _ = AnswerRows(model, rows, HERE).loss(every)
    loss.backward()
    ours = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    ids, mask = rows.batch(every)
    logits = model.head(model.features(ids, mask))
    wanted = torch.full_like(ids, -100)
    for k, weights in enumerate(rows.weights):
        learned = torch.from_numpy(np.flatnonzero(weights > 0))
        wanted[k, learned] = ids[k, learned]
    expected = nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), wanted[:, 1:].flatten(), ignore_index=-100, reduction="sum"
    )
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert ours.keys() == found.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("chunks", [1, 125])
def test_the_heads_gradient_is_as_exact_in_many_chunks_as_in_one(chunks, monkeypatch):
    from fewtune.models import answer_loss as module
    from fewtune.models.head import Head

    torch.manual_seed(0)
    words, positions = 400, 1000
    monkeypatch.setattr(module, "CHUNK", words * (positions // chunks))
    states, targets = torch.randn(positions, 32), torch.randint(0, 50, (positions,))
    weight = (0.3 * torch.randn(words, 32)).requires_grad_()
    bias = torch.zeros(words).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.answer_loss(Head(weight, bias), states, targets, torch.ones(positions))
    found = torch.autograd.grad(loss, (weight, bias))
    exact = nn.functional.cross_entropy(states @ weight.T + bias, targets, reduction="sum")
    for one, wanted in zip(found, torch.autograd.grad(exact, (weight, bias)), strict=True):
        assert (one - wanted).norm() < 0.005 * wanted.norm()  # bfloat16 keeps 8 bits


# --- what the laws measure with ------------------------------------------------------------------


@torch.no_grad()
def next_logits(model: CausalModel, voice: Voice) -> Tensor:
    rows = voice.rows
    return model(*rows.batch(np.arange(len(rows))))


def same_words(a: CausalModel, b: CausalModel, voice: Voice) -> None:
    assert voice.speaker(a).answers(voice.prompts, GREEDY) == voice.speaker(b).answers(
        voice.prompts, GREEDY
    )


@torch.no_grad()
def without_cache(model: CausalModel, prompt: np.ndarray, stops) -> list[int]:
    """Greedy answers the slow way: the whole text again for every token."""
    ids = torch.from_numpy(prompt)[None]
    said: list[int] = []
    for _ in range(GREEDY.max_new_tokens):
        token = int(model(ids, torch.ones_like(ids)).argmax())
        if token in stops:
            break
        said.append(token)
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    return said


def gradients(work: AnswerRows, trained, pieces) -> list[Tensor]:
    for parameter in trained:
        parameter.grad = None
    total = float(work.rows.learned.sum())
    for piece in pieces:
        (work.loss(np.array(piece))[0] / total).backward()
    found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trained]
    for parameter in trained:
        parameter.grad = None
    return found
