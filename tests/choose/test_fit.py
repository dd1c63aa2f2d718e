"""A memory that is told is obeyed: the same effective batch, and a sentence where nothing fits."""

from dataclasses import replace

import numpy as np
import pytest
from plans import BERT_BASE, MINILM, QWEN, QWEN_7B, facts

from fewtune.base.amounts import bytes_of, seconds_of, told_bytes
from fewtune.base.errors import UsageError
from fewtune.choose.cost import seconds_of as seconds_of_fit
from fewtune.choose.cost import work_of
from fewtune.choose.fit import (
    cached_states,
    fitted,
    freezing_depth,
    frozen_count,
    quantised,
    step_of,
)
from fewtune.choose.memory import predict
from fewtune.methods import parse
from fewtune.train.options import TrainOptions

TRAIN = TrainOptions(max_steps=10)
SMALLEST = TrainOptions(
    max_steps=10,
    per_device_train_batch_size=1,
    gradient_accumulation_steps=16,
    gradient_checkpointing=True,
)


def fit(case, name, train=TRAIN):
    return fitted(case, case.methods[name], case.counts[name], train, 0)


def tightened(case, name, share):
    """The case with a share of the memory that the method would take."""
    need = fit(replace(case, hardware=replace(case.hardware, memory=2**50)), name).bytes
    memory = int(need * share)
    return replace(case, hardware=replace(case.hardware, memory=memory)), need


def test_what_fits_is_left_alone():
    found = fit(facts(memory=16), "full")
    assert found.fits
    assert found.train == {}
    assert found.told == ()


def test_the_batch_is_halved_first_and_the_effective_batch_kept():
    long = facts(QWEN, rows=200, bf16=True)
    long = replace(long, lengths=long.lengths * 20)
    case, need = tightened(long, "lora", 0.8)
    found = fit(case, "lora")
    assert found.fits
    assert found.bytes <= case.hardware.memory < need
    rows = found.train["per_device_train_batch_size"]
    assert rows < 16
    assert rows * found.train["gradient_accumulation_steps"] == 16
    assert "gradient_checkpointing" not in found.train
    assert "same batch of 16" in found.told[0]


def every_way(case, name, train=TRAIN):
    """(rows in a pass, checkpointing) -> bytes and seconds of all ways to take the step."""
    method, count, free = case.methods[name], case.counts[name], with_memory(case, 2**50)
    whole, found = train.per_device_train_batch_size, {}
    for rows in (rows for rows in range(1, whole + 1) if whole % rows == 0):
        for again in (False, True):
            cut = train.model_copy(
                update={
                    "per_device_train_batch_size": rows,
                    "gradient_accumulation_steps": whole // rows,
                    "gradient_checkpointing": again,
                }
            )
            time = seconds_of_fit(method, count, case.shape, work_of(case, cut), case.timings)
            found[rows, again] = fit(free, name, cut).bytes, time.total
    return found


def with_cache(cached, steps=10):
    return TRAIN.model_copy(update={"cache_trunk": cached, "max_steps": steps})


def taken(found, train=TRAIN):
    cut = train.model_copy(update=found.train)
    return cut.per_device_train_batch_size, cut.gradient_checkpointing


def test_checkpointing_comes_after_the_batch_and_takes_the_largest_that_fits():
    long = facts(QWEN, rows=200, bf16=True)
    long = replace(long, lengths=long.lengths * 40)
    found = every_way(long, "lora")
    room = int(found[1, False][0] * 0.97)  # no pass fits without it
    rows, again = taken(fit(with_memory(long, room), "lora"))
    assert again
    assert found[rows, True][0] <= room < found[2 * rows, True][0]


def test_a_whole_batch_computed_twice_comes_before_many_small_passes():
    """Accumulated gradients make one row in a pass the larger way, and the slower."""
    case = facts(rows=120)
    case = replace(case, lengths=np.full(120, 50))
    found = every_way(case, "full")
    assert found[1, True][0] > found[16, True][0]
    assert found[1, True][1] > 1.4 * found[16, True][1]
    assert taken(fit(with_memory(case, found[16, True][0]), "full")) == (16, True)


@pytest.mark.parametrize("name", ["full", "lora", "freeze"])
@pytest.mark.parametrize("length", [1, 20])
def test_no_way_is_taken_that_another_beats_and_what_can_fit_fits(name, length):
    case = facts(QWEN if length > 1 else MINILM, rows=100)
    case = replace(case, lengths=case.lengths * length)
    found = {
        (*way, cached): price
        for cached in ((True, False) if case.counts[name].lowest else (True,))
        for way, price in every_way(case, name, with_cache(cached)).items()
    }
    for room in sorted(size for size, _ in found.values()):
        fitting = {way: price for way, price in found.items() if price[0] <= room}
        chosen = fit(with_memory(case, room), name)
        assert chosen.fits
        assert not chosen.layers
        way = *taken(chosen), chosen.train.get("cache_trunk", True)
        size, seconds = fitting[way]
        assert chosen.bytes == size
        for (rows, *_), (less, sooner) in fitting.items():
            assert rows < way[0] or less >= size or sooner >= seconds
    assert not fit(with_memory(case, min(found.values())[0] // 2), name).fits


def test_without_timings_the_order_alone_decides():
    case = replace(facts(rows=120), timings=None)
    case = replace(case, lengths=case.lengths * 10)
    found = fit(with_memory(case, fit(with_memory(case, 2**50), "full").bytes - 1), "full")
    assert taken(found) == (8, False)
    assert len(found.told) == 1
    assert found.slower is None


def test_a_batch_of_one_row_has_no_smaller_one_and_is_computed_twice():
    long = facts(QWEN, rows=200, bf16=True)
    long = replace(long, lengths=long.lengths * 40)
    one = TRAIN.model_copy(update={"per_device_train_batch_size": 1})
    alone = fit(with_memory(long, 2**50), "lora", one).bytes
    found = fit(with_memory(long, int(alone * 0.97)), "lora", one)
    assert found.fits
    assert found.train == {"gradient_checkpointing": True}
    assert found.told[0].endswith("activations computed twice.")
    assert found.told[1] == "That takes 1.5 times the time."
    assert "in a pass" not in found.told[0]


def test_what_a_change_costs_is_told_of_all_of_it():
    case = replace(facts(rows=120), lengths=np.full(120, 60))
    found = every_way(case, "lora")
    smallest = min(found.values())[0]
    told = fit(with_memory(case, smallest), "lora")
    times = found[taken(told)][1] / found[16, False][1]
    assert told.slower == pytest.approx(times)
    assert told.told[-1] == f"That takes {times:.2g} times the time."


def least(case, depth):
    """What training the last blocks takes in passes of one row."""
    method = parse("freeze", {"layers": depth})
    step = step_of(case, method, frozen_count(case, depth), SMALLEST)
    return predict(case.shape, step).total


def with_memory(case, memory):
    return replace(case, hardware=replace(case.hardware, memory=memory))


def test_freeze_trains_fewer_blocks_where_two_are_too_many():
    case = facts(QWEN, rows=200)
    case = with_memory(case, (least(case, 1) + least(case, 2)) // 2)
    found = fit(case, "freeze")
    assert found.fits
    assert found.layers == 1
    assert "last block of 24" in found.told[0]


def test_where_full_does_not_fit_the_depth_that_does_is_named():
    case = facts(QWEN, rows=200)
    case = with_memory(case, (least(case, 3) + least(case, 4)) // 2)
    found = fit(case, "full")
    assert not found.fits
    assert "`freeze` with --layers 3" in found.told[-1]
    assert told_bytes(found.bytes) in found.told[0]
    assert freezing_depth(with_memory(case, least(case, 1) // 2), SMALLEST) == 0


def test_where_only_a_quantised_base_would_fit_the_plan_says_so_with_the_number():
    case = facts(QWEN_7B, rows=1_000, memory=16, bf16=True)
    found = fit(case, "lora")
    assert not found.fits
    step = step_of(case, case.methods["lora"], case.counts["lora"], SMALLEST)
    needed = quantised(case, step)
    assert needed < case.hardware.memory < found.bytes
    assert told_bytes(needed) in " ".join(found.told)
    assert "only such a one fits" in " ".join(found.told)
    tiny = fit(facts(QWEN_7B, rows=1_000, memory=4, bf16=True), "lora")
    assert "does not fit either" in " ".join(tiny.told)


def test_small_models_are_not_told_of_quantised_bases():
    found = fit(facts(MINILM, memory=0.3), "lora")
    assert not found.fits
    assert "quantised" not in " ".join(found.told)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("lora", "bfloat16"), ("lora+adapter", "bfloat16"), ("lora+ia3", "float32")],
)
def test_a_base_that_parts_are_merged_into_is_told_in_float32(name, dtype):
    case = facts(QWEN, bf16=True)
    step = step_of(case, parse(name, {}), case.counts["lora"], TRAIN)
    assert (step.dtype, step.base_dtype) == ("bfloat16", dtype)


def test_the_factor_of_past_runs_counts():
    case = facts(memory=16)
    more = replace(case, hardware=replace(case.hardware, factor=1.5))
    assert fit(more, "full").bytes > 1.2 * fit(case, "full").bytes


def test_the_factor_of_past_runs_does_not_count_for_loading():
    """Runs measure from the loaded model on: where loading decides they say nothing of it."""
    case = facts(QWEN_7B, rows=200, memory=24, bf16=True)
    less = replace(case, hardware=replace(case.hardware, factor=0.72))
    found = fit(less, "lora")
    assert found.memory.loading > found.memory.fit
    assert not found.fits
    assert found.bytes == found.memory.loading + found.memory.process
    more = fit(replace(case, hardware=replace(case.hardware, factor=3.0)), "lora")
    assert more.bytes == 3 * more.memory.fit + more.memory.process > found.bytes


def test_the_attention_kernel_is_the_users_or_the_one_that_was_timed():
    case = facts(memory=16)
    case = replace(case, lengths=case.lengths * 10)

    def kernel(case, device, **more):
        case = replace(case, hardware=replace(case.hardware, device=device), **more)
        return step_of(case, case.methods["full"], case.counts["full"], TRAIN).attention

    assert [kernel(case, device) for device in ("cpu", "cuda")] == ["eager", "sdpa"]
    assert kernel(case, "cpu", attention="sdpa") == "sdpa"
    assert kernel(case, "cuda", attention="eager") == "eager"
    timed = replace(case.timings, attention="eager")
    assert kernel(case, "cuda", timings=timed) == "eager"
    less = fit(replace(case, attention="sdpa"), "full")
    assert less.bytes < fit(case, "full").bytes


def test_a_gpu_does_not_hold_the_process():
    case = facts(memory=16)
    gpu = replace(case, hardware=replace(case.hardware, device="cuda"))
    assert fit(gpu, "lora").bytes < fit(case, "lora").bytes


@pytest.mark.parametrize("told", ["", "much", "12", "-1GB", "0GB", "5ib", "24 GBB", "GB"])
def test_a_size_that_is_none_is_refused(told):
    with pytest.raises(UsageError, match="a size such as 24GB"):
        bytes_of(told)


@pytest.mark.parametrize(
    ("told", "size"),
    [("24GB", 24 * 10**9), ("24gib", 24 * 2**30), ("800 MB", 8 * 10**8), ("１６ＧＢ", 16 * 10**9)],
)
def test_sizes_are_read_as_people_write_them(told, size):
    assert bytes_of(told) == size


@pytest.mark.parametrize("told", ["", "soon", "0", "10x", "-5m"])
def test_a_time_that_is_none_is_refused(told):
    with pytest.raises(UsageError, match="a time such as 90s"):
        seconds_of(told)


@pytest.mark.parametrize(("rows", "times"), [(6, 1), (10, 3), (7, 1)])
def test_passes_make_up_the_batch_whatever_its_size(rows, times):
    given = TRAIN.model_copy(
        update={"per_device_train_batch_size": rows, "gradient_accumulation_steps": times}
    )
    long = facts(QWEN, rows=200)
    long = replace(long, lengths=long.lengths * 40)
    cut = fit(with_memory(long, 0), "lora", given).train
    assert (cut["per_device_train_batch_size"], cut["gradient_accumulation_steps"]) == (
        1,
        rows * times,
    )
    half = max(k for k in range(1, rows) if rows % k == 0)
    need = fit(with_memory(long, 2**50), "lora", given).bytes
    found = fit(with_memory(long, need - 1), "lora", given)
    assert found.fits
    assert found.train["per_device_train_batch_size"] == half
    assert half * found.train["gradient_accumulation_steps"] == rows * times


def test_checkpointing_is_not_proposed_where_it_would_be_refused():
    whole = facts(QWEN, rows=200)
    for case, name, proposed in (
        (whole, "lora", True),
        (whole, "prefix", False),
        (facts(MINILM | {"model_type": "mpnet"}), "full", False),
    ):
        need = fit(with_memory(case, 2**50), name).bytes
        rooms = [need * share // 100 for share in range(100, 0, -1)]
        found = [fit(with_memory(case, room), name) for room in rooms]
        assert any(one.train.get("gradient_checkpointing", False) for one in found) == proposed
        assert any("per_device_train_batch_size" in one.train for one in found)


def test_without_the_cache_frozen_blocks_keep_nothing_for_gradients():
    case = facts(BERT_BASE, rows=200)
    case = replace(case, lengths=np.full(200, 200))
    cached, uncached, full = (
        fit(case, name, with_cache(cache)).memory
        for name, cache in (("freeze", True), ("freeze", False), ("full", False))
    )
    assert (cached.cache > 0, uncached.cache) == (True, 0)
    assert uncached.activations == cached.activations < full.activations / 3


def test_where_the_cache_of_frozen_blocks_is_too_large_they_run_at_every_step():
    case = facts(BERT_BASE, rows=8_000, memory=8)
    case = replace(case, lengths=np.full(8_000, 400))
    train = with_cache(True, steps=4_000)
    found = fit(case, "freeze", train)
    assert found.fits
    assert found.train == {"cache_trunk": False}
    assert found.told[0] == "to fit into 8.0 GiB, frozen blocks run at every step instead of once."
    assert found.slower > 1.3
    less = fit(
        with_memory(case, found.bytes - 1), "freeze", train
    )  # smaller passes are of no use alone
    assert less.train["cache_trunk"] is False
    assert less.train["per_device_train_batch_size"] < 16
    assert "cache_trunk" not in fit(with_memory(case, 0), "lora").train
    gpu = replace(case, hardware=replace(case.hardware, device="cuda"))  # where it holds no cache
    assert "cache_trunk" not in fit(with_memory(gpu, 2 * 2**30), "freeze", train).train


def test_of_a_head_alone_one_state_a_row_is_stored():
    lengths = np.array([3, 5, 7])
    assert cached_states(lengths, first=0, layers=6, writes=False) == 0
    assert cached_states(lengths, first=2, layers=6, writes=False) == 15
    assert cached_states(lengths, first=6, layers=6, writes=False) == 3
    assert cached_states(lengths, first=6, layers=6, writes=True) == 15
