"""The commands as typed: exit codes, what stands on stdout, files in and out."""

import csv
import json
from pathlib import Path

import pytest
from jobs import rows, write_csv

import fewtune
from fewtune.cli import main

QUICK_FLAGS = ["--attention", "eager", "--max_steps", "2", "--bootstrap", "100"]
CHINESE = [
    ("水泵轴承处有异响，停机后重新启动仍然存在", "机械"),
    ("显示屏无显示，检查保险丝正常", "电气"),
    ("电机温度过高，十分钟后自动停机", "机械"),
    ("控制柜断路器跳闸，无法合闸", "电气"),
]


@pytest.fixture
def typed(capsys):
    """Type a command: its exit code, stdout and stderr."""

    def call(*words):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, " ".join(err.split())

    return call


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    """A TF-IDF run on Chinese rows."""
    root = tmp_path_factory.mktemp("chinese")
    found = [(f"{text}，{k}号机组", label) for k in range(10) for text, label in CHINESE]
    return fewtune.train(
        write_csv(root / "故障.csv", found),
        method="tfidf",
        output=str(root / "运行"),
        bootstrap=100,
    )


def test_train_with_json_prints_one_object_and_nothing_else(typed, files, tmp_path):
    run = tmp_path / "run"
    given = ["--model", files["model"], "--method", "full", "--output", run, *QUICK_FLAGS]
    code, out, err = typed("train", files["train"], *given, "--json")
    assert code == 0
    scores = json.loads(out)
    assert out.count("\n") == 1
    assert scores == json.loads((run / "scores.json").read_text(encoding="utf-8"))
    assert "trained" in err
    code, out, err = typed("train", files["train"], *given, "--json")
    assert (code, json.loads(out)) == (0, scores)  # finished already: the same answer
    code, out, err = typed("train", files["train"], *given, "--quiet")
    assert "is finished already" in err
    code, out, err = typed("resume", run)
    assert code == 0
    assert "is finished already" in err
    assert scores["verdict"].split(";")[0] in " ".join(out.split())


def test_flags_win_over_the_file_and_the_file_over_defaults(typed, files, tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text(
        f"model: {files['model']}\nmethod: lora\nlora_r: 2\nmax_steps: 9\nlearning_rate: 1e-3\n"
        f"attention: eager\nbootstrap: 100\nquiet: true\noutput: {tmp_path / 'run'}\n",
        encoding="utf-8",
    )
    code, _, err = typed("train", files["train"], "--config", config, "--max_steps", 1)
    assert (code, err) == (0, "")  # quiet
    plan = fewtune.load(tmp_path / "run").folder.plan
    assert (plan["method"]["name"], plan["method"]["lora_r"]) == ("lora", 2)
    assert (plan["train"]["max_steps"], plan["train"]["learning_rate"]) == (1, 1e-3)


def test_every_mistake_of_file_and_flags_is_told_at_once(typed, files, tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text(
        "learning_rte: 1\nlr_scheduler_type: cosin\nmax_steps: many\non: 1\n", encoding="utf-8"
    )
    code, out, err = typed("train", files["train"], "--config", config, "--warmup_ratio", 3)
    assert (code, out) == (2, "")
    for sentence in (
        "learning_rte: there is no such option. Did you mean 'learning_rate'?",
        "lr_scheduler_type: one of linear, cosine, constant; got 'cosin'. Did you mean 'cosine'?",
        "max_steps:",
        "True: there is no such option.",  # what YAML makes of `on`
        "warmup_ratio:",
    ):
        assert sentence in err
    assert not Path("runs").exists() or "job" not in [p.name for p in Path("runs").iterdir()]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [1", "is not valid YAML at line"),
        (b"- 1\n- 2\n", "must hold `name: value` lines"),
        (b"text: \xff\xfe\n", "is not UTF-8 text"),
    ],
)
def test_a_broken_config_is_a_sentence(typed, files, tmp_path, content, sentence):
    config = tmp_path / "job.yaml"
    config.write_bytes(content)
    code, _, err = typed("train", files["train"], "--config", config)
    assert code == 2
    assert sentence in err


def test_unknown_names_in_a_file_are_refused_by_every_command(typed, finished, tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text("txt: problem\n", encoding="utf-8")
    for words in (
        ("predict", finished.folder.path, "a text"),
        ("evaluate", finished.folder.path, "a.csv"),
        ("report", finished.folder.path),
        ("resume", finished.folder.path),
        ("runs", "list"),
        ("env",),
    ):
        code, _, err = typed(*words, "--config", config)
        assert code == 2, words
        assert "txt: there is no such option." in err


def test_unknown_flags_and_commands_are_refused(typed, files):
    code, _, err = typed("trian", files["train"])
    assert (code, "Did you mean 'train'?" in err) == (2, True)
    code, _, err = typed("train", files["train"], "--learning-rte", "1")
    assert code == 2
    assert "Traceback" not in err


def test_evaluate_prints_the_block_of_scores(typed, finished, files):
    run = finished.folder.path
    code, out, _ = typed("evaluate", run, files["test"], "--json", "--bootstrap", "100")
    assert code == 0
    assert json.loads(out)["test"]["accuracy"] == finished.scores["test"]["accuracy"]
    code, out, _ = typed("evaluate", run, files["test"])
    assert code == 0
    assert "30 rows, 30 kept" in out
    code, _, err = typed("evaluate", run, files["test"] + ".missing")
    assert code == 2
    assert ".missing" in err


def test_predict_answers_one_text_by_its_likeliest_labels(typed, finished):
    code, out, _ = typed("predict", finished.folder.path, "the pump leaks oil")
    assert code == 0
    first = out.splitlines()[0].split()[0]
    assert first == finished.predict("the pump leaks oil")[0]["prediction"]
    assert sum(float(line.split()[-1].rstrip("%")) for line in out.splitlines()) == pytest.approx(
        100, abs=0.2
    )


@pytest.mark.parametrize("name", ["later.ndjson", "later.XLSX", "later.tab", "later.pq"])
def test_a_missing_file_is_no_text_to_label(typed, finished, name):
    code, out, err = typed("predict", finished.folder.path, name)
    assert (code, out) == (2, "")
    assert name in err


def test_a_text_longer_than_a_file_name_is_a_text(typed, chinese):
    """In UTF-8 a hundred Chinese characters are too long for a name."""
    text = "显示屏无显示，检查保险丝正常。" * 30
    code, out, err = typed("predict", chinese.folder.path, text)
    assert (code, err) == (0, "")
    assert out.startswith("电气")


def test_what_was_an_excel_file_is_a_csv_that_excel_reads(typed, chinese, tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for row in [("text", "报修人"), ("液压泵漏油", "王"), ("断路器跳闸", "李")]:
        book.active.append(row)
    book.save(tmp_path / "新.xlsx")
    code, _, _ = typed(
        "predict", chinese.folder.path, tmp_path / "新.xlsx", "--output", tmp_path / "out.csv"
    )
    assert code == 0
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfprediction,")


def test_predict_writes_csv_and_jsonl_that_say_the_same(typed, chinese, tmp_path):
    source = write_csv(tmp_path / "新.csv", [("液压泵漏油，机械密封磨损", ""), ("断路器跳闸", "")])
    made = {}
    for name in ("out.csv", "out.jsonl"):
        path = tmp_path / name
        code, out, _ = typed("predict", chinese.folder.path, source, "--output", path)
        assert (code, out.split(":")[0]) == (0, "2 rows")
        made[name] = path.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in made["out.jsonl"].splitlines()]
    table = list(csv.DictReader(made["out.csv"].splitlines()))
    assert [one["prediction"] for one in lines] == ["机械", "电气"]
    assert [one["prediction"] for one in table] == ["机械", "电气"]
    assert [one["text"] for one in lines] == [one["text"] for one in table]
    assert [one["origin"] for one in table] == ["新.csv:2", "新.csv:3"]
    for one, row in zip(lines, table, strict=True):
        assert one["probability"] == {k: float(row[f"p({k})"]) for k in one["probability"]}
    assert "机械" in made["out.jsonl"]  # as itself, not as escapes


def test_the_columns_of_a_file_come_along_with_its_answers(typed, chinese, tmp_path):
    source = tmp_path / "工单.csv"
    rows = [["W1", "液压泵漏油", "", "旧"], ["W2", "断路器跳闸", "急,\n夜班", ""]]
    with open(source, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["工单号", "现象", "备注", "prediction"], *rows])
    table, lines = tmp_path / "out.csv", tmp_path / "out.jsonl"
    for output in (table, lines):
        code, _, _ = typed("predict", chinese.folder.path, source, "--output", output)
        assert code == 0
    with open(table, encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [one["prediction"] for one in found] == ["机械", "电气"]
    own = ("工单号", "现象", "备注", "prediction (of the file)")
    assert [*found[0]][:6] == ["prediction", "origin", *own]
    assert [[one[name] for name in own] for one in found] == rows
    said = [json.loads(line)["columns"] for line in lines.read_text("utf-8").splitlines()]
    assert [[*one.values()] for one in said] == rows


def test_a_column_without_a_name_is_called_text(typed, chinese, tmp_path):
    source = tmp_path / "新.txt"
    source.write_text("液压泵漏油\n断路器跳闸\n", encoding="utf-8")
    _, out, _ = typed("predict", chinese.folder.path, source)
    assert out.splitlines()[0].startswith("prediction,origin,text,p(")


def test_predict_prints_a_file_s_rows_as_csv_or_as_one_json(typed, finished, files):
    run = finished.folder.path
    _, out, _ = typed("predict", run, files["test"])
    told = list(csv.DictReader(out.splitlines()))
    assert [one["text"] for one in told] == [text for text, _ in rows(30, seed=1)]
    _, out, _ = typed("predict", run, files["test"], "--json")
    assert [one["prediction"] for one in json.loads(out)] == [one["prediction"] for one in told]


def test_predict_refuses_another_kind_of_output_and_a_folder_that_is_no_run(
    typed, finished, tmp_path
):
    code, _, err = typed("predict", finished.folder.path, "a text", "--output", "out.txt")
    assert code == 2
    assert "a name ending in .csv or .jsonl" in err
    code, _, err = typed("predict", tmp_path, "a text")
    assert code == 2
    assert "not a run folder" in err


def test_chinese_rows_keep_their_text_through_the_run(chinese):
    told = list(chinese.folder.predictions)
    assert {one["label"] for one in told} == {"机械", "电气"}
    assert all("号机组" in one["text"] for one in told)
    assert "positive_f1" in chinese.scores["test"]


def test_ctrl_c_outside_of_training_leaves_with_130(typed, files, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("fewtune.api.train", interrupted)
    code, out, err = typed("train", files["train"])
    assert (code, out) == (130, "")
    assert "interrupted" in err
    code, out, _ = typed("train", files["train"], "--json")
    assert code == 130
    assert "interrupted" in json.loads(out)["error"]
