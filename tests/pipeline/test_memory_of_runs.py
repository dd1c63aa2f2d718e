"""A run writes down what memory it was told to take, what it took, and what it did without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fewtune
from fewtune.base.errors import UsageError
from fewtune.models import ladder
from fewtune.pipeline.job import make_job
from fewtune.pipeline.order import resume, start
from fewtune.train.work import WholeRows

Train = Callable[..., fewtune.Run]


def test_scores_say_what_was_predicted_and_measured(finished: fewtune.Run) -> None:
    told = finished.scores["memory"]
    predicted = told["predicted"]
    assert predicted["weights"] >= 4 * finished.scores["total_parameters"]
    assert predicted["gradients"] == 4 * finished.scores["trainable_parameters"]
    assert predicted["optimiser"] == 2 * predicted["gradients"]
    assert predicted["peak"] < finished.scores["peak_memory_bytes"]
    assert 0 <= told["measured"] < finished.scores["peak_memory_bytes"]
    assert (told["device"], told["limited"], told["rung"]) == ("cpu", False, None)


def test_the_report_says_it_beside_the_other_costs(finished: fewtune.Run) -> None:
    page = (finished.folder.path / "report.html").read_text("utf-8")
    assert "memory of the training" in page


def test_a_run_that_ran_out_of_memory_is_told_so_everywhere(
    train: Train, four_rows_fit: list[int]
) -> None:
    run = train(max_steps=3)
    assert max(four_rows_fit) == 4
    names = [event.name for event in run.folder.events]
    assert names.count("laddered") == 2
    rung = {"pieces": 4, "recompute": False}
    assert run.folder.plan["chosen"]["ladder"] == {"full, 16 rows": rung}
    assert run.scores["memory"]["rung"] == rung
    (last,) = [one for one in run.scores["warnings"] if "4 rows go through" in one]
    assert last in (run.folder.path / "report.html").read_text("utf-8").replace("&#39;", "'")


def test_a_run_in_pieces_scores_as_one_in_whole_passes(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("whole", max_steps=4, bf16=False)
    usual = WholeRows.loss

    def loss(self: Any, rows: Any) -> Any:
        if len(rows) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return usual(self, rows)

    monkeypatch.setattr(WholeRows, "loss", loss)
    cut = train("cut", max_steps=4, bf16=False)
    steps = [[e["loss"] for e in run.folder.events if e.name == "step"] for run in (whole, cut)]
    assert steps[1] == pytest.approx(steps[0], rel=1e-3)


def test_a_resumed_run_begins_on_its_rung(
    files: dict[str, str], tmp_path: Path, four_rows_fit: list[int]
) -> None:
    given = {"model": files["model"], "method": "full", "max_steps": 4, "save_steps": 1}
    given |= {"attention": "eager", "bootstrap": 100, "output": str(tmp_path / "run")}
    folder, events = start(make_job(files["train"], given))
    for event in events:
        if event.name == "checkpoint" and event["step"] == 2:
            break
    events.close()  # type: ignore[attr-defined]
    folder.close()
    folder, events = resume(tmp_path / "run")
    told = list(events)
    again = [event.name for event in told]
    assert "laddered" not in again
    (warned,) = [event["message"] for event in told if event.name == "warned"]
    assert "from the first step on passes go through in 4 pieces" in warned
    assert again.count("step") == 2
    assert folder.state == "finished"


def test_what_evaluation_did_is_told_as_a_warning(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = ladder.news
    waiting = ["memory ran out in evaluation: from here on 8 rows go through at once."]

    def news() -> list[str]:
        found, waiting[:] = [*waiting, *usual()], []
        return found

    monkeypatch.setattr(ladder, "news", news)
    run = train(max_steps=1)
    assert any("in evaluation" in one for one in run.scores["warnings"])


def test_memory_is_a_size(train: Train) -> None:
    with pytest.raises(UsageError, match=r"^memory: a size such as 24GB, 24GiB or 800MB; got 'a l"):
        train(memory="a lot")


def test_a_generous_budget_changes_nothing(train: Train) -> None:
    run = train(memory="900 ＧＢ", max_steps=2)
    assert run.scores["memory"]["limited"] is True
    assert run.scores["memory"]["rung"] is None
