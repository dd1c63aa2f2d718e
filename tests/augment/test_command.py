"""`fewtune augment` on a file."""

import csv
import json
from pathlib import Path

import pytest

import fewtune
from fewtune.base.errors import UsageError
from fewtune.cli import main

REPORTS = str(Path(__file__).parents[2] / "examples" / "fault_reports.csv")


def test_new_rows_are_written_with_parent_and_recipe(tmp_path, capsys):
    out = tmp_path / "new.csv"
    with pytest.raises(SystemExit) as left:
        main(["augment", REPORTS, "--augment", "delete,aeda", "--write", str(out), "--json"])
    assert left.value.code == 0
    said = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert said["made"] == len(rows) > 1000
    assert set(rows[0]) == {"text", "label", "parent", "recipe"}
    assert {row["recipe"] for row in rows} == {"delete", "aeda"}


def test_a_sample_shows_what_changed(capsys):
    with pytest.raises(SystemExit):
        main(["augment", REPORTS, "--augment", "typing"])
    said = capsys.readouterr().out
    assert said.count("typing") == 10
    assert "--write FILE keeps them" in said


def test_rows_of_a_test_file_are_kept_away_from():
    rows, dropped, _ = fewtune.augment(REPORTS, augment="case,aeda", test=REPORTS)
    assert rows == []
    assert dropped["a validation or test row"] > 1000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "augment: name recipes, of synonym"),
        ({"augment": "delete", "write": "x.txt"}, "write: a name ending in"),
        ({"augment": "delete", "augment_copies": 0}, "augment_copies"),
    ],
)
def test_mistakes_are_told(options, said):
    with pytest.raises(UsageError, match=said):
        fewtune.augment(REPORTS, **options)
