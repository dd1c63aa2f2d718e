"""A tiny model, small files, and runs that several tests look at."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from jobs import QUICK, SPOKEN, dialogues, jsonl, rows, write_csv
from tiny_models import TINY, build, build_speaker

import fewtune
from fewtune.train import workbench
from fewtune.train.work import WholeRows


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads only get in one another's way on matrices of 32 by 32."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workbench, "threads", lambda: 1)
        threads = torch.get_num_threads()
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths: `model` (a tiny BERT), `train` (60 rows), `test` (30 others)."""
    root = tmp_path_factory.mktemp("files")
    build(TINY["bert"], root / "bert")
    return {
        "model": str(root / "bert"),
        "train": write_csv(root / "train.csv", rows(60)),
        "test": write_csv(root / "test.csv", rows(30, seed=1)),
    }


@pytest.fixture(scope="session")
def finished(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> fewtune.Run:
    """A finished run with test and validation rows. Tests leave it as they found it."""
    return fewtune.train(
        files["train"],
        model=files["model"],
        test=files["test"],
        valid_share=0.2,
        method="full",
        output=str(tmp_path_factory.mktemp("runs") / "finished"),
        **QUICK,
    )


@pytest.fixture
def train(files: dict[str, str], tmp_path: Path) -> Callable[..., fewtune.Run]:
    """`fewtune.train` on the training file with the tiny model, quickly."""

    def call(output: str = "run", data: str | None = None, **options: Any) -> fewtune.Run:
        given = {"model": files["model"], "method": "full", "output": str(tmp_path / output)}
        return fewtune.train(data or files["train"], **(given | QUICK | options))

    return call


@pytest.fixture(scope="session")
def speaker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speaker")
    build_speaker("qwen2", folder, max_position_embeddings=256)
    return str(folder)


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    return jsonl(tmp_path_factory.mktemp("data") / "reports.jsonl", dialogues(60))


@pytest.fixture
def teach(speaker, reports, tmp_path):
    def call(output="run", data=None, **options):
        given = {"model": speaker, "method": "lora", "lora_r": 2, "learning_rate": 1e-2}
        given |= SPOKEN | {"output": str(tmp_path / output)} | options
        return fewtune.train(data or reports, **given)

    return call


@pytest.fixture(scope="session")
def taught(speaker, reports, tmp_path_factory):
    output = tmp_path_factory.mktemp("taught") / "run"
    given = {"model": speaker, "method": "lora", "lora_r": 2, "learning_rate": 1e-2}
    return fewtune.train(reports, **given, **SPOKEN, output=str(output))


@pytest.fixture
def four_rows_fit(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A device on which no more than four rows train at once; gives the rows of every pass."""
    seen: list[int] = []
    usual = WholeRows.loss

    def loss(self: Any, rows: Any) -> Any:
        if len(rows) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        seen.append(len(rows))
        return usual(self, rows)

    monkeypatch.setattr(WholeRows, "loss", loss)
    return seen
