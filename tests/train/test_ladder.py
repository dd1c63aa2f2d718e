"""Where memory runs out the same work is done in smaller pieces, with the same result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import assert_same, losses, make_fit, stopped_after, told, weights
from tiny_models import TEXTS, Base, build_speaker

from fewtune.base.errors import FewtuneError
from fewtune.base.events import tell
from fewtune.models import ladder
from fewtune.models.batches import Encoded, by_length
from fewtune.models.decoding import DecodingOptions
from fewtune.models.device import Machine, frozen_in_bf16, placed
from fewtune.models.infer import logits
from fewtune.models.ladder import Ladder, needed
from fewtune.models.load import load_causal, load_tokenizer
from fewtune.models.options import ModelOptions
from fewtune.models.parts import blocks_of
from fewtune.models.source import find
from fewtune.models.speaking import answer_losses, speaker_of
from fewtune.models.trunk import fill_trunk
from fewtune.tasks.classify import Classify

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
CPU = Machine("cpu", bf16=False)


@pytest.fixture(autouse=True)
def _no_budget() -> Iterator[None]:
    """No limit learned by one test is another's."""
    ladder.begin(None, "cpu")
    yield
    ladder.begin(None, "cpu")


def test_what_a_job_may_hold_is_no_limit_for_the_next_one():
    ladder.begin(10**15, "cpu")
    stopped = ladder.with_news(iter([tell("started"), tell("read")]))
    next(stopped)
    ladder.begin(1, "cpu")
    with pytest.raises(ladder.OverBudget):
        ladder.look()
    stopped.close()
    ladder.look()


def test_a_model_that_does_not_fit_is_told_in_a_sentence(monkeypatch):
    def full(*given: Any, **named: Any) -> None:
        raise FULL

    model = torch.nn.Linear(2, 2)
    monkeypatch.setattr(model, "to", full)
    with pytest.raises(FewtuneError, match="memory ran out for the model"):
        placed(model, CPU)


def test_what_cannot_be_rounded_stays_as_it_was(monkeypatch):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)).requires_grad_(False)
    rounds = iter([model[0].weight.data.to(torch.bfloat16)])

    def to(tensor: Any, dtype: Any) -> Any:
        for one in rounds:
            return one
        raise FULL

    monkeypatch.setattr(torch.Tensor, "to", to)
    with (
        pytest.raises(FewtuneError, match="ran out for the frozen weights"),
        frozen_in_bf16(model, Machine("cpu", bf16=True)),
    ):
        pass
    assert {one.weight.dtype for one in model} == {torch.float32}


@contextmanager
def small(backbone: Any, most: int, unless_recomputed: bool = False) -> Iterator[list[int]]:
    """A device on which more rows than `most` do not fit; gives the rows of every pass that did.

    Args:
        unless_recomputed: whether anything fits once activations are computed twice.
    """
    seen: list[int] = []

    def before(module: Any, args: Any, kwargs: Any) -> None:
        rows = len(args[0] if args else kwargs["hidden_states"])
        fits = unless_recomputed and getattr(module, "gradient_checkpointing", False)
        if rows > most and not fits:
            raise FULL
        seen.append(rows)

    # in the last block, so that a failed pass has left something behind
    hook = blocks_of(backbone)[-1].register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def encoded(base: Base, texts: list[str] = TEXTS) -> Encoded:
    return Classify(("a", "b")).encode(texts, base.tokenizer, 24)


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """But for a key's bias, whose gradient is nothing but rounding (softmax does not see it)."""
    for name in found.keys() - {name for name in found if name.endswith("key.bias")}:
        assert torch.allclose(found[name], expected[name], rtol=1e-3, atol=2e-5), name


@pytest.mark.parametrize("method", ["full", "lora", "freeze", "adapter"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_training_in_pieces_gives_what_whole_passes_give(
    bert: Base, tmp_path: Path, method: str, most: int
) -> None:
    given = {} if method != "lora" else {"dropout": 0.0}
    usual = make_fit(bert, tmp_path / "a", method, steps=5, gradient_accumulation_steps=2, **given)
    cut = make_fit(bert, tmp_path / "b", method, steps=5, gradient_accumulation_steps=2, **given)
    if method == "lora":  # its noise is drawn for a pass, so pieces would draw another
        for fit in (usual, cut):
            for module in fit.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
    expected = told(usual)
    with small(cut.model.backbone, most) as seen:
        events = told(cut)
    assert max(seen) <= most
    assert losses(events) == pytest.approx(losses(expected), rel=1e-5)
    assert_close(weights(cut), weights(usual))


def test_every_rung_is_an_event_and_a_sentence_with_the_batch_kept(
    bert: Base, tmp_path: Path
) -> None:
    fit = make_fit(bert, tmp_path, steps=3)  # 4 rows in a pass
    with small(fit.model.backbone, 1):
        events = told(fit)
    rungs = [event for event in events if event.name == "laddered"]
    assert [(one["step"], one["rows"], one["passes"], one["pieces"]) for one in rungs] == [
        (1, 2, 2, 2),
        (1, 1, 4, 4),
    ]
    sentences = [event["message"] for event in events if event.name == "warned"]
    assert sentences[0] == (
        "memory ran out at step 1: from here on 2 rows go through at once and 2 passes a step, so "
        "that the batch of 4 stays as it was."
    )
    assert [event["step"] for event in events if event.name == "step"] == [1, 2, 3]
    assert fit.ladder.rung == {"pieces": 4, "recompute": False}


def test_at_one_row_activations_are_computed_twice(bert: Base, tmp_path: Path) -> None:
    expected = make_fit(bert, tmp_path / "a", steps=3)
    fit = make_fit(bert, tmp_path / "b", steps=3)
    told(expected)
    with small(fit.model.backbone, 0, unless_recomputed=True):
        events = told(fit)
    assert fit.ladder.rung == {"pieces": 4, "recompute": True}
    last = [event["message"] for event in events if event.name == "warned"][-1]
    assert last.endswith("activations are computed twice.")
    assert_close(weights(fit), weights(expected))


def test_below_the_last_rung_training_ends_with_a_sentence(bert: Base, tmp_path: Path) -> None:
    fit = make_fit(bert, tmp_path)
    with small(fit.model.backbone, 0), pytest.raises(FewtuneError, match=r"MB are held") as error:
        told(fit)
    assert "\n" not in str(error.value)
    assert "--max_length" in str(error.value)


def test_another_error_is_not_taken_for_missing_memory(bert: Base, tmp_path: Path) -> None:
    fit = make_fit(bert, tmp_path)

    def broken(*_: Any) -> None:
        raise RuntimeError("shapes differ")

    blocks_of(fit.model.backbone)[0].register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        told(fit)


def test_a_failure_late_in_training_repeats_that_step_alone(bert: Base, tmp_path: Path) -> None:
    usual = make_fit(bert, tmp_path / "a", steps=4)
    fit = make_fit(bert, tmp_path / "b", steps=4)
    expected = told(usual)
    passes = 0

    def before(_module: Any, args: Any, kwargs: Any) -> None:
        nonlocal passes
        passes += 1
        if passes == 3:  # one pass a step: the third one's
            raise FULL

    blocks_of(fit.model.backbone)[-1].register_forward_pre_hook(before, with_kwargs=True)
    events = told(fit)
    (rung,) = [event for event in events if event.name == "laddered"]
    assert rung["step"] == 3
    assert passes == 2 + 1 + 2 + 2
    assert losses(events) == pytest.approx(losses(expected), rel=1e-5)


def test_a_resumed_fit_begins_on_the_rung_that_was_written_down(bert: Base, tmp_path: Path) -> None:
    whole = make_fit(bert, tmp_path / "a", steps=4)
    with small(whole.model.backbone, 2):
        told(whole)
    first = make_fit(bert, tmp_path / "b", steps=4, save_steps=1)
    with small(first.model.backbone, 2):
        stopped_after(first, "checkpoint", 2)
    again = make_fit(bert, tmp_path / "b", steps=4, save_steps=1)
    object.__setattr__(again, "ladder", Ladder.at(first.ladder.rung))
    with small(again.model.backbone, 2) as seen:
        events = told(again)
    assert not [event for event in events if event.name == "laddered"]
    assert max(seen) == 2
    assert_same(weights(again), weights(whole))


def test_evaluation_in_halves_gives_the_same_logits(bert: Base) -> None:
    rows = encoded(bert)
    expected = logits(bert.model, rows, CPU)
    with small(bert.model.backbone, 3) as seen:
        found = logits(bert.model, rows, CPU)
        again = logits(bert.model, rows, CPU)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(again, found)
    assert seen == [3, 3, 3, 3] * 2  # 12, 6 and 3 were tried once
    assert ladder.news() == [
        "memory ran out in evaluation: from here on 6 rows go through at once, with the same "
        "result.",
        "memory ran out in evaluation: from here on 3 rows go through at once, with the same "
        "result.",
    ]
    assert ladder.news() == []


def test_the_cached_trunk_is_filled_in_halves(bert: Base, tmp_path: Path) -> None:
    rows = encoded(bert)
    expected = fill_trunk(bert.model, rows, 1, CPU, tmp_path)
    with small(bert.model.backbone, 5):
        found = fill_trunk(bert.model, rows, 1, CPU, tmp_path)
    torch.testing.assert_close(found.states, expected.states)


def test_a_single_row_that_does_not_fit_ends_evaluation_with_a_sentence(bert: Base) -> None:
    with small(bert.model.backbone, 0), pytest.raises(FewtuneError, match="a single row"):
        logits(bert.model, encoded(bert), CPU)


def test_generation_and_its_losses_in_halves_say_the_same(tmp_path: Path) -> None:
    build_speaker("llama", tmp_path / "llama")
    options = ModelOptions(model=str(tmp_path / "llama"))
    source = find(options)
    model, tokenizer = load_causal(source, options), load_tokenizer(source)
    speaker = speaker_of(model, tokenizer, CPU)
    prompts = [np.array(tokenizer(text)["input_ids"]) for text in TEXTS[:7]]
    decoding = DecodingOptions(max_new_tokens=5, temperature=0.8)
    rows = marked(prompts, tokenizer.pad_token_id)
    expected = speaker.answers(prompts, decoding), answer_losses(model, rows, CPU)
    with small(model.backbone, 2) as seen:
        found = speaker.answers(prompts, decoding), answer_losses(model, rows, CPU)
    assert max(seen) <= 2
    assert found[0] == expected[0]
    for ours, theirs in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert {"evaluation", "generation"} == {line.split(" in ")[1][:10] for line in ladder.news()}


def marked(prompts: list[np.ndarray], pad: int) -> Any:
    from fewtune.models.batches import Marked

    ones = [np.ones(len(one), dtype=np.float32) for one in prompts]
    return Marked(prompts, pad, (), ones, list(range(len(prompts))))


def test_a_budget_on_a_cpu_is_kept_by_what_the_process_holds(
    bert: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"rows": 0}

    def remember(_module: Any, args: Any, kwargs: Any) -> None:
        held["rows"] = len(args[0] if args else kwargs["hidden_states"])

    fit = make_fit(bert, tmp_path, steps=2)
    blocks_of(fit.model.backbone)[0].register_forward_pre_hook(remember, with_kwargs=True)
    monkeypatch.setattr(ladder, "resident", lambda: 1000 + 100 * held["rows"])
    ladder.begin(1250, "cpu")
    events = told(fit)
    assert [event["rows"] for event in events if event.name == "laddered"] == [2]
    assert len(losses(events)) == 2


def test_without_a_budget_nobody_looks(bert: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> int:
        raise AssertionError("looked")

    monkeypatch.setattr(ladder, "resident", never)
    logits(bert.model, encoded(bert), CPU)
    ladder.begin(10**15, "cpu")
    with pytest.raises(AssertionError, match="looked"):
        logits(bert.model, encoded(bert), CPU)


def test_what_the_process_holds_grows_with_what_it_takes() -> None:
    before = ladder.resident()
    taken = torch.ones(40_000_000)  # 160 MB
    grown = ladder.resident() - before
    assert before > 50_000_000
    assert grown == pytest.approx(taken.numel() * 4, rel=0.1)


def test_halves_cover_every_row_once() -> None:
    lengths = np.arange(1, 40)

    def work(rows: np.ndarray) -> int:
        if len(rows) > 4:
            raise MemoryError
        return int(lengths[rows].sum())

    done = list(ladder.in_halves(by_length(lengths, 32), work, "evaluation"))
    assert sorted(np.concatenate([rows for rows, _ in done])) == list(range(39))
    assert sum(total for _, total in done) == lengths.sum()


def test_what_cannot_be_cut_ends_with_a_sentence() -> None:
    def fails(said: str) -> None:
        raise RuntimeError(said)

    for said in ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED when calling `create`"):
        with pytest.raises(FewtuneError, match=r"for the optimiser: .* MB are held;"):
            needed(partial(fails, said), "the optimiser")
    with pytest.raises(RuntimeError, match="another"):
        needed(partial(fails, "another"), "the optimiser")
    assert needed(lambda: 7, "the optimiser") == 7


def test_an_optimiser_without_room_ends_training_with_a_sentence(
    bert: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    fit = make_fit(bert, tmp_path)
    with pytest.raises(FewtuneError, match="memory ran out for the optimiser"):
        told(fit)


def test_activations_that_are_computed_twice_anyway_are_no_rung(bert: Base, tmp_path: Path) -> None:
    fit = make_fit(bert, tmp_path, steps=1)
    object.__setattr__(fit, "ladder", Ladder.at(None, asked=True))
    with small(fit.model.backbone, 0), pytest.raises(FewtuneError) as error:
        told(fit)
    assert "with one row at once and activations computed twice" in str(error.value)
    assert not fit.ladder.recompute
    assert Ladder.at(fit.ladder.rung).pieces == 4
