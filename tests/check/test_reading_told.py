"""Whatever reading sets aside, a rule tells of; and of labels that are none."""

import ast
import json
from pathlib import Path

import pytest
from examples import FAULTS, table

import fewtune
from fewtune.base.errors import UsageError
from fewtune.check.reading import MEND
from fewtune.check.rules import RULES

DATA = Path(fewtune.__file__).parent / "data"
FAMILIES = ("format-", "empty-", "label-")
#: Told by a rule of another name: it looks at the images themselves too.
ELSEWHERE = {"empty-image": "format-image"}
#: Dialogues that are set aside, by code.
ASKS, SAYS = {"role": "user", "content": "hot?"}, {"role": "assistant", "content": "yes"}
ASIDE = {
    "format-role": [{"role": "wizard", "content": "x"}, SAYS],
    "format-turns": [SAYS, ASKS],
    "empty-turn": [ASKS, {"role": "assistant", "content": " "}],
    "format-type": [ASKS, "yes"],
}


def codes_of_the_data_room():
    """Every text in the data room's code that looks like a code."""
    found = set()
    for path in DATA.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                if text.startswith(FAMILIES) and text.replace("-", "").isalpha():
                    found.add(text)
    return found


def test_every_code_that_rows_are_set_aside_by_has_a_rule():
    codes = codes_of_the_data_room()
    assert len(codes) == 14, sorted(codes)
    rules = {rule.code for rule in RULES}
    assert {ELSEWHERE.get(code, code) for code in codes} <= rules
    assert codes - ELSEWHERE.keys() - MEND.keys() == {"format-spaces", "format-control"}


@pytest.mark.parametrize("code", ASIDE)
def test_dialogues_that_are_set_aside_are_told(tmp_path, code):
    rows = [{"messages": ASIDE[code]}] * 3 + [{"messages": [ASKS, SAYS]}]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    done = fewtune.check(path)
    assert done.rows["quarantined"] == 3
    (one,) = [one for one in done.findings if one.code == code]
    assert one.total == 3
    assert one.message.startswith("3 (75.0 %) of the rows are set aside")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"instruction": "", "output": "x"}, "empty-text"),
        ({"instruction": "why?", "output": ""}, "empty-text"),
        ({"instruction": "why?"}, "empty-text"),
    ],
)
def test_questions_without_answers_are_told(tmp_path, row, code):
    rows = [row, {"instruction": "why?", "output": "dry"}]
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    done = fewtune.check(tmp_path / "a.json")
    assert [one.code for one in done.findings] == [code]


@pytest.mark.parametrize(
    "word", ["NaN", "None", "NULL", "N/A", "-", "无", "空", "#N/A", "#REF!", "#VALUE!"]
)
def test_a_word_for_no_label_is_told_and_the_row_is_kept(lint, word):
    done = lint([*FAULTS, ("motor hums", word), ("motor is hot", word)], select="empty")
    (one,) = done.findings
    assert (one.code, one.severity, one.total) == ("empty-label", "warning", 2)
    assert repr(word) in one.message
    assert done.rows["kept"] == 18


def test_minus_beside_plus_is_a_class(lint):
    rows = [(text, "+-"[k % 2]) for k, (text, _) in enumerate(FAULTS)]
    assert lint(rows, select="empty").findings == []


def test_nothing_beside_something_is_a_class(lint):
    rows = [(text, "有无"[k % 2]) for k, (text, _) in enumerate(FAULTS)]
    assert lint(rows, select="empty").findings == []


def test_an_id_as_label_is_an_error_that_asks(lint):
    rows = [(text, f"id{k}") for k, (text, _) in enumerate(FAULTS)]
    (one,) = lint(rows).findings
    assert (one.code, one.severity) == ("balance-unique", "error")
    assert "Is 'label' an id column?" in one.do


def test_a_column_that_another_role_has_is_said_to_be_taken(tmp_path):
    (tmp_path / "a.csv").write_bytes(table(FAULTS))
    with pytest.raises(UsageError, match=r"the column 'label' of a.csv is taken by source \(--sou"):
        fewtune.check(tmp_path / "a.csv", source="label")


def test_dialogues_are_advised_a_model_that_talks(tmp_path):
    said = [{"role": "user", "content": "轴承为什么发烫？齿轮箱嘎吱作响"}, SAYS]
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": said}), encoding="utf-8")
    done = fewtune.check(tmp_path / "a.jsonl", model="minilm", select="unknown-tokens")
    assert "Qwen2.5" in done.findings[0].do


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("text", "machine no"), "would learn 'machine no' (--label 'machine no' looks at it)"),
        (("text",), "has no labels"),
        (("text", "label"), None),
    ],
)
def test_texts_without_a_label_by_name_are_told(tmp_path, columns, said):
    path = tmp_path / "a.csv"
    rows = [(f"pump {k} leaks at the seal", "AB"[k % 2])[: len(columns)] for k in range(12)]
    path.write_text("\n".join(",".join(one) for one in (columns, *rows)), encoding="utf-8")
    notes = [one for one in fewtune.check(path).notes if "that needs" in one]
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]


def test_a_list_without_labels_is_refused_by_its_single_column(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"pump {k} leaks" for k in range(12)), encoding="utf-8")
    with pytest.raises(
        UsageError, match="a single column, 'column 1', and none for the role label"
    ):
        fewtune.check(path)
