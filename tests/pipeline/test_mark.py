"""What tells one job from another, whichever version of the program looks."""

from dataclasses import replace

import pytest

from fewtune.base.options import option
from fewtune.pipeline.job import make_job, method_of
from fewtune.pipeline.mark import mark_of
from fewtune.train.options import TrainOptions

INPUTS = {"a.csv": "f00d"}


def mark(inputs=INPUTS, **options):
    job = make_job("a.csv", {"method": "lora+bitfit", **options})
    return mark_of(job, method_of(job), inputs)


class LaterOptions(TrainOptions):
    """Those of a version that knows one more."""

    patience_of_saints: float = option(0.5, "how long to wait")


@pytest.mark.parametrize(("value", "same"), [(0.5, True), (0.6, False)])
def test_an_option_added_later_tells_jobs_apart_where_it_is_not_at_its_default(value, same):
    job = make_job("a.csv", {"method": "lora", "learning_rate": 1e-3})
    later = LaterOptions(**job.train.model_dump(), patience_of_saints=value)
    after = mark_of(replace(job, train=later), method_of(job), INPUTS)
    assert (after == mark_of(job, method_of(job), INPUTS)) == same


def test_the_same_job_has_the_same_mark_wherever_it_goes():
    assert mark(seed=1) == mark(output="runs/elsewhere", again=True, seed="1")


@pytest.mark.parametrize(
    "other",
    [
        {"method": "bitfit"},
        {"lora_r": 4},  # of one part of a hybrid
        {"seed": 1},
        {"learning_rate": 1e-4},
        {"map": {"a": "b"}},
        {"inputs": {"a.csv": "beef"}},
    ],
)
def test_another_job_has_another_mark(other):
    assert mark(**other) != mark()
