"""What a file holds is found by its columns."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.dialogue import Message
from fewtune.data.holdout import together
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any
from fewtune.data.shapes import SHAPES

ASK, SAY = Message("user", "why is it hot?"), Message("assistant", "the bearing is dry")
TURNS = [
    {"role": "user", "content": "why is it hot?"},
    {"role": "assistant", "content": "the bearing is dry"},
]
#: shape -> a record of it.
ONE = {
    "text/label": {"text": "pump is hot", "label": "pump"},
    "multi-label": {"text": "pump is hot", "labels": ["pump", "heat"]},
    "text pair": {"sentence1": "pump is hot", "sentence2": "hot pump", "label": "same"},
    "alpaca": {"instruction": "why is it hot?", "input": "", "output": "the bearing is dry"},
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "why is it hot?"},
            {"from": "gpt", "value": "the bearing is dry"},
        ]
    },
    "messages": {"messages": TURNS},
    "messages with images": {"messages": TURNS, "images": ["a.jpg"]},
    "prompt/completion": {"prompt": "why is it hot?", "completion": "the bearing is dry"},
    "query/response": {"question": "why is it hot?", "answer": "the bearing is dry"},
    "triplet": {"anchor": "hot pump", "positive": "pump is hot", "negative": "lamp is dark"},
    "qrels": {"query_id": "q1", "corpus_id": "d7", "score": 1},
    "image/label": {"file": "images/a.jpg", "label": "scratch"},
    "plain text": {"content": "a long story"},
}


@pytest.fixture
def read_json(tmp_path):
    def call(*records, **options):
        path = tmp_path / "rows.jsonl"
        lines = (json.dumps(one, ensure_ascii=False) for one in records)
        path.write_text("\n".join(lines), encoding="utf-8")
        return read_any(path, DataOptions(**options))

    return call


def test_every_shape_has_an_example():
    assert {shape.name for shape in SHAPES} == ONE.keys()


@pytest.mark.parametrize("name", ONE)
def test_a_shape_is_found_by_its_columns(read_json, name):
    table = read_json(ONE[name], ONE[name])
    assert table.shape
    assert table.shape.name == name
    assert len(table.rows) == 2
    if "generate" in table.shape.task and name != "plain text":
        assert table.rows[0]["messages"] == (ASK, SAY)


def test_chinese_columns_are_found(read_json):
    assert read_json({"指令": "为什么发热？", "输出": "轴承缺油"}).shape.name == "alpaca"
    assert read_json({"文本": "泵发热", "标签": "泵"}).shape.name == "text/label"


def test_instruction_input_system_and_history_become_turns(read_json):
    table = read_json(
        {
            "instruction": "Name the part.",
            "input": "DE bearing hot",
            "output": "bearing",
            "system": "You are a fitter.",
            "history": [["hello", "hi"]],
        }
    )
    assert [(one.role, one.content) for one in table.rows[0]["messages"]] == [
        ("system", "You are a fitter."),
        ("user", "hello"),
        ("assistant", "hi"),
        ("user", "Name the part.\nDE bearing hot"),
        ("assistant", "bearing"),
    ]


def test_tools_weights_and_parts_are_kept(read_json, tmp_path):
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "what is it? "},
                                     {"type": "image_url", "image_url": {"url": "a.jpg"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "look"}]},
        {"role": "tool", "content": "a pump", "name": "look"},
        {"role": "assistant", "content": "a pump", "weight": 0},
    ]  # fmt: skip
    table = read_json(*[{"messages": turns, "tools": [{"name": "look"}]}] * 2)
    user, call, tool, answer = table.rows[0]["messages"]
    assert (user.content, user.images) == (
        "what is it? <image>",
        (str(tmp_path / "a.jpg"),),
    )
    assert call.tool_calls == [{"name": "look"}]
    assert tool.name == "look"
    assert answer.weight == 0
    assert table.rows[0]["tools"] == [{"name": "look"}]


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ([{"role": "wizard", "content": "x"}, *TURNS], "format-role"),
        ([TURNS[1], TURNS[0]], "format-turns"),
        ([TURNS[0], *TURNS], "format-turns"),
        ([TURNS[0]], "format-turns"),
        ([TURNS[0], {"role": "assistant", "content": " "}], "empty-turn"),
        (["hello"], "format-type"),
        ("hello", "format-type"),
        ([{"role": "user", "content": 3}, TURNS[1]], "format-type"),
        ([TURNS[0], {**TURNS[1], "weight": "much"}], "format-type"),
        ([TURNS[0], {**TURNS[1], "weight": -1}], "format-type"),
        ([TURNS[0], {**TURNS[1], "weight": float("nan")}], "format-type"),
    ],
)
def test_a_dialogue_that_cannot_be_learned_is_set_aside_with_its_reason(read_json, turns, code):
    table = read_json(ONE["messages"], {"messages": turns})
    (entry,) = table.ledger.quarantined
    assert entry.code == code
    assert entry.reason
    assert str(entry.origin) == "rows.jsonl:2"
    assert table.ledger.read == 2 == table.ledger.kept + 1


def test_a_named_role_decides_the_shape(read_json):
    record = {"problem": "pump is hot", "action": "grease it", "code": "P1"}
    table = read_json(record, map="instruction=problem,output=action")
    assert table.shape.name == "alpaca"
    table = read_json(record, map="text=problem,label=code")
    assert table.shape.name == "text/label"
    table = read_json({"a": "pump", "b": "x;y"}, map="text=a,labels=b")
    assert table.shape.name == "multi-label"
    assert table.rows[0]["labels"] == ("x", "y")


def test_a_file_of_no_shape_is_refused_with_what_would_be_one(read_json):
    with pytest.raises(UsageError, match="none of the shapes that fewtune reads"):
        read_json({"p": 1, "q": 2, "r": 3})


def test_a_path_in_a_table_starts_from_the_tables_folder(read_json, tmp_path, monkeypatch):
    record = {"file": "images/a.jpg", "label": "scratch"}
    away = {"file": "/elsewhere/b.jpg", "label": "scratch"}
    monkeypatch.chdir("/")
    one, other = read_json(record, away).rows
    assert one["image"] == str(tmp_path / "images" / "a.jpg")
    assert other["image"] == "/elsewhere/b.jpg"


def test_a_table_given_by_a_relative_path_gives_paths_that_open_from_anywhere(
    read_json, tmp_path, monkeypatch
):
    read_json({"file": "images/a.jpg", "label": "scratch"})
    monkeypatch.chdir(tmp_path)
    for name in ("rows.jsonl", "./rows.jsonl", f"../{tmp_path.name}/rows.jsonl"):
        (row,) = read_any(name, DataOptions()).rows
        assert Path(row["image"]).is_absolute()
        assert Path(row["image"]).resolve() == tmp_path / "images" / "a.jpg"


def test_a_table_written_on_windows_finds_its_images(read_json, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    (row,) = read_json({"image": "images\\a.jpg", "label": "划痕"}).rows
    assert Path(row["image"]).read_bytes() == b"x"


def test_an_address_stays_and_an_object_is_no_path(read_json):
    table = read_json(
        {"image": "https://example.com/a.jpg", "label": "x"},
        {"image": {"bytes": ""}, "label": "x"},
        {"image": "", "label": "x"},
    )
    assert [row["image"] for row in table.rows] == ["https://example.com/a.jpg"]
    assert [entry.code for entry in table.ledger.quarantined] == ["format-type", "empty-image"]


def test_images_of_a_dialogue_are_paths_too(read_json, tmp_path):
    record = {"messages": TURNS, "images": ["a.jpg", "more/b.jpg"]}
    one, other = read_json(record, {**record, "images": "a.jpg"}).rows
    assert one["images"] == (str(tmp_path / "a.jpg"), str(tmp_path / "more" / "b.jpg"))
    assert other["images"] == (str(tmp_path / "a.jpg"),)


def test_a_folder_by_class_gives_paths_that_open_from_anywhere(tmp_path, monkeypatch):
    for name in ("裂纹/1.png", "scratch/1.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    rows = read_any("data", DataOptions()).rows
    assert [(row["label"], row["image"]) for row in rows] == [
        ("scratch", str(tmp_path / "data" / "scratch" / "1.png")),
        ("裂纹", str(tmp_path / "data" / "裂纹" / "1.png")),
    ]
    assert [str(row.origin) for row in rows] == [
        "data/scratch/1.png:1",
        "data/裂纹/1.png:1",
    ]


@pytest.mark.parametrize("name", ["neu_surface/ship.csv", "neu_surface/images"])
def test_all_real_images_can_be_opened(shared, name):
    rows = read_any(shared(name), DataOptions()).rows
    assert len(rows) == 1200
    assert all(Path(row["image"]).is_file() for row in rows)


REAL = {
    "llamafactory_demo/alpaca_en_demo.json": ("alpaca", 999, {}),
    "llamafactory_demo/alpaca_zh_demo.json": ("alpaca", 1000, {}),
    "llamafactory_demo/identity.json": ("alpaca", 91, {}),
    "llamafactory_demo/glaive_toolcall_en_demo.json": ("sharegpt", 300, {}),
    "llamafactory_demo/mllm_demo.json": ("messages with images", 6, {}),
    "industrial_ner_zh/sft/train.jsonl": ("alpaca", 1533, {}),
    "industrial_ner_zh/sft/test.jsonl": ("alpaca", 392, {}),
    "industrial_ner_zh/multilabel/train.jsonl": ("multi-label", 1533, {}),
    "industrial_ner_zh/multilabel/test.jsonl": ("multi-label", 392, {}),
    "industrial_ner_zh/train_text.jsonl": ("plain text", 1903, {}),
    "maintnet_aircraft/sft/train.jsonl": ("alpaca", None, {}),
    "maintnet_aircraft/sft/test.jsonl": ("alpaca", None, {}),
    "maintnet_aircraft/annotated_problems.csv": (
        "text/label", None, {"map": "text=PROBLEM,label=PART"},
    ),
    "gsm8k/train.jsonl": ("query/response", 7473, {}),
    "goemotions/train.tsv": ("multi-label", 43410, {"map": "text=1,labels=2"}),
    "banking77/train.csv": ("text/label", 10001, {}),
    "sst2/stsa.binary.dev": ("text/label", 872, {}),
    "thucnews_titles/dev.txt": ("text/label", 10000, {}),
    "zh_reviews/ChnSentiCorp_htl_all.csv": ("text/label", 7765, {}),
    "neu_surface/ship.csv": ("image/label", 1200, {}),
    "zh_poems/poetry_corpus.json": ("plain text", 10456, {}),
}  # fmt: skip


def test_many_real_files_are_tried():
    assert len(REAL) == 21


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_is_read_without_options_or_with_one(shared, name):
    shape, rows, options = REAL[name]
    table = read_any(shared(name), DataOptions(**options))
    assert table.shape.name == shape
    assert rows is None or len(table.rows) == rows
    assert table.ledger.read == len(table.rows) + len(table.ledger.quarantined)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(ONE)),
    st.binary(min_size=1, max_size=40),
    st.integers(0, 400),
    st.integers(0, 40),
)
def test_no_damage_makes_a_traceback_and_the_ledger_adds_up(
    tmp_path_factory, name, noise, at, gone
):
    path = tmp_path_factory.mktemp("fuzz") / "rows.jsonl"
    whole = "\n".join([json.dumps(ONE[name])] * 4).encode()
    path.write_bytes(whole[:at] + noise + whole[at + gone :])
    try:
        table = read_any(path, DataOptions())
    except (FewtuneError, UsageError):
        return
    ledger = table.ledger
    assert ledger.read == ledger.kept + len(ledger.quarantined)
    assert ledger.kept == len(table.rows)


def test_equal_images_stay_on_one_side_whatever_their_names(tmp_path):
    for name, raw in (("a/1.png", b"x"), ("a/2.png", b"y"), ("b/1.png", b"x")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(raw)
    assert together(read_any(tmp_path, DataOptions()).rows) == [0, 1, 0]


def test_an_id_column_beside_turns_is_no_system_message(tmp_path):
    lines = [json.dumps({"id": k, "messages": TURNS}) for k in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    table = read_any(tmp_path / "a.jsonl", DataOptions())
    assert table.columns == {"messages": "messages"}
    assert [turn.role for turn in table.rows[0]["messages"]] == ["user", "assistant"]
