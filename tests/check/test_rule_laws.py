"""What every rule keeps to, by being in the registry."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from examples import CHINESE, DIRTY, FAULTS

import fewtune
from fewtune.check.docs import page
from fewtune.check.rules import RULES

WITHOUT_MODEL = [rule for rule in RULES if rule.needs == "rows"]
#: Speaks of files that no csv can be.
ELSEWHERE = {"format-json", "format-type"}
#: Those of dialogues are made to speak in test_template.py, those of images in test_image_rules.py.
OF_OTHERS = {rule.code for rule in RULES if rule.speaks_of in ("dialogue", "image")}


def test_every_rule_without_a_model_is_under_the_laws():
    assert len(RULES) == 51
    assert {rule.code for rule in WITHOUT_MODEL} - OF_OTHERS == (DIRTY.keys() | ELSEWHERE)
    assert len({rule.code for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("code", DIRTY)
def test_a_rule_speaks_of_what_it_is_for_in_whole_sentences(lint, code):
    done = lint(**DIRTY[code])
    (rule,) = [rule for rule in RULES if rule.code == code]
    found = [one for one in done.findings if one.code == code]
    assert found, [one.code for one in done.findings]
    for one in found:
        assert one.message.endswith(".")
        assert one.do.endswith(".")
        assert one.do[0].isupper()
        assert one.total > 0
        assert one.rows, "it says where"
        order = ("note", "warning", "error")
        assert order.index(one.severity) <= order.index(rule.severity)


@pytest.mark.parametrize("rows", [FAULTS, CHINESE], ids=["English", "Chinese"])
def test_on_clean_rows_all_rules_are_silent(lint, rows):
    done = lint(rows[::2] + rows[1::2])
    assert done.findings == []
    assert done.rows == {"read": 16, "kept": 16, "quarantined": 0, "fixed": 0, "truncated": 0}


def test_the_example_file_is_clean():
    path = Path(__file__).parents[2] / "examples" / "fault_reports.csv"
    assert fewtune.check(path).findings == []


def test_a_broken_json_line_and_a_list_are_told(tmp_path):
    lines = [json.dumps({"text": text, "label": label}) for text, label in FAULTS]
    lines += ['{"text": "no end', json.dumps({"text": ["a", "b"], "label": "pump"})]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = fewtune.check(tmp_path / "rows.jsonl")
    assert {one.code: str(one.rows[0]) for one in done.findings} == {
        "format-json": "rows.jsonl:17",
        "format-type": "rows.jsonl:18",
    }


def test_the_page_of_the_rules_is_what_the_rules_say():
    written = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
    assert written == page(), "run python -m fewtune.check.docs > docs/checks.md"
    assert all(f"`{rule.code}`" in written for rule in RULES)


def test_the_registry_needs_neither_torch_nor_scikit_learn():
    code = (
        "import sys; import fewtune.check.rules; "
        "sys.exit(bool({'torch', 'sklearn', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
