"""Texts that a model writes: behind a real server, and from tiny models on this machine."""

import csv
import json
import os
import sys
from pathlib import Path
from random import Random

import pytest
import torch
import transformers

import fewtune
from fewtune.augment.apply import augment
from fewtune.augment.base import Context
from fewtune.augment.context import context_of
from fewtune.augment.options import AugmentOptions
from fewtune.augment.recipes import parse
from fewtune.augment.written import EXAMPLES, clean
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.cli import main
from fewtune.data.dialogue import Message
from fewtune.data.row import Origin, Row
from fewtune.models.writer import PATIENCE, answers_folder, endpoint_writer, local_writer, whole

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from tiny_models import GPT2, LLAMA, SIZES, Tiny, build

from serving import running, written

STORIES = Path(__file__).parents[3] / "shared" / "models" / "stories260K"
KEY = "sk-a-very-secret-key"
TEXTS = [
    "the pump runs hot after ten minutes",
    "strange noise near the gearbox",
    "A code P0301 shows at 5 bar",
    "水泵启动以后轴承温度升高",
    "变压器渗油严重，油位偏低",
    "显示屏从周一开始就不亮了",
]
LABELS = ["pump", "gear", "pump", "pump", "gear", "lamp"]
ROWS = [
    Row(Origin("a.csv", k), {"text": text, "label": label})
    for k, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True), 2)
]


@pytest.fixture(scope="module")
def process():
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    for name in ("FEWTUNE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(process):
    process.forget()
    return process


@pytest.fixture
def writer(server):
    return lambda calls=100: endpoint_writer(f"{server.url}#tiny-writer", calls)


def made(writer, recipes="paraphrase", rows=ROWS, seed=0, **named):
    context = Context(protected=frozenset(named.pop("protected", ())), writer=writer)
    return augment(rows, parse(recipes), context, seed, **named)


class Says:
    """A writer with one answer for all."""

    spent = 0

    def __init__(self, answer):
        self.answer = answer
        self.prompts = []

    def __call__(self, prompts, seed):
        self.prompts += prompts
        return [self.answer] * len(prompts)


# --- paraphrases ---------------------------------------------------------------------------------


def test_every_text_is_said_in_other_words_of_its_language(server, writer):
    found = made(writer())
    assert [row.origin for row in found.rows] == [row.origin for row in ROWS]
    for row, parent in zip(found.rows, ROWS, strict=True):
        assert row["label"] == parent["label"]
        assert row["text"].endswith(parent["text"])
        assert row["text"] != parent["text"]
        assert not set(row["text"]) & set('"“”\n')
    prompts = {one["body"]["messages"][0]["content"] for one in server.asked}
    assert len(prompts) == 6
    assert sum("请把下面的文本换一种说法" in one for one in prompts) == 3
    assert all(one["body"]["temperature"] == 0.8 for one in server.asked)


def test_the_same_seed_gives_the_same_rows_and_another_one_others(writer, monkeypatch, tmp_path):
    first, other = made(writer()), made(writer(), seed=1)
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "another"))
    assert made(writer()) == first
    assert other.rows != first.rows
    assert len(made(writer(), copies=2).rows) > 6


@pytest.mark.parametrize(
    ("text", "said", "is_kept"),
    [
        ("A code P0301 shows at 5 bar", "at 5 bar the code is P0301", True),
        ("A code P0301 shows at 5 bar", "at 15 bar the code is P0301", False),
        ("A code P0301 shows at 5 bar", "at 5.2 bar the code is P0301", False),
        ("A code P0301 shows at 5 bar", "at 5 the code is P0301", False),
        ("A code P0301 shows at 5 bar", "at 5 bar a code is seen", False),
        ("noise near the gearbox", "the gearbox is loud", True),
        ("noise near the gearbox", "the gear is loud", False),
        ("故障码P0301，轴承温度85度", "轴承达到85度，报P0301", True),
        ("故障码P0301，轴承温度85度", "轴承达到85度", False),
        ("故障码P0301，轴承温度85度", "水泵达到85度，报P0301", False),
    ],
)
def test_numbers_codes_units_and_protected_words_are_kept(text, said, is_kept):
    row = Row(Origin("a.csv", 2), {"text": text, "label": "x"})
    found = made(Says(said), rows=[row], protected=["gearbox", "轴承"])
    assert [one["text"] for one in found.rows] == [said] * is_kept
    assert found.dropped == ({} if is_kept else {"nothing could change": 1})


@pytest.mark.parametrize("answer", [None, "", "  \n", '""', "Paraphrase:"])
def test_no_answer_is_no_new_row(answer):
    found = made(Says(answer), "paraphrase,invent")
    assert found.rows == ()
    assert found.dropped == {"nothing could change": 12}


def test_what_has_no_words_is_not_asked_about():
    silent = Says("hello")
    assert made(silent, rows=[Row(Origin("a", 1), {"text": "42", "label": "x"})]).rows == ()
    assert silent.prompts == []


def test_of_a_dialogue_the_user_s_words_change(writer):
    turns = (Message("user", "is it hot"), Message("assistant", "yes"), Message("user", "how hot"))
    row = Row(Origin("a.jsonl", 1), {"messages": (*turns, Message("assistant", "80"))})
    (new,) = made(writer(), "paraphrase", [row]).rows
    said = [turn.content for turn in new["messages"]]
    assert said[0].endswith("is it hot") and said[0] != "is it hot"  # noqa: PT018
    assert said[1::2] == ["yes", "80"]
    assert made(writer(), "invent", [row]).dropped == {"nothing could change": 1}


# --- new rows ------------------------------------------------------------------------------------


def test_a_new_row_is_asked_for_with_others_of_its_class():
    rows = [
        Row(Origin("a.csv", k), {"text": f"text {k} end", "label": "xy"[k % 2]}) for k in range(20)
    ]
    says = Says("quite a new one")
    found = made(says, "invent", rows)
    assert [(one["text"], one["label"]) for one in found.rows] == [("quite a new one", "x")]
    for k, prompt in enumerate(says.prompts):
        shown = [line for line in prompt.splitlines() if line.startswith("- ")]
        numbers = {int(line.split()[2]) for line in shown}
        assert len(numbers) == EXAMPLES
        assert k not in numbers
        assert {number % 2 for number in numbers} == {k % 2}
        assert f'the class "{"xy"[k % 2]}"' in prompt


def test_a_row_alone_in_its_class_is_shown_itself():
    says = Says("灯不亮")
    made(says, "invent", ROWS[-1:])
    assert says.prompts[0].startswith("类别“lamp”的文本：\n- 显示屏从周一开始就不亮了")


def test_rows_without_one_label_stay_as_they_are():
    rows = [Row(Origin("a", 1), {"text": "one two", "label": ("x", "y")}), ROWS[0]]
    found = made(Says("three four"), "invent", rows)
    assert [row.origin for row in found.rows] == [ROWS[0].origin]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("the pump is hot", "the pump is hot"),
        ('"the pump is hot"', "the pump is hot"),
        ("**The pump is hot**", "The pump is hot"),
        ("Paraphrase: “the pump is hot”", "the pump is hot"),
        ("In other words: it is hot.", "it is hot."),
        ("改写：水泵过热", "水泵过热"),
        ("改写后的文本：「水泵过热」", "水泵过热"),
        ("1. the pump is hot\n2. the hot pump", "the pump is hot"),
        ("1、水泵过热\n2、泵热", "水泵过热"),
        ("- the pump is hot", "the pump is hot"),
        ("Sure, here is a new text:\n\nthe pump is hot", "the pump is hot"),
        ('"on" and "off"', '"on" and "off"'),
        ("12.5 mm off", "12.5 mm off"),
        ("it's the operators'", "it's the operators'"),
        ("*", "*"),
    ],
)
def test_what_models_put_round_a_text_is_taken_off(answer, text):
    assert clean(answer) == text


# --- the budget and the cache --------------------------------------------------------------------


def test_an_answer_is_paid_for_once(server, writer):
    first = made(writer())
    again = writer()
    assert made(again).rows == first.rows
    assert (again.spent, again.left, len(server.asked)) == (0, 100, 6)


def test_equal_prompts_are_one_call(server, writer):
    one = writer()
    assert len(set(one(["say hello"] * 3, 0))) == 1
    assert (one.spent, len(server.asked)) == (1, 1)


def test_the_budget_is_kept_and_the_next_run_goes_on_from_there(server, writer):
    short = writer(4)
    found = made(short, "paraphrase,invent")
    assert (len(found.rows), found.dropped) == (4, {"nothing could change": 8})
    assert (short.spent, short.left, len(server.asked)) == (4, 0, 4)
    rest = writer(100)
    assert len(made(rest).rows) == 6
    assert rest.spent == 2


def test_a_short_budget_is_spent_all_over_the_file(server, writer):
    writer(20)([f"say {k}" for k in range(100)], 0)
    asked = {int(one["body"]["messages"][0]["content"].split()[1]) for one in server.asked}
    assert len(asked) == 20
    assert max(asked) > 60


def test_the_cache_holds_no_key_and_is_its_owner_s_alone(writer, monkeypatch):
    monkeypatch.setenv("FEWTUNE_API_KEY", KEY)
    made(writer())
    files = list(answers_folder().iterdir())
    assert len(files) == 6
    assert all(KEY not in file.read_text("utf-8") + file.name for file in files)
    assert answers_folder().stat().st_mode & 0o077 == 0


def test_a_damaged_answer_is_asked_for_anew(server, writer):
    (before,) = writer()(["say hello"], 0)
    (file,) = answers_folder().iterdir()
    file.write_text('{"text": 3')
    assert writer()(["say hello"], 0) == [before]
    assert len(server.asked) == 2


def test_another_model_or_seed_is_another_answer(server, writer):
    writer()(["say hello"], 0)
    writer()(["say hello"], 1)
    endpoint_writer(f"{server.url}#other", 9)(["say hello"], 0)
    assert len(server.asked) == 3


def test_a_cache_that_cannot_be_written_is_told(server, writer, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(FewtuneError, match="set FEWTUNE_CACHE to a folder"):
        writer()(["say hello"], 0)
    assert server.asked == []


def test_without_a_setting_the_cache_is_the_user_s(monkeypatch, tmp_path):
    monkeypatch.delenv("FEWTUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert answers_folder() == tmp_path / "fewtune" / "answers"


# --- a server that fails -------------------------------------------------------------------------


def test_one_failure_costs_one_row_and_is_not_kept(server, writer):
    server.then({"status": 400, "body": {"error": {"message": "filtered"}}})
    one = writer()
    assert len(made(one).rows) == 5
    assert one.spent == 6
    assert len(made(writer()).rows) == 6


def test_if_every_call_fails_the_run_ends_with_the_server_s_sentence(server, writer, monkeypatch):
    monkeypatch.setenv("FEWTUNE_API_KEY", KEY)
    server.then({"status": 401, "body": {"error": f"no such key {KEY}"}}, always=True)
    with pytest.raises(FewtuneError, match="401 Unauthorized: no such key") as told:
        made(writer())
    assert KEY not in str(told.value)
    assert not list(answers_folder().iterdir())


def test_a_server_that_is_gone_is_not_asked_hundreds_of_times(server, writer):
    server.then({"status": 401}, always=True)
    with pytest.raises(FewtuneError, match="401"):
        writer(1000)([f"say {k}" for k in range(500)], 0)
    assert PATIENCE <= len(server.asked) < 5 * PATIENCE


def test_an_answer_that_is_cut_loses_its_unfinished_line(server, writer):
    cut = {"message": {"content": "first line\nsecond li"}, "finish_reason": "length"}
    server.then({"body": {"choices": [cut]}})
    assert writer()(["say hello"], 0) == ["first line"]
    assert whole("only li", finished=False) == ""
    assert whole("<think>because", finished=True) == ""


# --- a model on this machine ---------------------------------------------------------------------


def tiny(folder, template=None, config=transformers.GPT2Config, positions=256):
    """A random model that ends now and then, since it knows few words."""
    if config is transformers.GPT2Config:
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": positions}
        build(Tiny(config, sizes, GPT2), folder)
    else:
        build(Tiny(config, SIZES | {"max_position_embeddings": positions}, LLAMA), folder)
    if template:
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    return str(folder)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("tiny") / "gpt2")


PROMPTS = ["the pump is", "lamp dark after a day and the door", "oil", "motor"]


def raw(model, prompts=PROMPTS, seed=0):
    """Answers as they come, without cutting and cache."""
    from fewtune.models.sampler import Sampler

    return dict(Sampler(model, 0.8, 0.95)(prompts, seed))


def test_the_same_call_gives_the_same_texts_and_another_seed_others(gpt2):
    first = raw(gpt2)
    assert set(first) == set(PROMPTS)
    assert raw(gpt2) == first
    other = raw(gpt2, seed=1)
    assert all(other[prompt] != first[prompt] for prompt in PROMPTS)


def test_a_prompt_s_dice_do_not_depend_on_what_is_asked_beside_it(gpt2, monkeypatch):
    from fewtune.models import device

    monkeypatch.setattr(device, "_has_bf16", lambda found: False)
    assert raw(gpt2, PROMPTS[:1])[PROMPTS[0]] == raw(gpt2)[PROMPTS[0]]


def test_an_answer_ends_at_the_end_token(gpt2):
    answers = raw(gpt2, [f"{prompt} {k}" for k in range(6) for prompt in PROMPTS])
    ended = [one for one in answers.values() if one.finish_reason == "stop"]
    assert ended
    assert all("<|endoftext|>" not in one.text for one in answers.values())
    assert len({one.text for one in answers.values()}) > 12


def test_words_are_drawn_as_often_as_the_model_says(gpt2):
    from fewtune.models.sampler import Sampler

    chances = torch.tensor([0.5, 0.3, 0.16, 0.04])  # the last is beyond the likeliest 95 %
    scores = (chances.log() * 0.8).repeat(4000, 1)  # the temperature takes the 0.8 out again
    dice = Sampler(gpt2, 0.8, 0.95)._dice([str(k) for k in range(4000)], 0)
    drawn = dice(torch.zeros(4000, 1, dtype=torch.long), scores).argmax(1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0.5 / 0.96, 0.3 / 0.96, 0.16 / 0.96, 0], abs=0.03)


def test_answers_of_a_local_model_are_kept_until_it_is_trained_again(gpt2, tmp_path):
    first = local_writer(gpt2, 10)
    answers = first(PROMPTS, 0)
    again = local_writer(gpt2, 10)
    assert again(PROMPTS, 0) == answers
    assert (first.spent, again.spent) == (4, 0)
    weights = Path(gpt2) / "model.safetensors"
    os.utime(weights, (1, 1))
    later = local_writer(gpt2, 10)
    assert later(PROMPTS[:1], 0) == answers[:1]
    assert later.spent == 1


def test_a_chat_template_is_used_and_told_not_to_think(tmp_path):
    from fewtune.models.sampler import Sampler

    template = "{{ bos_token }}lamp {{ messages[0].content }} {{ enable_thinking }} door"
    model = tiny(tmp_path / "chat", template, transformers.LlamaConfig)
    sampler = Sampler(model, 0.8, 0.95)
    ids = sampler._encode("pump")
    assert sampler._tokenizer.decode(ids) == "<s> lamp pump <unk> door"


def test_a_prompt_too_long_to_answer_is_left_out(gpt2):
    one = local_writer(gpt2, 9)
    assert [bool(said) for said in one(["pump", "pump " * 200], 0)][1:] == [False]
    assert one.spent == 1


def test_a_model_without_room_for_any_is_told(tmp_path):
    model = tiny(tmp_path / "short", positions=64)
    with pytest.raises(FewtuneError, match="1 tokens and 128 for its answer are more"):
        local_writer(model, 9)(["pump"], 0)


def test_a_real_model_writes_english():
    if not STORIES.is_dir():
        pytest.skip("shared/models/stories260K, a language model of 1 MB, is not here")
    rows = [Row(Origin("a", k), {"text": text, "label": "story"}) for k, text in enumerate(
        ["Once upon a time there was a dog.", "Lily went to the park with her mom."])]  # fmt: skip
    one, other = (
        made(local_writer(str(STORIES), 20), "paraphrase", rows, seed, copies=3) for seed in (0, 1)
    )
    assert len(one.rows) >= 2
    assert one.rows != other.rows
    words = {word.strip('.,!?"') for row in one.rows for word in row["text"].lower().split()}
    assert words & {"the", "a", "and", "to", "was"}


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(TEXTS, LABELS, strict=True)])
    return str(path)


def test_the_command_asks_an_endpoint_and_says_how_often(server, table, capsys):
    asked = ["augment", table, "--augment", "paraphrase,invent", "--augment_endpoint"]
    with pytest.raises(SystemExit) as left:
        main([*asked, f"{server.url}#tiny-writer", "--augment_calls", "9"])
    said = " ".join(capsys.readouterr().out.split())
    assert left.value.code == 0
    assert "a model was asked for 9 texts" in said
    assert len(server.asked) == 9
    with pytest.raises(SystemExit):
        main([*asked, server.url, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["calls"] == 3
    assert told["made"] > 6


def test_the_command_asks_a_local_model(gpt2, table, tmp_path):
    out = tmp_path / "new.csv"
    with pytest.raises(SystemExit) as left:
        main(
            ["augment", table, "--augment", "invent", "--augment_model", gpt2, "--write", str(out)]
        )
    assert left.value.code == 0
    assert {row["recipe"] for row in csv.DictReader(out.open(encoding="utf-8"))} <= {"invent"}


def test_without_a_model_the_way_to_give_one_is_told(table):
    with pytest.raises(UsageError, match="paraphrase needs --augment_model CAUSAL-MODEL or"):
        fewtune.augment(table, augment="paraphrase")
    with pytest.raises(UsageError, match="strength"):
        fewtune.augment(table, augment="paraphrase:0.3", augment_endpoint="http://h")


def test_auto_tries_both_where_a_writer_is_given(server, table):
    rows, _, calls = fewtune.augment(table, augment="auto", augment_endpoint=server.url)
    assert {"paraphrase", "invent", "delete"} <= {row["recipe"] for row in rows}
    assert calls == 12


def test_an_address_is_looked_at_before_anything_is_asked():
    with pytest.raises(UsageError, match="the address of a server"):
        context_of(AugmentOptions(augment_endpoint="here"), parse("invent"))


def test_the_fake_of_the_laws_answers_as_the_server(server, writer):
    prompts = ["Text: a b", "原文：水泵"]
    assert writer()(prompts, Random(0).randrange(9)) == [
        whole(written(prompt, Random(0).randrange(9)), finished=True) for prompt in prompts
    ]
