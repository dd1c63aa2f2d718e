"""What is timed: a slice of the model on short batches, scaled to the whole."""

import json
from dataclasses import replace
from time import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fewtune.base.events import tell
from fewtune.choose.cost import ALL, operations
from fewtune.choose.facts import Hardware
from fewtune.methods import parse
from fewtune.models.ladder import RanOut
from fewtune.models.pooling import Pooling
from fewtune.models.shape import shape_of
from fewtune.train import loop
from fewtune.trials import timing
from fewtune.trials.clocks import Watch
from fewtune.trials.kept import kept
from fewtune.trials.rehearsal import FEW, LARGEST, Bench, Rehearsal, grid_lengths
from fewtune.trials.timing import time_steps

HERE = Hardware("cpu", cores=2, bf16=False, memory=2**34, cpu="a processor")
BERT = {"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522}  # fmt: skip
LARGE = BERT | {"hidden_size": 8192, "num_attention_heads": 64, "intermediate_size": 32768}
LENGTHS = np.array([11, 14, 16, 18, 30])


@pytest.fixture
def source(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    return SimpleNamespace(folder=tmp_path, positions=512)


def both(seconds):
    """By the wall's clock three times what the processor worked."""
    return [3 * seconds, seconds]


@pytest.fixture
def timed(source, tmp_path, monkeypatch):
    """Timings from made-up seconds; the plans that were rehearsed are in `.seen`."""
    seen: list[Rehearsal] = []
    others = [0.0]

    def rehearsed(plan):
        seen.append(plan)
        work = {"full": ALL, "adapter": 2 - 1 / plan.depth, "lora": 2, "forward": 1}
        seconds = {
            kind: [both(0.01 * plan.depth + 1e-11 * plan.work(n, passes)) for n in plan.lengths]
            for kind, passes in work.items()
        }
        trained = {f"{kind}_trained": 0 for kind in work}
        return {"optimiser": both(1e-9), "attention": "eager", **seconds, **trained}

    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(timing, "measured_rate", lambda machine: 4e11)
    monkeypatch.setattr(timing, "machine_of", lambda hardware: None)
    monkeypatch.setattr(timing, "rehearsed", rehearsed)
    monkeypatch.setattr(Watch, "others", lambda self: others[0])

    def call(config=BERT, lengths=LENGTHS, hardware=HERE, **more):
        return time_steps(source, shape_of(config), False, hardware, lengths, **more)

    call.seen, call.others = seen, others
    return call


def test_a_few_blocks_stand_for_all(timed):
    found, (plan,) = timed(), timed.seen
    assert plan.depth * plan.slice.block_matrices <= max(FEW, 2 * plan.slice.block_matrices)
    assert plan.depth < 12
    assert found.full.fixed == pytest.approx(0.36, rel=1e-6)  # twelve blocks of 30 ms
    assert found.full.each == pytest.approx(3e-11, rel=1e-6)
    assert found.lora == pytest.approx(found.adapter)
    whole = operations(shape_of(BERT), np.array([16]), np.array([16]))
    assert found.forward(whole)[0] == pytest.approx(0.36 + 3e-11 * whole[0])
    assert f"{plan.depth} of its blocks" in found.note


def test_what_was_timed_is_kept_and_timed_anew_when_asked(timed):
    first = timed()
    assert timed() == first
    assert len(timed.seen) == 1
    timed(again=True)
    timed(lengths=LENGTHS * 8)
    assert len(timed.seen) == 3
    timed(hardware=Hardware("cpu", cores=2, bf16=True, memory=2**34, cpu="a processor"))
    assert len(timed.seen) == 4


def test_a_step_that_is_timed_is_short(timed):
    timed(lengths=LENGTHS * 10)
    (plan,) = timed.seen
    assert plan.rows < 16
    assert plan.work(plan.lengths[-1], ALL) <= LARGEST["cpu"]


def test_blocks_that_are_too_large_are_computed_and_said_to_be(timed):
    found = timed(LARGE)
    assert timed.seen == []
    assert found.how == "computed"
    assert "400 GFLOP/s" in found.note


def test_a_slice_is_as_small_as_memory_asks_or_is_not_built(timed):
    block = 16 * shape_of(BERT).block_matrices
    timed(hardware=replace(HERE, memory=2 * block))
    timed(hardware=replace(HERE, memory=2 * block - 1))
    assert [plan.depth for plan in timed.seen] == [2, 1]
    found = timed(hardware=replace(HERE, memory=block // 2))
    assert (len(timed.seen), found.how) == (2, "computed")
    assert timed(hardware=replace(HERE, memory=0)).how == "measured"  # the system does not tell
    assert "to time a block of this model takes 108 MiB, and 54 MiB may be used" in found.note


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RanOut("for the head")]
)
def test_where_memory_runs_out_while_steps_are_timed_they_are_computed_and_said_to_be(
    timed, monkeypatch, error
):
    def rehearsed(plan):
        raise error

    with monkeypatch.context() as full:
        full.setattr(timing, "rehearsed", rehearsed)
        found = timed()
    assert found.how == "computed"
    assert "about 40%: memory ran out while steps were timed." in found.note
    assert timed().how == "measured"  # the failure is not kept


def test_steps_that_memory_cuts_into_pieces_are_not_timed(tmp_path, monkeypatch):
    def cut(fit):
        yield tell("laddered", step=1, rows=1, passes=2)

    monkeypatch.setattr(loop, "run_fit", cut)
    config = BERT | {"max_position_embeddings": 32}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    source = SimpleNamespace(folder=tmp_path, positions=32, config=config, pooling=Pooling("mean"))
    plan = Rehearsal(source, shape_of(config), False, HERE, 1, 2, (8, 16))
    with pytest.raises(MemoryError, match="in pieces"):
        Bench(plan, parse("bitfit", {})).steps()


def test_a_device_that_is_not_here_is_assumed_and_said_to_be(timed):
    gpu = Hardware("cuda", cores=2, bf16=True, memory=2**34, here=False)
    found = timed(hardware=gpu)
    assert (timed.seen, found.how) == ([], "assumed")
    assert "not in this machine" in found.note
    assert "0.3 ms beside for a block" in found.note
    blocks = round(found.forward.fixed / timing.ASSUMED_BLOCK)
    assert blocks > 0
    assert found.full.fixed == pytest.approx(3 * blocks * timing.ASSUMED_BLOCK)


def test_nothing_longer_than_the_model_reads_is_timed(timed, source):
    source.positions = 24
    timed()
    assert timed.seen[0].lengths == (8, 24)


@pytest.mark.parametrize("low", [1, 9, 100, 5000])
@pytest.mark.parametrize("spread", [0, 3, 300])
def test_two_lengths_of_the_grid_are_about_those_of_the_rows(low, spread):
    short, long = grid_lengths(np.array([low, low + spread]))
    assert 8 <= short < long


def test_on_a_busy_machine_the_processor_s_seconds_count_and_are_not_kept_for_long(
    timed, monkeypatch
):
    timed.others[0] = 0.6
    busy = timed()
    assert "Other programs used 60%" in busy.note
    assert busy.full.fixed == pytest.approx(0.12, rel=1e-6)
    timed()
    assert len(timed.seen) == 1
    now = time()
    monkeypatch.setattr("fewtune.trials.kept.time", lambda: now + 2 * timing.BUSY_LASTS)
    timed.others[0] = 0.0
    assert "Other programs" not in timed().note
    assert len(timed.seen) == 2


def test_a_value_lasts_as_long_as_it_is_said_to(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path))
    assert kept("kind", ("key",), lambda: 1, lasts=lambda value: -1.0) == 1
    assert kept("kind", ("key",), lambda: 2) == 2
    assert kept("kind", ("key",), lambda: 3) == 2


def test_what_others_use_is_a_share():
    assert 0 <= Watch().others() <= 1.5
