"""The same journey on a CUDA device; skipped, with the reason, where there is none."""

import csv

import pytest

import fewtune

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
