"""The same journey on a CUDA device; skipped, with the reason, where there is none."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fewtune

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from tiny_models import WORDS, build_speaker

pytestmark = pytest.mark.gpu
ROWS = 96


@pytest.fixture(autouse=True)
def needs_cuda():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA device")


@pytest.fixture
def table(tmp_path):
    words = {"pump": "cavitates and rattles", "motor": "winding hot, trips", "plc": "lost its link"}
    path = tmp_path / "rows.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(ROWS):
            label = sorted(words)[number % 3]
            writer.writerow([f"unit {number}: {words[label]} at {number % 7} bar", label])
    return path


@pytest.mark.parametrize(
    "method", ["full", "lora", "adapter", "freeze", "prefix", "prompt", "probe"]
)
def test_a_method_trains_on_cuda_and_answers_alike_on_the_cpu(method, table, tmp_path):
    run = fewtune.train(
        table, method=method, device="cuda", output=str(tmp_path / "run"), max_steps=20
    )
    assert run.scores["test"]["accuracy"]["value"] > 0.5
    on_gpu = [one["prediction"] for one in run.folder.predictions]
    texts = [one["text"] for one in run.folder.predictions]
    from fewtune.methods.predictor import load_predictor

    predictor = load_predictor(run.folder.model, device="cpu", bf16=False)
    labels = predictor.about.labels
    assert [labels[i] for i in predictor.probabilities(texts).argmax(1)] == on_gpu


def test_cuda_uses_bfloat16_where_it_has_it(table, tmp_path):
    import torch

    run = fewtune.train(
        table, method="full", device="cuda", output=str(tmp_path / "run"), max_steps=5
    )
    chosen = run.folder.plan["chosen"]
    assert chosen["device"] == "cuda"
    assert chosen["bf16"] == torch.cuda.is_bf16_supported(including_emulation=False)


def test_a_race_on_cuda_chooses_and_scores_every_row(table, tmp_path):
    run = fewtune.train(
        table, device="cuda", output=str(tmp_path / "run"), budget="40s", folds=3, max_steps=20
    )
    assert run.scores["test"]["accuracy"]["value"] > 0.5
    assert run.folder.plan["chosen"]["race"]["winner"] == run.scores["method"]


def test_pissa_is_saved_from_cuda(table, tmp_path):
    run = fewtune.train(
        table, method="lora", init_lora_weights="pissa", device="cuda", max_steps=5,
        output=str(tmp_path / "run"),
    )  # fmt: skip
    assert run.predict(["unit 3: winding hot, trips at 2 bar"])[0]["prediction"]


def test_methods_are_compared_and_planned_on_cuda(table, tmp_path):
    told = fewtune.compare(
        table, methods="probe,lora,full", folds=2, device="cuda", max_steps=5,
        output=str(tmp_path / "compared"),
    )  # fmt: skip
    assert {one["name"] for one in told["methods"]} == {"probe", "lora", "full"}
    plan = fewtune.plan(table, device="cuda")
    assert plan["hardware"]["device"] == "cuda"


@pytest.fixture
def speaker(tmp_path):
    build_speaker("qwen2", tmp_path / "speaker", max_position_embeddings=256)
    return str(tmp_path / "speaker")


@pytest.fixture
def dialogues(tmp_path):
    rows = []
    for k in range(48):
        words = [WORDS[(7 * k + 3 * j) % len(WORDS)] for j in range(5)]
        rows.append({"instruction": " ".join(words), "output": f"{words[0]} is {words[1]}"})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("method", ["lora", "full", "prefix"])
def test_a_language_model_learns_to_answer_on_cuda(method, speaker, dialogues, tmp_path):
    run = fewtune.train(
        dialogues, model=speaker, method=method, device="cuda", output=str(tmp_path / "run"),
        max_steps=6, answered_rows=4, max_new_tokens=6, bootstrap=100,
    )  # fmt: skip
    assert np.isfinite(run.scores["test"]["loss"]["value"])
    assert len(run.generate(["valve is"], max_new_tokens=4)) == 1


def test_a_stopped_run_goes_on_to_the_same_weights_on_cuda(table, tmp_path, monkeypatch):
    from fewtune.base.errors import Interrupted
    from fewtune.methods.predictor import load_predictor
    from fewtune.train import loop

    given = {"method": "full", "device": "cuda", "attention": "eager", "max_steps": 8}
    whole = fewtune.train(table, output=str(tmp_path / "whole"), **given)
    steps = []

    def after_four(fit, step, saved):
        steps.append(step)
        if step == 4:
            raise Interrupted("stopped for the test")
        return step == 3

    monkeypatch.setattr(loop, "_save_now", after_four)
    with pytest.raises(Interrupted):
        fewtune.train(table, output=str(tmp_path / "parts"), **given)
    monkeypatch.undo()
    parts = fewtune.resume(str(tmp_path / "parts"))
    texts = ["unit 1: winding hot, trips at 1 bar", "unit 2: lost its link at 2 bar"]
    answers = [
        load_predictor(run.folder.model, device="cpu", bf16=False).probabilities(texts)
        for run in (whole, parts)
    ]
    np.testing.assert_array_equal(*answers)


def test_memory_that_is_told_is_kept_on_cuda(table, tmp_path):
    run = fewtune.train(
        table, method="full", device="cuda", memory="1GB", output=str(tmp_path / "run"), max_steps=5
    )
    assert run.scores["memory"]["measured"] <= 10**9
