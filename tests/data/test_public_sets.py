"""Public data sets are read as they lie, without options or with one map."""

import pytest
from seen import ROLES

from fewtune.data.columns import Role
from fewtune.data.load import load
from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows

SETS = [
    ("banking77/train.csv", ROLES, {}, 10_006, 10_001),
    ("banking77/test.csv", ROLES, {}, 3_080, 3_080),
    ("sst2/stsa.binary.train", ROLES, {}, 6_920, 6_920),
    ("sst2/stsa.binary.dev", ROLES, {}, 872, 872),
    ("thucnews_titles/dev.txt", ROLES, {}, 10_000, 10_000),
    ("maintnet_aircraft/cls_action/train.jsonl", ROLES, {}, 2_677, 2_677),
    ("maintnet_aircraft/annotated_problems.csv", ROLES, {"map": "label=tggedproblem"}, 6_169, 499),
    ("zh_reviews/ChnSentiCorp_htl_all.csv", ROLES, {}, 7_766, 7_765),
    ("goemotions/dev.tsv", (Role("text"), Role("labels")), {}, 5_426, 5_426),
    ("industrial_ner_zh/multilabel/test.jsonl", (Role("text"), Role("labels")), {}, 392, 392),
    ("gsm8k/train.jsonl", (Role("instruction"), Role("output")), {}, 7_473, 7_473),
    ("llamafactory_demo/identity.json", (Role("instruction"), Role("output")), {}, 91, 91),
    ("llamafactory_demo/mllm_demo.json", (Role("messages"),), {}, 6, 6),
]  # fmt: skip


@pytest.mark.parametrize(("name", "roles", "options", "read", "kept"), SETS, ids=lambda v: str(v))
def test_a_public_set_is_read_to_the_last_row(shared, name, roles, options, read, kept):
    table = read_rows(shared(name), roles, DataOptions(**options))
    counts = table.ledger.counts()
    assert (counts["read"], counts["kept"]) == (read, kept)
    assert set(table.columns) == {role.name for role in roles}


def test_three_rows_of_banking77_have_no_label(shared):
    table = read_rows(shared("banking77/train.csv"), ROLES, DataOptions())
    without = [e.origin.line for e in table.ledger.quarantined if e.code == "empty-label"]
    assert without == [1293, 4485, 7614]
    assert len({row["label"] for row in table.rows}) == 77


def test_sst2_has_two_labels_and_whole_sentences(shared):
    data = load(shared("sst2/stsa.binary.dev"), ROLES, DataOptions())
    assert data.labels == ("0", "1")
    assert data.train[0]["text"] == "one long string of cliches ."


def test_thucnews_titles_have_ten_labels(shared):
    data = load(shared("thucnews_titles/dev.txt"), ROLES, DataOptions())
    assert data.labels == tuple("0123456789")
    assert len(data.test) == 2_000
