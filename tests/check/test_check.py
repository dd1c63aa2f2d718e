"""`fewtune check`: what it tells, what it writes, how it leaves."""

import csv
import json

import pytest
from examples import CHINESE, FAULTS, table
from hypothesis import given, settings
from hypothesis import strategies as st

import fewtune
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.check.private import mask
from fewtune.cli import main


def codes(done):
    return [one.code for one in done.findings]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The command; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as left:
            main(["check", *words])
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return run


def write(path, rows):
    path.write_bytes(table(rows))
    return str(path)


# --- the command ---------------------------------------------------------------------------------


def test_a_clean_file_leaves_with_zero_and_says_so(call, tmp_path):
    code, out, _ = call(write(tmp_path / "a.csv", FAULTS))
    assert code == 0
    assert "16 rows read, 16 kept. Nothing found." in out
    assert "Not looked for without a model" in out


def test_errors_leave_with_one_and_name_the_rows(call, tmp_path):
    rows = [*FAULTS, (FAULTS[0][0], "lamp")]
    code, out, _ = call(write(tmp_path / "a.csv", rows))
    assert code == 1
    assert "label-conflict" in out
    assert "a.csv:2  pump  pump 3 trips" in out
    assert "a.csv:18  lamp" in out
    assert "Found 1 error." in out


def test_warnings_alone_leave_with_zero(call, tmp_path):
    code, out, _ = call(write(tmp_path / "a.csv", [*FAULTS, FAULTS[0]]))
    assert code == 0
    assert "Found 1 warning." in out


def test_json_is_one_object_of_the_promised_shape(call, tmp_path):
    rows = [*FAULTS, FAULTS[0], ("", "pump")]
    code, out, _ = call(write(tmp_path / "a.csv", rows), "--json")
    said = json.loads(out)
    assert code == 0
    assert said.keys() == {"rows", "shape", "columns", "findings", "written"}
    assert (said["shape"], said["columns"]) == ("text/label", {"text": "text", "label": "label"})
    assert said["rows"] == {"read": 18, "kept": 17, "quarantined": 1, "fixed": 0, "truncated": 0}
    for one in said["findings"]:
        assert one.keys() == {"code", "severity", "count", "rows", "message", "do", "beside"}
    assert [one["code"] for one in said["findings"]] == ["empty-text", "duplicate-exact"]


def test_a_rule_explains_itself(call):
    code, out, _ = call("--explain", "leak-near")
    assert code == 0
    assert out.startswith("leak-near (warning): nearly the same text")
    code, _, err = call("--explain", "leak-nera")
    assert code == 2
    assert "Did you mean 'leak-near'?" in err


def test_without_a_file_the_command_says_what_is_missing(call):
    code, _, err = call()
    assert code == 2
    assert "a file to look at, or --explain CODE" in err


def test_all_mistakes_are_told_at_once(call, tmp_path):
    code, _, err = call(write(tmp_path / "a.csv", FAULTS), "--few", "0", "--ratio", "x")
    assert code == 2
    assert "few" in err
    assert "ratio" in err


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"select": "duplicate"}, ["duplicate-exact"]),
        ({"ignore": "duplicate-exact,balance"}, []),
        ({"select": ["balance-single"]}, ["balance-single"]),
    ],
)
def test_codes_and_families_can_be_chosen_and_left_out(lint, options, left):
    done = lint([*FAULTS, FAULTS[0], ("motor hums", "motor")], **options)
    assert codes(done) == left


def test_an_unknown_code_is_refused_with_the_likeliest(lint):
    with pytest.raises(UsageError, match="ignore: there is no rule or family 'duplicates'"):
        lint(FAULTS, ignore="duplicates")


# --- fixes ---------------------------------------------------------------------------------------


def test_fix_writes_a_file_that_is_clean_and_leaves_the_first_one_alone(lint, tmp_path):
    rows = [(text, f"{label} fault") for text, label in FAULTS]
    dirty = [*rows, rows[0], ("motor hums", "Pump Fault"), ("", "lamp fault")]
    before = table(dirty)
    done = lint(dirty, fix=str(tmp_path / "fixed.csv"))
    assert codes(done) == ["label-typo", "empty-text", "duplicate-exact", "balance-single"]
    assert (tmp_path / "train.csv").read_bytes() == before
    assert done.written == [
        f"{tmp_path / 'fixed.csv'}: 17 rows, 3 changes.",
        "train.csv:18: dropped [duplicate-exact]",
        "train.csv:19: label 'Pump Fault' -> 'pump fault'",
        "train.csv:20: left out [empty-text]",
    ]
    again = fewtune.check(tmp_path / "fixed.csv")
    assert again.findings == []
    assert again.rows["read"] == 17


def test_private_text_is_masked_only_when_asked(lint, tmp_path):
    rows = [*FAULTS, ("ring 13812345678 or li@example.com", "pump")]
    for masked in (False, True):
        out = tmp_path / f"{masked}.csv"
        lint(rows, fix=str(out), mask=masked)
        last = list(csv.reader(out.open(encoding="utf-8")))[-1][0]
        wanted = "ring [TELEPHONE] or [E-MAIL]" if masked else "ring 13812345678 or li@example.com"
        assert last == wanted


def test_fix_refuses_a_name_it_cannot_write(lint):
    with pytest.raises(UsageError, match=r"fix: a name ending in \.csv or \.jsonl"):
        lint(FAULTS, fix="out.xlsx")


# --- judgement -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("P0301 misfire", "P0302 misfire"), ("左轴承故障", "右轴承故障"), ("cat", "car"), ("+", "-")],
)
def test_labels_that_differ_on_purpose_are_no_typos(lint, one, other):
    rows = [(text, one) for text, _ in FAULTS[:14]] + [(text, other) for text, _ in FAULTS[14:]]
    assert "label-typo" not in codes(lint(rows))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("DIFFICULT", "DIFICULT"), ("difficult", "diffciult"), ("oil leak", "Oil_Leak"),
        ("漏油", "漏油 "), ("ＡＢＳ故障", "ABS故障"),
        ("轴承温度传感器故障报警", "轴承温度传感器故障警报"),
    ],
)  # fmt: skip
def test_misspelt_labels_are_found(lint, right, wrong):
    rows = [(text, right) for text, _ in FAULTS[:15]] + [("motor hums", wrong), ("x", "lamp")]
    done = lint(rows)
    assert any(one in codes(done) for one in ("label-typo", "format-spaces"))


def test_numbers_that_are_no_secrets_are_left_alone(lint):
    texts = [
        "serial 20231104001234567890", "1234 5678 9012 3456", "set point 1013.25 hPa",
        "ISBN 978-3-16-148410-0", "part 4711-0815", "2024-11-20 13:45:00", "user@host",
    ]  # fmt: skip
    done = lint([*FAULTS, *((text, "pump") for text in texts)], select="private")
    assert done.findings == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("发邮件到zhang@qq.com。", "发邮件到[E-MAIL]。"),
        ("Tel.13812345678", "Tel.[TELEPHONE]"),
        ("Tel13812345678", "Tel[TELEPHONE]"),
        ("王工-13812345678", "王工-[TELEPHONE]"),
        ("13812345678-王工", "[TELEPHONE]-王工"),
        ("8613812345678", "[TELEPHONE]"),
        ("电话１３８１２３４５６７８，急", "电话[TELEPHONE]，急"),
        ("(010)12345678", "[TELEPHONE]"),
        ("（010）12345678", "[TELEPHONE]"),
        ("021-12345678-801", "[TELEPHONE]"),
        ("+49 30 1234 5678", "[TELEPHONE]"),
        ("密钥sk-abcDEF1234567890abcdef", "密钥[KEY]"),
        ("sk-ant-api03-x7Qp_2mVb9Kd4sLr8TzW1yN6", "[KEY]"),
        ("use sk-or-v1-0f9d3c51b7a24e68 here", "use [KEY] here"),
    ],
)
def test_what_is_private_is_masked_whatever_stands_beside_it(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessment-procedure-document", "task-2024-maintenance-procedure",
        "sk-learn-without-any-number-in-it", "sk-learn-pipeline-components-2",
        "sk-2024-10-maintenance-procedure-v2", "sk-learn-hyperparametersearch2",
        "批次001-20240307", "0012-1234567",
        "+12 100 200 300", "PN13812345678", "12.13812345678", "138123456789", "13812345678-01",
    ],
)  # fmt: skip
def test_codes_and_measurements_are_not_masked(text):
    assert mask(text) == text


def test_findings_name_the_part_where_files_share_a_name(tmp_path):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
    train, test = write(tmp_path / "a" / "x.csv", FAULTS), write(tmp_path / "b" / "x.csv", FAULTS)
    (leak,) = fewtune.check(train, test=test).findings
    assert str(leak.rows[0]) == "test/x.csv:2"


# --- with a model --------------------------------------------------------------------------------


def test_chinese_rows_on_an_english_model_are_an_error_with_advice(lint):
    done = lint(CHINESE, model="minilm", select="unknown-tokens")
    # MiniLM's vocabulary has some Chinese characters, so only rarer ones are unknown
    (one,) = done.findings
    assert "most of them Chinese" in one.message
    assert "reads Chinese, such as BAAI/bge-small-zh-v1.5 or google-bert/bert-base" in one.do


def test_a_wrong_label_is_doubted_and_right_ones_are_not(lint):
    pump = [f"the pump leaks water at the {x}" for x in PLACES]
    lamp = [f"the lamp in the {x} stays dark" for x in PLACES]
    rows = [*((t, "pump") for t in pump), *((t, "lamp") for t in lamp)]
    rows[3] = (rows[3][0], "lamp")
    done = lint(rows, model="minilm", select="label-noise")
    (one,) = done.findings
    assert [str(row) for row in one.rows] == ["train.csv:5"]
    assert "says 'lamp' and looks like 'pump'" in one.message


def test_rows_of_another_kind_in_the_test_file_are_told(lint):
    train = [(f"the pump leaks water at the {x}", "pump") for x in PLACES]
    train += [(f"the lamp in the {x} stays dark", "lamp") for x in PLACES]
    same = [(f"water drips from the pump at the {x}", "pump") for x in PLACES]
    other = [(f"dear customer service, I would like to return my {x}", "lamp") for x in PLACES]
    (one,) = lint(train, test=[*other, *same[:4]], model="minilm", select="shift").findings
    assert one.code == "shift-train-test"
    half = [row for k, row in enumerate(train) if k % 2]
    rest = [row for k, row in enumerate(train) if not k % 2]
    assert lint(half, test=rest, model="minilm", select="shift").findings == []


PLACES = [
    "inlet", "valve", "hall", "door", "roof", "gate", "stair", "office", "yard", "cellar", "bench",
    "tower", "dock", "bridge", "store", "kitchen", "attic", "lobby", "garage", "corridor", "studio",
    "depot", "cabin", "canteen",
]  # fmt: skip


# --- damaged files -------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_damage_makes_a_traceback_and_the_ledger_adds_up(tmp_path_factory, noise, at):
    path = tmp_path_factory.mktemp("fuzz") / "a.csv"
    whole = table([*FAULTS, *CHINESE])
    path.write_bytes(whole[:at] + noise + whole[at:])
    try:
        done = fewtune.check(path)
    except (FewtuneError, UsageError):
        return
    rows = done.rows
    assert rows["read"] == rows["kept"] + rows["quarantined"]
