"""The rules of balance count rows of a label, whatever other labels these rows have."""

import json
from collections import Counter

import pytest
from examples import FAULTS

import fewtune
from fewtune.data.holdout import folds_of
from fewtune.data.row import Origin, Row

TEXTS = [text for text, _ in FAULTS]
#: Of 16 rows: `pump` 8, `lamp` 9, both on one of them.
SETS = [[label, "lamp"] if text == TEXTS[0] else [label] for text, label in FAULTS]


def write(path, sets, texts=TEXTS):
    rows = ({"text": text, "labels": labels} for text, labels in zip(texts, sets, strict=True))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def found(tmp_path):
    """Findings of `balance` by code, on the rows with more labels on some of them."""

    def call(more, **options):
        sets = [[*labels, *more.get(k, ())] for k, labels in enumerate(SETS)]
        done = fewtune.check(write(tmp_path / "a.jsonl", sets), select="balance", **options)
        return {one.code: one for one in done.findings}

    return call


def test_balanced_sets_say_nothing(found):
    assert found({}) == {}


def test_a_label_on_one_row_is_told_though_the_row_has_others(found):
    single = found({3: ["seal"]})["balance-single"]
    assert "'seal'" in single.message
    assert [row.line for row in single.rows] == [4]


def test_a_label_that_stands_twice_in_a_row_is_on_one_row(found):
    assert found({3: ["seal", "seal"]}).keys() == {"balance-single"}


def test_few_rows_of_a_label_are_counted_by_rows(found):
    few = found({k: ["seal"] for k in range(5)})["balance-few"]
    assert "seal has 5" in few.message.replace("'", "")
    assert "balance-few" not in found({k: ["seal"] for k in range(8)})


def test_the_ratio_is_of_rows_with_the_label(found):
    more = {k: ["common"] for k in range(16)} | {0: ["common", "rare"], 1: ["common", "rare"]}
    told = found(more, ratio=7)["balance-ratio"].message.replace("'", "")
    assert told.startswith("common has 16 (100.0 %) of the rows and rare 2, 8 times fewer")
    assert "balance-ratio" not in found(more, ratio=8)


def test_a_label_that_only_test_rows_have_is_told_with_those_rows(found, tmp_path):
    new = [f"{text} again and again" for text in TEXTS]
    sets = [["lamp", "roof"] if k in (2, 5) else ["pump"] for k in range(16)]
    test = write(tmp_path / "t.jsonl", sets, new)
    unseen = found({}, test=test)["balance-unseen"]
    assert [row.line for row in unseen.rows] == [3, 6]
    assert "roof" in unseen.message


def test_labels_that_are_told_are_those_that_folds_cannot_hold():
    """A label on one row is in no fold; one on as many rows as there are folds is in each."""
    sets = [[*labels, *(["seal"] if k == 3 else []), *(["five"] if k % 3 == 0 else [])]
            for k, labels in enumerate(SETS)][:15]  # fmt: skip
    rows = [
        Row(Origin("a", k), {"text": text, "labels": tuple(labels)})
        for k, (text, labels) in enumerate(zip(TEXTS, sets, strict=False))
    ]
    folds = folds_of(rows, 5, 0)
    held = [Counter(label for k in fold for label in sets[k]) for fold in folds]
    assert not any(counts["seal"] for counts in held)
    # row 3 has both and always trains: four rows for five folds
    assert sorted(counts["five"] for counts in held) == [0, 1, 1, 1, 1]
