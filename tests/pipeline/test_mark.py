"""What tells one job from another, whichever version of the program looks."""

from dataclasses import replace

import pytest
from jobs import write_csv
from tiny_models import TINY, build

from fewtune.base.options import option
from fewtune.data.columns import Role
from fewtune.data.load import load
from fewtune.pipeline.job import make_job, method_of
from fewtune.pipeline.mark import changed, inputs_of, mark_of
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


def test_what_recipes_read_belongs_to_the_job(tmp_path):
    build(TINY["bert"], tmp_path / "bert")
    for name in ("words.csv", "kept.txt"):
        (tmp_path / name).write_text("pump,blower\n", encoding="utf-8")
    rows = write_csv(tmp_path / "rows.csv", [(f"text {k}", "ab"[k % 2]) for k in range(20)])
    own = {
        "lexicon": str(tmp_path / "words.csv"),
        "protect": str(tmp_path / "kept.txt"),
        "translators": f"{tmp_path / 'bert'},some/model",
        "augment_model": str(tmp_path / "bert"),
    }

    def inputs(**options):
        job = make_job(rows, {"method": "lora", "task": "classify", **options})
        data = load(rows, (Role("text"), Role("label")), job.data, 0)
        return inputs_of(job, data, method_of(job), None)

    before = inputs(augment="synonym", **own)
    assert set(before) - set(inputs(**own)) == {
        str(tmp_path / name) for name in ("words.csv", "kept.txt", "bert")
    }
    with open(own["lexicon"], "a", encoding="utf-8") as file:
        file.write("lamp,light\n")
    (tmp_path / "bert" / "config.json").write_text("{}", encoding="utf-8")
    assert set(changed({"inputs": before}, inputs(augment="synonym", **own))) == {
        own["lexicon"], own["augment_model"],
    }  # fmt: skip


def test_a_config_json_where_one_stands_is_no_input(tmp_path, monkeypatch):
    rows = write_csv(tmp_path / "rows.csv", [(f"text {k}", "ab"[k % 2]) for k in range(20)])
    job = make_job(rows, {"method": "tfidf", "task": "classify", "augment": "typing"})
    data = load(rows, (Role("text"), Role("label")), job.data, 0)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    before = inputs_of(job, data, method_of(job), None)
    monkeypatch.chdir(tmp_path)
    assert inputs_of(job, data, method_of(job), None) == before
