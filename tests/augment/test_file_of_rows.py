"""`fewtune augment`: what may change, what is told where nothing can, dialogues, places."""

import json
from pathlib import Path

import pytest

import fewtune
from fewtune.augment.base import Context
from fewtune.augment.faithful import faithful
from fewtune.augment.words import cut
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.cli import main
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any

CAPITALS = [
    "INTAKE GASKET LEAKING AT CYLINDER NUMBER TWO",
    "ENGINE RUNS ROUGH ON LEFT MAGNETO DURING RUNUP",
    "BAFFLE BROKEN BEHIND THE STARTER MOTOR AGAIN",
    "PART LW-12345 WAS CRACKED AND P0301 IS STORED NOW",
]
TURNS = [
    {"role": "system", "content": "You are a fitter."},
    {"role": "user", "content": "why does the pump run hot every single morning?"},
    {"role": "assistant", "content": "the bearing is dry"},
    {"role": "user", "content": "and what should be done about it then?"},
    {"role": "assistant", "content": "grease it"},
]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The command in a folder with rows; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rows = [{"text": text, "label": "ab"[k % 2]} for k, text in enumerate(CAPITALS)]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    Path("chat.jsonl").write_text(json.dumps({"messages": TURNS, "id": 1}), encoding="utf-8")
    Path("link.jsonl").symlink_to("a.jsonl")

    def run(*words):
        with pytest.raises(SystemExit) as left:
            main(["augment", *words])
        said = capsys.readouterr()
        return left.value.code or 0, said.out, " ".join(said.err.split())

    return run


# --- what may change -----------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["delete", "swap", "typing", "aeda", "spaces", "case"])
def test_texts_in_capitals_can_change_and_their_codes_stay(recipe, call):
    rows, _, _ = fewtune.augment("a.jsonl", augment=recipe)
    assert len(rows) == 4
    assert "LW-12345" in rows[3]["text"]
    assert "P0301" in rows[3]["text"]


def test_capitals_among_other_words_are_codes():
    found = cut("the ABS ECU was replaced", lambda word: False)
    assert [found.pieces[k] for k in found.free] == ["the", "was", "replaced"]


@pytest.mark.parametrize(
    ("text", "negation"),
    [
        ("the pump does not start at all", "not"),
        ("PUMP WILL NOT START AT ALL", "NOT"),
        ("the pump doesn't start at all", "doesn't"),
        ("it runs without any oil pressure", "without"),
        ("the lamp never goes out again", "never"),
        ("水泵不能启动而且轴承没有发热", "不能"),
        ("压力表无显示并且阀门未关闭", "未"),
        ("the pump doesnt start at all", "doesnt"),
        ("the valve wasnt closed at all", "wasnt"),
        ("故障并非由于水泵漏油引起", "并非"),
        ("温度升高绝非正常现象", "绝非"),
    ],
)
def test_a_negation_is_never_taken_out_or_moved(text, negation):
    found = cut(text, lambda word: False)
    for k in found.free:
        assert negation not in found.pieces[k]
    assert len(found.free) >= 2


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("水泵三次跳闸以后停机", "三次"),
        ("二号车间照明一直闪烁", "二号"),
        ("bearing at 85 °C since monday", "°C"),
        ("PUMP RUNS AT 1500 RPM AND LEAKS", "RPM"),
        ("PRESSURE FELL BELOW 40 PSI AGAIN", "PSI"),
    ],
)
def test_numerals_and_units_are_never_taken_out_or_changed(text, kept):
    found = cut(text, lambda word: False)
    assert kept in found.pieces
    assert kept not in [found.pieces[k] for k in found.free]
    assert len(found.free) >= 2


def test_a_negation_may_be_said_in_other_words_by_a_model():
    said, asked = "the pump doesn't start", "the pump does not start"
    assert faithful(said, asked, Context()) == said
    assert faithful(said, asked, Context(protected=frozenset({"not"}))) == asked


# --- where nothing can change --------------------------------------------------------------------


def test_a_recipe_that_makes_nothing_says_why(call, tmp_path):
    (tmp_path / "zh.txt").write_text("泵,水泵\n", encoding="utf-8")
    code, out, err = call("a.jsonl", "--augment", "synonym", "--lexicon", "zh.txt", "--json")
    assert code == 0
    assert "synonym made no row: nothing could change (4 of 4 tried)" in err
    assert "is it of another language?" in json.loads(out)["notes"][0]
    _, _, err = call("chat.jsonl", "--augment", "drop_turns,delete", "--json")
    assert "made no row" not in err


def test_short_texts_that_cannot_lose_a_word_are_told(call, tmp_path):
    (tmp_path / "b.csv").write_text("text,label\nhot,a\nP0301,b\n", encoding="utf-8")
    _, _, err = call("b.csv", "--augment", "delete")
    assert "delete made no row" in err
    assert "a text of very few words" in err


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("protect", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "protect: words.txt is neither"),
        ("lexicon", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "lexicon: words.txt is neither"),
        ("lexicon", b'{"hot": ["warm"]}', "is JSON; a file of lines is expected"),
        ("lexicon", b"hot warm", "holds no synonyms"),
    ],
)
def test_files_of_the_wrong_form_are_refused(option, content, said, call, tmp_path):
    (tmp_path / "words.txt").write_bytes(content)
    recipe = "synonym" if option == "lexicon" else "delete"
    with pytest.raises(FewtuneError, match=said):
        fewtune.augment("a.jsonl", augment=recipe, **{option: "words.txt"})


# --- what is shown and written -------------------------------------------------------------------


def test_without_colours_changes_are_marked(call, monkeypatch):
    _, out, _ = call("a.jsonl", "--augment", "delete")
    assert out.count("[-") == 4
    assert "{+" not in out
    _, out, _ = call("a.jsonl", "--augment", "aeda")
    assert out.count("{+") >= 4


def test_dialogues_are_made_from_dialogues_and_train(call):
    code, out, _ = call("chat.jsonl", "--augment", "auto", "--write", "new.jsonl")
    assert code == 0
    assert "drop_turns" in out
    lines = [*map(json.loads, Path("new.jsonl").read_text(encoding="utf-8").splitlines())]
    assert {line["recipe"] for line in lines} >= {"drop_turns", "join_turns", "vary_system"}
    assert all(line["parent"] == "chat.jsonl:1" for line in lines)
    table = read_any("new.jsonl", DataOptions())
    assert table.shape.name == "messages"
    assert len(table.rows) == len(lines)
    answers = {turn["content"] for turn in TURNS if turn["role"] == "assistant"}
    for row in table.rows:
        for turn in row["messages"]:
            assert turn.role != "assistant" or {*turn.content.split("\n\n")} <= answers


def test_dialogues_go_to_no_table(call):
    code, _, err = call("chat.jsonl", "--augment", "delete", "--write", "new.csv")
    assert code == 2
    assert "write: a name ending in .jsonl" in err


def test_only_recipes_that_can_work_are_listed(call):
    _, _, err = call("a.jsonl")
    assert "delete" in err
    assert "drop_turns" not in err
    _, _, err = call("chat.jsonl")
    assert "drop_turns" in err
    assert "rotate" not in err


def test_rows_that_no_recipe_is_made_for_are_refused(call, tmp_path):
    pairs = {"sentence1": "a pump", "sentence2": "the pump", "label": "same"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pairs), encoding="utf-8")
    with pytest.raises(UsageError, match="holds rows of text pair, and recipes are made for texts"):
        fewtune.augment("pairs.jsonl", augment="delete")


@pytest.mark.parametrize("target", ["a.jsonl", "./a.jsonl", "link.jsonl"])
def test_the_rows_that_are_read_are_never_overwritten(target, call):
    before = Path("a.jsonl").read_bytes()
    code, _, err = call("a.jsonl", "--augment", "delete", "--write", target)
    assert code == 2
    assert f"write: {target} is read for this" in err
    assert Path("a.jsonl").read_bytes() == before


def test_a_place_that_cannot_be_written_is_told_first(call):
    code, _, err = call("none.csv", "--augment", "delete", "--write", "no/new.csv")
    assert code == 2
    assert "write: no file can be written in the folder no" in err


def test_rows_of_several_labels_keep_them(tmp_path):
    sets = [["pump", "lamp"], [], ["a, b"], ["lamp"]] * 4
    source = tmp_path / "a.jsonl"
    source.write_text(
        "".join(
            json.dumps({"text": f"the unit {k * 7919} stopped in the night", "labels": one}) + "\n"
            for k, one in enumerate(sets)
        )
    )
    for name in ("out.csv", "out.jsonl"):
        out = tmp_path / name
        rows = fewtune.augment(source, augment="swap", write=str(out))[0]
        parents = [int(row["parent"].rpartition(":")[2]) for row in rows]
        assert len(rows) > 12
        table = read_any(out, DataOptions(map={"labels": "labels"}))
        found = [list(row["labels"]) for row in table.rows]
        assert found == [sets[line - 1] for line in parents]
        assert [] in found
