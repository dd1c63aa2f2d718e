"""`fewtune label`: rows for a person, the most useful first."""

import csv
import io

import numpy as np
import pytest
from jobs import rows, write_csv

import fewtune
from fewtune.base.errors import UsageError
from fewtune.trials.suggest import most_useful


@pytest.fixture(scope="module")
def new_rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    return write_csv(folder / "new.csv", [(text, "") for text, _ in rows(30, seed=5)])


def test_suggestions_have_the_label_the_doubt_and_the_place(finished, new_rows):
    found = fewtune.label(finished, new_rows, rows=10)
    assert len(found) == 10
    texts = [one["text"] for one in found]
    assert len(set(texts)) == 10, "no text twice"
    for one, said in zip(found, fewtune.predict(finished, texts), strict=True):
        assert said["prediction"] == one["label"] != one["second"]
        assert one["origin"].startswith("new.csv:")


def test_the_written_file_trains(finished, new_rows, tmp_path, capsys):
    from fewtune.cli import main

    out = tmp_path / "suggested.csv"
    with pytest.raises(SystemExit) as left:
        main(["label", str(finished.folder.path), new_rows, "--output", str(out)])
    assert left.value.code == 0
    lines = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert len(lines) == 30
    run = fewtune.train(str(out), method="tfidf", output=str(tmp_path / "run"))
    assert run.scores["rows"]["read"] == 30


def test_rows_below_one_are_refused(finished, new_rows):
    with pytest.raises(UsageError, match="rows: 1 or more; got 0"):
        fewtune.label(finished, new_rows, rows=0)


def test_the_least_certain_come_first_and_like_ones_wait():
    texts = ["泵轴承过热", "泵轴承过热了", "变压器有异响", "灯不亮"]
    shares = np.array([[0.5, 0.5], [0.51, 0.49], [0.6, 0.4], [0.99, 0.01]])
    assert most_useful(texts, shares, 4) == [0, 2, 1, 3]
