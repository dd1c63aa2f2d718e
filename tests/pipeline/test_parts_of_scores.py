"""Scores of the parts of the rows that a column makes, from the file to the terminal."""

import csv
import json

import pytest
from jobs import QUICK, dialogues, jsonl, rows

import fewtune
from fewtune.cli import main

BRANDS = ("红旗", "Volvo", "Škoda")


@pytest.fixture(scope="module")
def branded(tmp_path_factory):
    """A file with a brand and a mark of each row; of one brand all labels are wrong."""
    root = tmp_path_factory.mktemp("branded")

    def write(name, found):
        classes = sorted({label for _, label in found})
        with open(root / name, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "品牌", "id"])
            for k, (text, label) in enumerate(found):
                brand = BRANDS[k // 3 % 3]
                other = classes[(classes.index(label) + 1) % len(classes)]
                writer.writerow([text, other if brand == "Škoda" else label, brand, f"n{k}"])
        return str(root / name)

    return write("train.csv", rows(90)), write("test.csv", rows(90, seed=1))


def typed(*words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return left.value.code or 0


def test_a_column_is_found_and_its_worst_value_told(branded, tmp_path, capsys):
    train, test = branded
    run = tmp_path / "run"
    assert (
        typed(
            "train", train, "--test", test, "--method", "tfidf", "--output", run, "--bootstrap", 100
        )
        == 0
    )
    out = " ".join(capsys.readouterr().out.split())
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    found = {one["name"]: one for one in scores["slices"] if one["by"] == "品牌"}
    assert found.keys() == set(BRANDS)
    assert found["Škoda"]["rows"] == 30
    assert found["Škoda"]["worse"]
    assert "id" not in {one["by"] for one in scores["slices"]}
    assert "Weakest is 品牌 Škoda" in out
    assert "Weakest is 品牌 Škoda" in (run / "report.html").read_text(encoding="utf-8")
    assert typed("evaluate", run, test) == 0
    assert "Weakest is 品牌 Škoda" in " ".join(capsys.readouterr().out.split())


def test_columns_can_be_named_and_wrong_names_are_told(branded, tmp_path, capsys):
    train, test = branded
    given = {"test": test, "method": "tfidf", "bootstrap": 100}
    run = fewtune.train(train, output=str(tmp_path / "run"), slice=["品牌"], **given)
    assert {one["by"] for one in run.scores["slices"]} >= {"class", "品牌"}
    assert "--slice '品牌'" in run.folder.plan["command"]
    assert typed("train", train, "--test", test, "--method", "tfidf", "--slice", "品排") == 2
    assert "has no column '品排'" in " ".join(capsys.readouterr().err.split())


def test_rows_of_folds_have_their_columns(branded, files, tmp_path):
    run = fewtune.train(
        branded[0], model=files["model"], output=str(tmp_path / "run"), folds=2, budget="5s",
        **QUICK,
    )  # fmt: skip
    assert run.scores["scored_on"] != "test rows"
    assert sum(one["rows"] for one in run.scores["slices"] if one["by"] == "品牌") == 90


def test_answers_are_told_by_column_and_length(teach, tmp_path):
    lines = [{**one, "brand": BRANDS[k % 2]} for k, one in enumerate(dialogues(60))]
    run = teach(data=jsonl(tmp_path / "brands.jsonl", lines), test_share=0.5)
    found = [one for one in run.scores["slices"] if one["by"] == "brand"]
    assert {one["name"] for one in found} == {"红旗", "Volvo"}
    assert sum(one["rows"] for one in found) == run.scores["rows"]["test"]
    assert all(one["low"] < one["value"] < one["high"] for one in found)
    assert {one["metric"] for one in found} == {"loss"}
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert "The loss a token of the reference answers in parts" in page


def test_what_intervals_of_answers_in_groups_count_is_kept(teach, tmp_path):
    lines = [{**one, "machine": f"M{k // 5}"} for k, one in enumerate(dialogues(60))]
    data = jsonl(tmp_path / "machines.jsonl", lines)
    run = teach(data=data, group="machine", test_share=0.5)
    (note,) = [one for one in run.scores["warnings"] if one.startswith("group: ")]
    kept = json.loads((run.folder.path / "scores.json").read_text(encoding="utf-8"))
    assert note in kept["warnings"]
    assert note in " ".join((run.folder.path / "report.html").read_text(encoding="utf-8").split())


def test_what_intervals_of_rows_in_groups_count_is_told(tmp_path, capsys):
    path = tmp_path / "grouped.csv"
    lines = [f"{text},{label},M{k // 5}" for k, (text, label) in enumerate(rows(90))]
    path.write_text("\n".join(["text,label,machine", *lines]), encoding="utf-8")
    run = tmp_path / "run"
    words = ("train", path, "--method", "tfidf", "--test_share", "0.4")
    assert typed(*words, "--group", "machine", "--output", run, "--bootstrap", 100) == 0
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    (note,) = [one for one in scores["warnings"] if one.startswith("group: ")]
    machines = {one["name"] for one in scores["slices"] if one["by"] == "machine"}
    assert f"count its {len(machines)} values" in note
    told = [
        json.loads(line) for line in (run / "predictions.jsonl").read_text("utf-8").splitlines()
    ]
    assert {one["group"] for one in told} == machines
    assert note in " ".join((run / "report.html").read_text(encoding="utf-8").split())
