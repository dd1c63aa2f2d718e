"""Self-training in a run: tried on folds, used only where they show a gain, replayed later."""

import csv
import json

import numpy as np
import pytest
from jobs import only, rows, write_csv

from fewtune.base.errors import UsageError
from fewtune.pipeline import extra
from fewtune.tasks.classify import Classify
from fewtune.trials import self_training


@pytest.fixture
def unlabelled(tmp_path):
    """40 new texts, 5 of the training file, and one twice."""
    texts = [text for text, _ in [*rows(40, seed=2), *rows(60)[:5]]]
    return write_csv(tmp_path / "more.csv", [(text, "") for text in [*texts, texts[0]]])


@pytest.fixture
def every_round_is_better(monkeypatch):
    """As if folds had shown a gain, which 60 rows of a tiny model cannot."""
    compared = self_training.compared

    def praised(trials, taken):
        return [line | {"better": k > 0} for k, line in enumerate(compared(trials, taken))]

    monkeypatch.setattr(self_training, "compared", praised)


def trial_of(run) -> dict:
    (trial,) = run.folder.plan["chosen"]["trials"]
    return trial


def test_without_a_gain_beyond_noise_the_rows_are_not_used(train, unlabelled):
    run = train(unlabelled=unlabelled, folds=2, max_steps=2, self_training_confidence=0.1)
    trial = trial_of(run)
    assert trial["what"] == "self-training"
    assert trial["table"][0]["name"] == "labelled rows alone"
    assert len(trial["table"]) > 1, "a round was tried"
    assert not trial["kept"]
    assert list(run.folder.learned) == []
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert "no gain beyond noise, so it is not used" in page


def test_rows_that_are_used_are_told_with_their_confidence(
    train, unlabelled, every_round_is_better
):
    plain = train(output="plain", max_steps=2)
    run = train(unlabelled=unlabelled, folds=2, max_steps=2, self_training_confidence=0.1)
    learned = list(run.folder.learned)
    assert trial_of(run)["kept"]
    assert 0 < len(learned) == run.folder.plan["chosen"]["learned"] <= 40
    for one in learned:
        assert one["recipe"] == "self-training"
        assert one["label"] in run.folder.data["labels"]
        assert 0.1 <= one["confidence"] <= 1
    known = {text for text, _ in rows(60)}
    assert not known & {one["text"] for one in learned}
    ours, theirs = (list(one.folder.predictions) for one in (run, plain))
    assert [o["origin"] for o in ours] == [t["origin"] for t in theirs], (
        "the test rows are the same"
    )
    assert any(o["probability"] != t["probability"] for o, t in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("gain", [True, False])
def test_a_race_s_temperature_is_that_of_what_is_learned(
    train, unlabelled, request, monkeypatch, gain
):
    """Chosen on the labelled rows alone, and anew on folds of the trial whose rows are learned."""
    only(monkeypatch, ["probe", "full"])
    monkeypatch.setattr("fewtune.trials.race.LEVEL", 0.0)
    for room in ("race", "choosing"):
        monkeypatch.setattr(f"fewtune.trials.{room}.choose", lambda losses, cost, *known: "full")
    if gain:
        request.getfixturevalue("every_round_is_better")
    decided = []
    decide = extra._decide_by

    def heard(run, bench, trial, more):
        decided.append((trial.temperature, run.chosen["race"]["temperature"], more))
        decide(run, bench, trial, more)

    monkeypatch.setattr(extra, "_decide_by", heard)
    run = train(
        unlabelled=unlabelled, folds=2, max_steps=2, self_training_confidence=0.1, method="auto",
        budget="20m",
    )  # fmt: skip
    ((tried, raced, more),) = decided
    assert more == gain
    assert tried not in (1.0, raced)
    assert run.folder.plan["chosen"]["race"]["temperature"] == (tried if gain else raced)


def test_a_run_that_goes_on_learns_the_same_rows_without_trying_again(
    train, unlabelled, every_round_is_better, monkeypatch
):
    given = {"unlabelled": unlabelled, "folds": 2, "max_steps": 2, "self_training_confidence": 0.1}
    first = train(**given)
    learned = list(first.folder.learned)
    before = [one["probability"] for one in first.folder.predictions]
    monkeypatch.setattr(self_training, "self_train", None)  # a call of it would fail
    (first.folder.path / "scores.json").unlink()
    again = train(**given)
    assert list(again.folder.learned) == learned
    assert [one["probability"] for one in again.folder.predictions] == before


def test_a_learned_file_that_lost_rows_stops_the_run(
    train, unlabelled, every_round_is_better, tmp_path
):
    given = {"unlabelled": unlabelled, "folds": 2, "max_steps": 2, "self_training_confidence": 0.1}
    run = train(**given)
    lines = (run.folder.path / "learned.jsonl").read_text(encoding="utf-8").splitlines()
    (run.folder.path / "learned.jsonl").write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    (run.folder.path / "scores.json").unlink()
    with pytest.raises(Exception, match=r"learned\.jsonl has"):
        train(**given)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unlabelled": "nowhere.csv"}, "unlabelled: there is no file nowhere.csv"),
        ({"unlabelled": "x.csv", "method": "tfidf"}, "no pretrained model to learn more rows with"),
    ],
)
def test_what_cannot_be_tried_is_said_before_there_is_a_folder(train, tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        train(**options)
    assert not (tmp_path / "run").exists()


def test_the_file_s_content_belongs_to_the_run_s_fingerprint(train, tmp_path, unlabelled):
    first = train(unlabelled=unlabelled, folds=2, max_steps=1, self_training_rounds=1)
    text = json.dumps(first.folder.plan)
    with open(unlabelled, "a", encoding="utf-8") as file:
        file.write("one more row,\n")
    with pytest.raises(UsageError, match=r"another run|differs|other"):
        train(unlabelled=unlabelled, folds=2, max_steps=1, self_training_rounds=1)
    assert json.dumps(first.folder.plan) == text


# --- which rows are taken ------------------------------------------------------------------------


def test_the_file_needs_no_column_of_the_slices(train, files, tmp_path, unlabelled):
    with open(files["train"], encoding="utf-8") as file:
        table = [*csv.DictReader(file)]
    data = tmp_path / "stations.csv"
    with open(data, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*table[0], "station"])
        writer.writeheader()
        writer.writerows({**one, "station": f"s{k % 2}"} for k, one in enumerate(table))
    given = {"folds": 2, "max_steps": 1, "self_training_rounds": 1}
    run = train(data=str(data), slice="station", unlabelled=unlabelled, **given)
    assert trial_of(run)["what"] == "self-training"


def test_the_surest_rows_are_taken_in_the_classes_proportions():
    sure = np.array([0.99, 0.95, 0.9, 0.85, 0.97, 0.6])
    answers = np.stack([sure, 1 - sure], axis=1)
    answers[4] = answers[4, ::-1]
    agree = np.array([True, True, False, True, True, True])
    targets = np.array([0, 0, 0, 1])  # three to one
    task = Classify(("a", "b"))
    taken = self_training._balanced(task, answers, agree, targets, confidence=0.8, share=1 / 3)
    assert taken.rows.tolist() == [0, 1, 4]  # 2 of class 0 at most, 1 of class 1; 2 disagrees
    assert taken.targets.tolist() == [0, 0, 1]
    assert taken.confidence.round(2).tolist() == [0.99, 0.95, 0.97]


def test_rows_that_no_two_folds_agree_on_are_not_said_to_be_used(
    train, unlabelled, every_round_is_better, monkeypatch
):
    nobody = self_training.Accepted(*3 * [np.empty(0, dtype=np.int64)], np.inf)
    monkeypatch.setattr(self_training, "_for_all", lambda *given: nobody)
    run = train(unlabelled=unlabelled, folds=2, max_steps=2, self_training_confidence=0.1)
    assert not trial_of(run)["kept"]
    assert list(run.folder.learned) == []
    assert not any("unlabelled rows are learned" in one for one in run.folder.plan["reasons"])
