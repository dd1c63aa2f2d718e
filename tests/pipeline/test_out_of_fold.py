"""What a race's winner answered to the training rows is kept where others are the test rows."""

import json

import pytest
from jobs import only, rows, write_csv

from fewtune.report.facts import OUT_OF_FOLD, gather


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Two cheap candidates."""
    only(monkeypatch, ("probe", "tfidf"))


@pytest.fixture
def auto(train):
    def call(data=None, **options):
        return train(data=data, method="auto", folds=3, budget="20m", bootstrap=100, **options)

    return call


def test_every_training_row_is_answered_by_a_fit_that_left_it_out(auto, files):
    run = auto(test=files["test"])
    found = gather(run.folder).out_of_fold
    assert sorted(one["origin"] for one in found) == sorted(f"train.csv:{k + 2}" for k in range(60))
    assert {one["fold"] for one in found} == {1, 2, 3}
    assert all(sum(one["probability"].values()) == pytest.approx(1, abs=1e-4) for one in found)
    (line,) = [
        one for one in run.folder.plan["chosen"]["trials"][0]["table"] if one["state"] == "chosen"
    ]
    right = sum(one["prediction"] == one["label"] for one in found)
    assert right / len(found) == pytest.approx(line["accuracy"])


def test_rows_that_folds_score_are_told_once(auto):
    run = auto()
    assert not (run.folder.path / OUT_OF_FOLD).exists()
    assert {one["fold"] for one in run.folder.predictions} == {1, 2, 3}


def test_a_wrong_label_of_a_training_row_is_a_suspect_though_test_rows_are_given(
    auto, files, tmp_path
):
    told = rows(300)
    text, label = told[0]
    other = next(one for _, one in told if one != label)
    path = write_csv(tmp_path / "wrong.csv", [(text, other), *told[1:]])
    run = auto(data=path, test=files["test"])
    (sign,) = [one for one in run.scores["diagnosis"] if one["code"] == "label-noise"]
    assert f"wrong.csv:2 ({other}, or {label}?)" in sign["message"]
    assert "of 300 training rows" in sign["message"]


def test_a_row_of_several_labels_has_those_that_the_thresholds_give(auto, tmp_path):
    def sets(name, count, seed):
        lines = [
            {"text": text, "labels": [label, "all"] if k % 2 else [label]}
            for k, (text, label) in enumerate(rows(count, seed=seed))
        ]
        path = tmp_path / name
        path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
        return str(path)

    run = auto(data=sets("sets.jsonl", 60, 0), test=sets("others.jsonl", 30, 1))
    found = gather(run.folder).out_of_fold
    limits = run.folder.plan["chosen"]["thresholds"][run.scores["method"]]
    assert len(found) == 60
    for one in found:
        likely = {
            label
            for (label, p), limit in zip(one["probability"].items(), limits, strict=True)
            if p >= limit + 1e-5
        }
        assert likely <= {*one["prediction"]}
