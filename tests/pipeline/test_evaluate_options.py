"""`evaluate` obeys the options that it takes, and refuses those it has no use for."""

import csv
import json

import pytest
from jobs import rows, write_csv

import fewtune
from fewtune.base.errors import UsageError
from fewtune.cli import main
from fewtune.data.options import DataOptions
from fewtune.pipeline.idle import SPLITS, STEPS, refuse_idle
from fewtune.train.options import TrainOptions


@pytest.fixture
def run(train, tmp_path):
    return train(data=write_csv(tmp_path / "rows.csv", rows(60)), method="tfidf")


def test_groups_are_parts_and_units_of_the_scored_file(run, tmp_path):
    path = tmp_path / "more.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "machine"])
        writer.writerows((*pair, f"m{k % 6}") for k, pair in enumerate(rows(60, seed=1)))
    few = [",".join((*pair, "m1")) for pair in rows(2, seed=2)]
    path.with_name("one.csv").write_text("\n".join(["text,label,machine", *few]), "utf-8")
    told = fewtune.evaluate(run, str(path), group="machine")
    assert "machine" in {one["by"] for one in told["slices"]}
    assert "rows of one machine are alike" in " ".join(told["notes"])
    assert "count its 6 values, not the 60 rows" in " ".join(told["notes"])
    plain = fewtune.evaluate(run, str(path))
    assert "machine" not in " ".join(plain["notes"])
    for name, one in plain["test"].items():
        assert told["test"][name]["value"] == one["value"]
        assert told["test"][name]["low"] <= one["low"] + 1e-9
    assert told["test"]["accuracy"]["low"] < plain["test"]["accuracy"]["low"]
    alone = fewtune.evaluate(run, str(path.with_name("one.csv")), group="machine")
    assert "all 2 rows that are scored are of one machine, m1" in " ".join(alone["notes"])
    with pytest.raises(UsageError, match="nosuch"):
        fewtune.evaluate(run, str(path), group="nosuch")


def test_what_would_be_given_in_vain_is_refused_at_once(run, tmp_path):
    path = write_csv(tmp_path / "more.csv", rows(30, seed=1))
    with pytest.raises(UsageError) as error:
        fewtune.evaluate(run, path, test="none.csv", split="nowhere", metric="a.b")
    first, second = str(error.value).split("\n")
    assert first.startswith("test, split: every row of the file is scored")
    assert second.startswith("metric: for generated texts only")
    with pytest.raises(UsageError, match="positive: names one of two classes"):
        refuse_idle(["positive"], writes=True)


def test_the_command_does_not_offer_them():
    from fewtune.cli.signatures import evaluate

    offered = {one.name for one in evaluate()}
    assert {"group", "slice", "positive", "adapter_scale"} <= offered
    assert not offered & {*SPLITS}


def test_other_files_are_read_by_the_columns_that_were_learned(train, tmp_path, capsys):
    path = tmp_path / "columns.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "note", "label"])
        writer.writerows((f"row {k}", *pair) for k, pair in enumerate(rows(60)))
    run = train(data=str(path), method="tfidf", text="note")
    told = fewtune.evaluate(run, str(path))
    assert told["test"]["accuracy"]["value"] > 0.9
    assert not any("is read from" in note for note in told["notes"])
    with pytest.raises(SystemExit) as left:
        main(["predict", str(run.path), str(path), "--json"])
    assert not left.value.code
    assert [one["text"] for one in json.loads(capsys.readouterr().out)] == [p[0] for p in rows(60)]
    assert {one["text"] for one in fewtune.label(run, path, rows=60)} == {p[0] for p in rows(60)}
    plain = write_csv(tmp_path / "plain.csv", rows(30, seed=1))
    notes = fewtune.evaluate(run, plain)["notes"]
    said = "text is read from column 'text'; the model learned from 'note', which is not there"
    assert said in notes
    assert said not in fewtune.evaluate(run, plain, text="text")["notes"]


def test_pairs_of_texts_are_refused_where_no_text_is_named(train, tmp_path):
    path = tmp_path / "pairs.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sentence1", "sentence2", "label"])
        writer.writerows((text, f"other {k}", label) for k, (text, label) in enumerate(rows(60)))
    with pytest.raises(UsageError, match="two texts and a label a row"):
        train(data=str(path), method="tfidf")
    assert train(data=str(path), method="tfidf", text="sentence1").scores["rows"]["test"]


def test_rows_that_were_learned_are_told(train, tmp_path):
    path = write_csv(tmp_path / "rows.csv", rows(60))
    run = train(data=path, method="tfidf")
    learned = run.folder.data["parts"]["train"]
    count = sum(map(len, learned.values()))
    (note,) = [one for one in fewtune.evaluate(run, path)["notes"] if "learned" in one]
    assert note.startswith(f"{count} of 60 rows have the text of a row that the model learned")
    fresh = write_csv(tmp_path / "fresh.csv", rows(30, seed=7))
    assert not any("learned" in one for one in fewtune.evaluate(run, fresh)["notes"])
    write_csv(tmp_path / "rows.csv", rows(30, seed=8))  # another file by now: nobody knows
    assert not any("learned" in one for one in fewtune.evaluate(run, fresh)["notes"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"learning_rate": 1e-3, "num_train_epochs": 5},
            "learning_rate, num_train_epochs: `tfidf`",
        ),
        ({"valid_share": 0.2}, "valid_share: `tfidf` watches no rows while it learns"),
        ({"max_length": 64}, "max_length: `tfidf` reads the whole of a text"),
        ({"budget": "10m"}, "budget: no race is held where a method is named"),
        ({"self_training_rounds": 5}, "self_training_rounds: there are no rows of --unlabelled"),
        ({"augment_copies": 3}, "augment_copies: no recipe is asked for with --augment"),
        ({}, None),
    ],
)
def test_options_that_change_nothing_are_told(train, tmp_path, given, said):
    data = write_csv(tmp_path / "rows.csv", rows(60))
    run = train(data=data, method="tfidf", max_steps=None, **given)
    ends = ("it changes nothing here.", "leave it out.")
    idle = [one for one in run.scores["warnings"] if one.endswith(ends)]
    assert len(idle) == (said is not None)
    assert said is None or idle[0].startswith(said)
    assert "tokens are read" not in (run.folder.model / "README.md").read_text("utf-8")


def test_options_of_steps_are_options():
    assert {*STEPS} <= {*TrainOptions.model_fields, *DataOptions.model_fields}


def test_of_a_folder_those_texts_alone_count_as_learned_that_were(train, tmp_path):
    for k, (text, label) in enumerate(rows(60)):
        path = tmp_path / "texts" / label / f"{k}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text} {k}", encoding="utf-8")
    run = train(data=str(tmp_path / "texts"), method="tfidf")
    held = [*run.folder.predictions]
    held_out = write_csv(tmp_path / "held.csv", [(one["text"], one["label"]) for one in held])
    assert not any("model learned" in one for one in fewtune.evaluate(run, held_out)["notes"])


def test_the_columns_of_a_file_without_a_header_are_nobody_elses(train, tmp_path):
    path = tmp_path / "bare.csv"
    path.write_text("\n".join(",".join(one) for one in rows(60)), encoding="utf-8")
    run = train(data=str(path), method="tfidf")
    assert run.columns == {}
    other = tmp_path / "other.csv"
    other.write_text("\n".join(f"{1000 + k},{t}" for k, (t, _) in enumerate(rows(20))), "utf-8")
    assert {one["text"] for one in fewtune.label(run, other, rows=20)} == {t for t, _ in rows(20)}


def test_rows_without_a_group_are_not_of_the_one_that_others_have():
    from fewtune.data.row import Origin, Row
    from fewtune.pipeline.parted import by_group

    def of(*groups):
        return [
            Row(Origin("a.csv", k), {"text": "x", "group": one}) for k, one in enumerate(groups)
        ]

    assert "all 3 rows that are scored are of one machine, A" in by_group(
        of("A", "A", "A"), "machine"
    )
    note = by_group(of("A", "A", None, ""), "machine")
    assert "count its 3 values, not the 4 rows" in note
    assert "of calibration and of what is left to a person" in note
    assert by_group(of(None, None), "machine") is None
