"""What is known to be wrong with public data is found, and what is right is left alone."""

import random

import fewtune


def by_code(done):
    return {one.code: one for one in done.findings}


def test_the_faults_of_banking77_are_found(shared):
    done = fewtune.check(shared("banking77/train.csv"), test=str(shared("banking77/test.csv")))
    found = by_code(done)
    assert found["empty-label"].total == 3
    assert "train.csv:1293" in map(str, found["empty-label"].rows)
    assert found["leak-exact"].total == 24
    assert found["label-conflict"].total == 2
    assert done.rows["read"] == 13086


def test_the_misspelt_labels_of_maintnet_are_found(shared):
    path = shared("maintnet_aircraft/fully_annotated_logbook.csv")
    wrong = {"DIFICULT", "DIFFFICULT"}
    done = fewtune.check(path, text="PROBLEM", label="TYPE (2)", select="label-typo")
    assert {one.message.split("'")[1] for one in done.findings} == wrong
    done = fewtune.check(path, text="PROBLEM", label="TYPE", select="label-typo")
    assert [one.message.split("'")[1] for one in done.findings] == ["OK"]


def test_the_empty_review_of_a_hotel_is_found(shared):
    found = by_code(fewtune.check(shared("zh_reviews/ChnSentiCorp_htl_all.csv")))
    assert [str(row) for row in found["empty-text"].rows] == ["ChnSentiCorp_htl_all.csv:6376"]


def test_the_leaks_between_the_original_files_of_the_chinese_fault_data_are_found(shared):
    done = fewtune.check(
        shared("industrial_ner_zh/train_text.jsonl"),
        test=str(shared("industrial_ner_zh/test_text.jsonl")),
    )
    leak = by_code(done)["leak-exact"]
    # SOURCE.md counts 171 distinct texts; some stand twice, some differ by punctuation only
    assert 171 <= leak.total <= 193
    split_again = fewtune.check(
        shared("industrial_ner_zh/multilabel/train.jsonl"),
        test=str(shared("industrial_ner_zh/multilabel/test.jsonl")),
        select="leak-exact",
    )
    assert sum(one.total for one in split_again.findings) < 20


def test_dialogues_are_linted_too(shared):
    done = fewtune.check(shared("llamafactory_demo/alpaca_zh_demo.json"))
    assert done.rows["read"] == 1000
    assert not {one.code for one in done.findings} & {"label-typo", "balance-few", "label-noise"}


def test_false_alarms_on_drawn_samples_are_few(shared, lint):
    """100 rows of each of two sets that people trust: errors and warnings without a model."""
    draw = random.Random(0)
    lines = shared("sst2/stsa.binary.train").read_text(encoding="latin-1").splitlines()
    pairs = [line.split(" ", 1)[::-1] for line in draw.sample(lines, 100)]
    alarms = [one for one in lint(pairs).findings if one.severity != "note"]
    assert alarms == [], alarms
