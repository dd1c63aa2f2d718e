"""The time of a fit follows from timed passes and the lengths of the rows."""

from dataclasses import replace

import numpy as np
import pytest
from plans import MINILM, TIMINGS, counts

from fewtune.choose.cost import (
    Curve,
    Work,
    computed,
    fitted_curve,
    operations,
    seconds_of,
)
from fewtune.methods import METHODS, parse
from fewtune.methods.count import Count
from fewtune.models.shape import shape_of

SHAPE = shape_of(MINILM)
COUNTS = counts(SHAPE, 10)
WORK = Work(np.full(320, 16), 10, 0.0, batch=16, accumulation=1, steps=20)
EXACT = replace(
    TIMINGS, full=Curve(0, 1e-11), adapter=Curve(0, 1e-11), lora=Curve(0, 1e-11), optimiser=0.0
)


def seconds(name, work=WORK, timings=EXACT, count=None):
    method = parse(name, {})
    return seconds_of(method, count or COUNTS[name], SHAPE, work, timings)


def test_a_forward_pass_multiplies_every_token_with_every_matrix():
    found = operations(SHAPE, np.array([16]), np.array([1]))[0]
    assert found == pytest.approx(2 * 16 * SHAPE.layers * SHAPE.block_matrices, rel=1e-3)
    longer = operations(SHAPE, np.array([16]), np.array([512]))[0]
    assert longer > 512 * found  # attention grows with the square


def test_all_weights_cost_six_operations_a_token_and_added_parts_four():
    full, lora = seconds("full").steps, seconds("lora").steps
    forward = operations(SHAPE, np.array([16]), np.array([16]))[0] * 1e-11
    assert full == pytest.approx(20 * 3 * forward)
    assert lora == pytest.approx(20 * 2 * forward)


def test_frozen_blocks_run_once_and_not_at_every_step():
    freeze = seconds("freeze")
    assert freeze.steps == pytest.approx(seconds("full").steps * 2 / 6)
    assert 0 < freeze.trunk < freeze.steps
    uncached = seconds("freeze", replace(WORK, caches=False))
    assert uncached.trunk == 0
    below = seconds("full").steps / 3 * 4 / 6  # forward alone: nothing goes back through them
    assert uncached.steps == pytest.approx(freeze.steps + below)


def test_a_head_alone_costs_the_frozen_pass_and_next_to_nothing_a_step():
    alone = seconds("freeze", count=Count(3850, 10**7, SHAPE.layers))
    assert alone.steps < 0.1
    assert alone.trunk == pytest.approx(
        float(operations(SHAPE, np.array([64]), np.array([16]))[0]) * 5 * 1e-11
    )


def test_the_probe_takes_no_step_and_tfidf_needs_no_model():
    assert seconds("probe").steps == 0
    assert seconds("probe").total > 0
    assert seconds("tfidf", count=Count()).total < 1


def test_time_grows_with_steps_and_the_real_lengths():
    twice = seconds("lora", replace(WORK, steps=40))
    assert twice.steps == pytest.approx(2 * seconds("lora").steps)
    mixed = replace(WORK, lengths=np.array([4] * 160 + [28] * 160))  # the same mean
    ratio = seconds("lora", mixed).steps / seconds("lora").steps
    assert 1 <= ratio < 1.1  # rows of like length share a batch, so little is padded


def test_smaller_passes_of_the_same_batch_pay_the_fixed_part_again():
    timings = replace(EXACT, lora=Curve(0.02, 1e-11))
    whole = seconds("lora", timings=timings).steps
    halves = seconds("lora", replace(WORK, batch=8, accumulation=2), timings=timings).steps
    assert halves - whole == pytest.approx(20 * 0.02)


def test_checkpointing_costs_another_forward_pass():
    again = seconds("lora", replace(WORK, checkpointing=True)).steps
    assert again == pytest.approx(seconds("lora").steps * 3 / 2)
    fixed = replace(EXACT, full=Curve(0.3, 0.0))  # its small operations are repeated as well
    twice = seconds("full", replace(WORK, checkpointing=True), fixed).steps
    assert twice == pytest.approx(seconds("full", timings=fixed).steps * 4 / 3)


def test_virtual_tokens_are_tokens():
    prompt = seconds("prompt").steps
    assert prompt > 2 * seconds("ia3").steps * 0.9  # 20 more on 16
    assert seconds("prefix").steps < prompt  # keys and values only


def test_a_language_model_pays_for_its_head_at_learned_tokens_only():
    writes = replace(WORK, classes=None, learned=4.0)
    less = replace(WORK, classes=None, learned=1.0)
    assert seconds("lora", writes).steps > seconds("lora", less).steps > seconds("lora").steps
    assert seconds("lora", writes).probe == 0


@pytest.mark.parametrize(("name", "passes"), [("freeze", 2), ("adapter", 2), ("full", 3)])
def test_a_language_models_head_runs_whole_however_few_blocks_do(name, passes):
    writes = replace(WORK, classes=None, learned=4.0)
    head = seconds(name, writes).steps - seconds(name, replace(writes, learned=0.0)).steps
    products = 20 * 2 * 16 * 4 * SHAPE.width * SHAPE.vocabulary * 1e-11
    assert head == pytest.approx(passes * products)
    again = replace(writes, checkpointing=True)
    twice = seconds(name, again).steps - seconds(name, replace(again, learned=0.0)).steps
    assert twice == pytest.approx(head)


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.needs_steps])
def test_every_method_has_a_time(name):
    found = seconds(name, timings=TIMINGS)
    assert found.total > 0
    assert np.isfinite(found.total)


def test_a_hybrid_is_dearer_than_its_parts():
    both = seconds("lora+adapter", count=COUNTS["lora"], timings=TIMINGS).steps
    assert both > seconds("adapter", timings=TIMINGS).steps


def test_a_line_through_noise_never_promises_negative_time():
    assert fitted_curve([(1e9, 0.02), (2e9, 0.01)]) == Curve(0.0, pytest.approx(8e-12))
    assert fitted_curve([(1e9, 0.01), (3e9, 0.09)]).fixed == 0.0
    line = fitted_curve([(1e9, 0.03), (2e9, 0.04), (4e9, 0.06)])
    assert line.fixed == pytest.approx(0.02)


def test_timings_of_a_rate_alone():
    found = computed(1e12, 1e10, "computed", "a note.")
    assert found.full(np.array(2e12)) == pytest.approx(2.0)
    assert found.optimiser == pytest.approx(2.8e-9)
    assert found.how == "computed"


def test_on_an_assumed_gpu_a_pass_costs_time_however_small_it_is():
    card = computed(4e13, 5e11, "assumed", "a note.", forward=6 * 3e-4)
    assert card.forward(np.array(0.0)) == pytest.approx(1.8e-3)
    assert card.full(np.array(0.0)) == card.adapter(np.array(0.0)) == pytest.approx(5.4e-3)
    found = {name: seconds(name, timings=card).steps for name in ("full", "lora", "freeze")}
    assert found["full"] > 0.1  # 20 steps of 6 blocks
    assert found["lora"] > 1.2 * found["full"] > 2.4 * found["freeze"]
    cut = seconds("full", replace(WORK, batch=1, accumulation=16), card).steps
    assert cut > 10 * seconds("full", timings=card).steps


def test_on_a_gpu_more_rows_cost_at_least_what_their_products_do():
    falls = fitted_curve([(1e9, 5.2e-3), (4e9, 5.1e-3)], floor=1e-14)
    assert falls.each == 1e-14
    assert falls(np.array(2e9)) == pytest.approx(5.15e-3, rel=0.01)
    grows = [(1e12, 0.02), (3e12, 0.04)]
    assert fitted_curve(grows, floor=1e-15) == fitted_curve(grows)
