"""Labels that differ in a sign, a digit or a word stay apart; only slips of the hand are mended."""

import pytest
from examples import FAULTS

import fewtune


def spelled(lint, one, other, times=14, **options):
    """`one` on the first rows, `other` on the rest."""
    rows = [*FAULTS, *((f"{text} again", label) for text, label in FAULTS)] * 3
    rows = [(f"{text} {k}", one if k < times else other) for k, (text, _) in enumerate(rows)]
    return lint(rows, select="label-typo", **options).findings


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-1", "1"), (">50K", "<=50K"), ("A+", "A-"), ("pump B", "pump A"), ("1,5", "15"),
        ("23", "2,3"), ("rotor", "motor"), ("C", "C++"), ("C#", "C"), ("no load", "on load"),
        ("轴承温度传感器高位报警", "轴承温度传感器低位报警"),
        ("设备运行状态不正常报警", "设备运行状态正常报警"),
        ("10²", "102"), ("left door", "lift door"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("times", [10, 48])
def test_labels_that_mean_something_else_are_never_merged(lint, one, other, times):
    assert spelled(lint, one, other, times) == []
    assert spelled(lint, other, one, times) == []


def test_a_word_that_the_texts_know_is_no_slip(lint):
    rows = [(f"{text} {k}", "stator") for k, (text, _) in enumerate(FAULTS * 3)]
    rare = [("the starter does not turn", "starter"), ("starter smells burnt", "starter")]
    assert lint([*rows, *rare], select="label-typo").findings == []
    assert lint([*rows, ("it hums", "statr")], select="label-typo").findings


def test_one_letter_is_told_and_left_to_a_person(lint, tmp_path):
    out = tmp_path / "out.csv"
    (one,) = spelled(lint, "DIFICULT", "DIFFICULT", 3, fix=str(out))
    assert one.severity == "warning"
    assert "--fix leaves both" in one.do
    assert out.read_text().count("DIFICULT") == 3


@pytest.mark.parametrize("wrong", ["Oil leak", "oil  leak", "ｏil leak"])
def test_case_blanks_and_width_are_mended(lint, tmp_path, wrong):
    out = tmp_path / "out.csv"
    (one,) = spelled(lint, wrong, "oil leak", 3, fix=str(out))
    assert "(--fix does)" in one.do
    assert wrong not in out.read_text(encoding="utf-8")


def test_two_common_spellings_are_left_to_a_person(lint, tmp_path):
    out = tmp_path / "out.csv"
    (one,) = spelled(lint, "us", "US", 40, fix=str(out))
    assert "--fix leaves both" in one.do
    assert out.read_text().count(",us\n") == 40


def test_a_long_label_is_shortened_in_sentences(tmp_path):
    rows = [(f"{text} {k}", "x" * 3000) for k, (text, _) in enumerate(FAULTS)]
    path = tmp_path / "a.csv"
    lines = [("text", "label"), *rows, ("it hums", "motor")]
    path.write_text("".join(f"{text},{label}\n" for text, label in lines), encoding="utf-8")
    done = fewtune.check(path, test=str(path), few=20)
    assert done.findings
    for one in done.findings:
        assert len(one.message) < 400, one.code
        assert len(one.do) < 400, one.code


def test_a_blank_inside_a_chinese_label_is_a_slip(lint, tmp_path):
    out = tmp_path / "out.csv"
    (one,) = spelled(lint, "漏 油", "漏油", 3, fix=str(out))
    assert "漏 油" in one.message
    assert "漏 油" not in out.read_text(encoding="utf-8")
