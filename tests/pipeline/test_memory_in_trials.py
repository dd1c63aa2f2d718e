"""Where memory runs out in a race, a comparison or a saved model's answers, somebody is told."""

import json
from dataclasses import replace

import pytest
import torch

import fewtune
from fewtune.cli import main
from fewtune.models import ladder
from fewtune.models.batches import Encoded
from fewtune.pipeline import contenders
from fewtune.record.folder import RunFolder
from fewtune.train.answers import AnswerRows
from fewtune.train.work import WholeRows

RUNG = {"pieces": 4, "recompute": False}
AGAIN = (
    "memory ran out in an earlier fit of this method: from the first step on passes go through in "
    "4 pieces, and the batch stays as it was."
)


def small(monkeypatch, work, most, roomy=lambda model: False):
    """A device on which no more rows than `most` train at once, but for roomy models."""
    usual = work.loss

    def loss(self, rows):
        if len(rows) > most and not roomy(self.model):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return usual(self, rows)

    monkeypatch.setattr(work, "loss", loss)


def trains_little(model):
    """Whether the embeddings stay as they are: not so of `full`."""
    return not next(model.backbone.parameters()).requires_grad


def race_of(monkeypatch, *names, winner):
    """Only these methods run, with their defaults; nobody leaves, and this one wins."""

    def candidates(ranked, **options):
        return [replace(one, options={}) for one in ranked if one.method in names]

    monkeypatch.setattr(contenders, "candidates", candidates)
    monkeypatch.setattr("fewtune.trials.race.LEVEL", 0.0)
    for room in ("race", "choosing"):
        monkeypatch.setattr(f"fewtune.trials.{room}.choose", lambda *_, **__: winner)


def warned(events):
    return [event["message"] for event in events if event.name == "warned"]


def test_memory_that_runs_out_in_a_fold_is_told_with_the_candidates_name(train, monkeypatch):
    small(monkeypatch, WholeRows, 4)
    race_of(monkeypatch, "probe", "full", winner="full")
    events = []
    run = train(method="auto", folds=3, budget="20m", learning_curve=False, listen=events.append)
    told = [one for one in warned(events) if "memory" in one]
    assert told[0].startswith("full: memory ran out at step 1: from here on ")
    # the folds after the first, and the fit to all rows, begin where the first fold arrived
    assert told[2:] == [f"full: {AGAIN}", AGAIN]
    names = [event.name for event in events]
    assert "laddered" not in names
    assert run.scores["memory"]["rung"] == RUNG
    assert set(told) <= set(run.scores["warnings"])
    page = (run.folder.path / "report.html").read_text("utf-8")
    assert all(one in page for one in told)


class Killed(Exception):
    """The process is gone."""


def test_a_race_that_is_killed_keeps_the_rung_on_which_its_fold_stood(train, monkeypatch, tmp_path):
    def listen(event):
        if event.name == "trial" and event["trial"] == "full":
            raise Killed

    small(monkeypatch, WholeRows, 4)
    race_of(monkeypatch, "probe", "full", winner="full")
    with pytest.raises(Killed):
        train("r", method="auto", folds=3, budget="20m", learning_curve=False, listen=listen)
    assert RunFolder.open(tmp_path / "r").plan["chosen"]["ladder"] == {"full, 16 rows": RUNG}


def test_another_method_does_not_begin_where_one_ran_out_of_memory(train, monkeypatch):
    small(monkeypatch, WholeRows, 4, roomy=trains_little)
    race_of(monkeypatch, "full", "lora", winner="lora")
    events = []
    run = train(method="auto", folds=3, budget="20m", learning_curve=False, listen=events.append)
    assert run.scores["method"] == "lora"
    told = [one for one in warned(events) if "memory" in one]
    assert f"full: {AGAIN}" in told
    assert all(one.startswith("full: ") for one in told)
    assert run.scores["memory"]["rung"] is None
    (rungs,) = run.folder.plan["chosen"]["ladder"].items()
    assert rungs == ("full, 16 rows", RUNG)


def test_a_comparison_tells_it_as_events_and_in_its_notes(files, tmp_path, monkeypatch):
    small(monkeypatch, WholeRows, 4, roomy=trains_little)
    events = []
    given = {"methods": "full,lora", "max_steps": 2, "bootstrap": 100, "folds": 2, "seeds": 1}
    told = fewtune.compare(
        files["train"], model=files["model"], test=files["test"], attention="eager",
        output=str(tmp_path / "table"), listen=events.append, **given,
    )  # fmt: skip
    lines = [one for one in warned(events) if "memory" in one]
    assert lines[0].startswith("full: memory ran out at step 1: from here on ")
    assert lines[2:] == [f"full: {AGAIN}"]
    assert [one for one in told["notes"] if "memory" in one] == lines
    assert lines[0] in (tmp_path / "table" / "report.html").read_text("utf-8")


def test_candidates_that_learn_to_answer_tell_it_too(speaker, reports, tmp_path, monkeypatch):
    small(monkeypatch, AnswerRows, 2)
    given = {"methods": "lora", "lora_r": 2, "max_steps": 2, "bootstrap": 100, "folds": 2}
    told = fewtune.compare(
        reports, model=speaker, attention="eager", output=str(tmp_path / "table"), seeds=1,
        answered_rows=1, per_device_train_batch_size=4, **given,
    )  # fmt: skip
    (first, _) = (one for one in told["notes"] if "memory" in one)
    assert first.startswith("lora: memory ran out at step 1: from here on 2 rows go through")


def test_a_race_for_answers_tells_it_too(teach, monkeypatch):
    small(monkeypatch, AnswerRows, 2)
    race_of(monkeypatch, "lora", winner="lora")
    events = []
    run = teach(
        method="auto",
        folds=2,
        budget="20m",
        learning_rate=None,
        lora_r=None,
        learning_curve=False,
        listen=events.append,
    )
    (first, *others) = (one for one in warned(events) if "memory" in one)
    assert first.startswith("lora: memory ran out at step 1: from here on 2 rows go through")
    again = AGAIN.replace("4 pieces", "2 pieces")
    assert others == [f"lora: {again}", again]
    assert again in run.scores["warnings"]


@pytest.fixture
def read_in_fours(monkeypatch, finished):
    """A device on which no more than four rows of a file are read at once, as nobody knows yet."""
    ladder.begin(None, "cpu")
    usual = Encoded.batch

    def batch(self, rows):
        if len(rows) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return usual(self, rows)

    monkeypatch.setattr(Encoded, "batch", batch)
    yield
    ladder.begin(None, "cpu")


def test_evaluating_a_saved_model_notes_it(finished, files, read_in_fours):
    notes = fewtune.evaluate(finished, files["test"])["notes"]
    assert "memory ran out in evaluation: from here on 4 rows go through at once" in notes[-1]


def test_predicting_from_a_file_says_it_on_stderr(finished, files, tmp_path, read_in_fours, capsys):
    words = ["predict", str(finished.folder.path), files["test"], "--json"]
    with pytest.raises(SystemExit):
        main([*words, "--output", str(tmp_path / "found.csv")])
    out, err = capsys.readouterr()
    assert "memory ran out in evaluation: from here on 4 rows" in " ".join(err.split())
    assert "from here on 4 rows" in json.loads(out)["notes"][-1]
