"""Dialogues as tokens: what is learned, what is only read, what gives way where room is short."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from tiny_models import TINY, tokenizer_of
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.dialogue import Message
from fewtune.data.ledger import Unusable
from fewtune.data.row import Origin, Row
from fewtune.models.chat import TEMPLATES, pieces, rendered, set_template, stop_ids
from fewtune.tasks.generate import Generate, asked

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"
TURNS = (
    Message("system", "cold weather"),
    Message("user", "the pump leaks"),
    Message("assistant", "oil is low"),
    Message("user", "the door jams"),
    Message("assistant", "the lock turns again"),
)
#: A template of an instruct model, with a mark after every turn.
OWN = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def row(*turns, **more):
    return Row(Origin("a", 1), {"messages": tuple(turns), **more})


def tokenizer(family="qwen2", template=None):
    made = tokenizer_of(TINY[family])
    if family == "qwen2":
        made.backend_tokenizer.decoder = decoders.ByteLevel()
    if template == "own":
        made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        made.chat_template = OWN
        template = None
    set_template(made, template)
    return made


def learned(found, made, which=0):
    """The text of the learned tokens of a row."""
    rows = found.rows
    return made.decode(rows.ids[which][rows.weights[which] > 0])


@pytest.mark.parametrize("template", ["plain", "chatml", "bare", "own"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", "qwen3"])
def test_answers_are_learned_with_their_stop_token_and_nothing_else(family, template):
    made = tokenizer(family, template)
    found = Generate().encode([row(*TURNS)], made, 200)
    said = learned(found, made).replace(" ", "")
    stop = made.decode([set(stop_ids(made)).intersection(found.rows.ids[0].tolist()).pop()])
    stop = "<|im_end|>" if template == "own" else stop
    assert said == f"oilislow{stop}thelockturnsagain{stop}".replace(" ", "")
    assert found.cuts == [""]
    assert not found.unlearned
    assert not found.refused


@pytest.mark.parametrize("template", ["plain", "chatml", "bare", "own"])
def test_the_prompt_is_what_any_other_program_would_write(template):
    made = tokenizer(template=template)
    turns = TURNS[:2]
    ours = Generate().prompt(turns, made, 200)
    told = [{"role": one.role, "content": one.content} for one in turns]
    theirs = made.apply_chat_template(told, add_generation_prompt=True)["input_ids"]
    assert ours.tolist() == theirs


@pytest.mark.parametrize("template", ["plain", "chatml", "own"])
def test_training_and_use_begin_an_answer_alike(template):
    """The tokens before a learned answer are those of the prompt that asks for it."""
    made = tokenizer(template=template)
    rows = Generate().encode([row(*TURNS)], made, 200).rows
    prompt = Generate().prompt(TURNS[:-1], made, 200)
    assert rows.ids[0][: len(prompt)].tolist() == prompt.tolist()
    first = np.flatnonzero(rows.weights[0])
    assert len(prompt) in first, "the next token is learned"


@pytest.mark.parametrize("template", ["plain", "bare"])
def test_an_answer_that_was_given_is_followed_as_it_was_learned(template):
    """A tokenizer that writes a mark before every piece cuts one stretch otherwise than two."""
    made = spaced()
    set_template(made, template)
    rows = Generate().encode([row(*TURNS)], made, 400).rows
    for turns in (TURNS[:-1], (*TURNS[:2], Message("assistant", TURNS[2].content, 0), TURNS[3])):
        prompt = Generate().prompt(turns, made, 400)
        assert rows.ids[0][: len(prompt)].tolist() == prompt.tolist()


def spaced():
    """By pieces of letters with a mark before the first one, as SentencePiece has it."""
    cut = Tokenizer(models.BPE())
    cut.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    letters = sorted({one for turn in TURNS for one in turn.content} | set("UserAsitn:\n▁"))
    kinds = ["</s>"]
    cut.train_from_iterator(
        [], trainers.BpeTrainer(special_tokens=kinds, initial_alphabet=letters, show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=cut, eos_token="</s>", pad_token="</s>")


def test_last_learns_the_last_answer_and_all_everything():
    made = tokenizer()
    last = Generate("last").encode([row(*TURNS)], made, 200)
    assert learned(last, made).startswith("the lock turns again")
    every = Generate("all").encode([row(*TURNS)], made, 200).rows
    assert (every.weights[0] == 1).all()


def test_weights_of_turns_are_weights_of_tokens():
    made = tokenizer()
    turns = (
        *TURNS[:2],
        Message("assistant", "oil is low", 0.5),
        TURNS[3],
        Message("assistant", "x", 0),
    )
    found = Generate().encode([row(*turns)], made, 200)
    assert set(found.rows.weights[0].tolist()) == {0.0, 0.5}
    assert learned(found, made).startswith("oil is low")


def test_a_dialogue_of_weight_zero_teaches_nothing_and_is_told():
    made = tokenizer()
    turns = (TURNS[1], Message("assistant", "oil is low", 0))
    assert Generate().encode([row(*turns)], made, 200).unlearned == [0]


# --- short of room -------------------------------------------------------------------------------


def test_oldest_turns_go_first_and_the_system_text_stays():
    made = tokenizer()
    whole = len(Generate().encode([row(*TURNS)], made, 500).rows.ids[0])
    found = Generate().encode([row(*TURNS)], made, whole - 1)
    assert found.cuts == ["turns"]
    text = made.decode(found.rows.ids[0])
    assert "cold weather" in text
    assert "pump" not in text
    assert learned(found, made).startswith("the lock turns again")


def test_then_the_middle_of_the_prompt():
    made = tokenizer()
    turns = (Message("user", "begin " + "the pump leaks " * 40 + "finish"), TURNS[2])
    found = Generate().encode([row(*turns)], made, 60)
    assert found.cuts == ["prompt"]
    assert len(found.rows.ids[0]) == 60
    text = made.decode(found.rows.ids[0])
    assert "begin" in text
    assert "finish" in text
    assert learned(found, made).startswith("oil is low")


def test_an_answer_is_cut_only_where_it_alone_does_not_fit():
    made = tokenizer()
    turns = (TURNS[1], Message("assistant", "oil is low " * 60))
    found = Generate().encode([row(*turns)], made, 60)
    assert found.cuts == ["answer"]
    assert len(found.rows.ids[0]) == 60
    assert "pump" in made.decode(found.rows.ids[0])
    assert made.eos_token_id not in found.rows.ids[0][-1:]


def test_prompts_are_shortened_as_rows_are():
    made = tokenizer()
    assert len(Generate().prompt(TURNS[:-1], made, 40)) <= 40
    long = (Message("user", "begin " + "the pump leaks " * 40 + "finish"),)
    text = made.decode(Generate().prompt(long, made, 40))
    assert "begin" in text
    assert "finish" in text


def test_texts_are_learned_whole_in_as_many_rows_as_they_need():
    made = tokenizer()
    found = Generate().encode([Row(Origin("a", 1), {"text": "the pump leaks oil " * 30})], made, 50)
    rows = found.rows
    assert len(rows) > 1
    assert set(rows.rows) == {0}
    ids = np.concatenate(rows.ids)
    assert made.decode(ids[:-1]) == "the pump leaks oil " * 30
    assert ids[-1] == made.eos_token_id
    assert all((weights == 1).all() for weights in rows.weights)


# --- templates -----------------------------------------------------------------------------------


def test_a_template_that_refuses_a_row_sets_it_aside_with_its_words():
    made = tokenizer()
    made.chat_template = (
        "{{ raise_exception('no system here') if messages[0].role == 'system' }}" + OWN
    )
    found = Generate().encode([row(*TURNS), row(*TURNS[1:3])], made, 200)
    assert "no system here" in found.refused[0]
    assert list(found.refused) == [0]
    assert found.rows.rows == [1]


def test_a_template_that_leaves_answers_out_is_noticed():
    made = tokenizer()
    made.chat_template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    with pytest.raises(Unusable, match="does not write turn 3"):
        pieces(made, TURNS)


CALLS = [{"type": "function", "function": {"name": "close", "arguments": {"valve": 1}}}]


def called(calls, said=""):
    return (TURNS[1], Message("assistant", said, tool_calls=calls), Message("tool", "done"),
            Message("assistant", "oil is low"))  # fmt: skip


@pytest.mark.parametrize("said", ["", "close the valve"])
@pytest.mark.parametrize("template", ["plain", "chatml", "bare"])
def test_a_call_that_the_template_does_not_write_is_not_learned_as_no_answer(template, said):
    made = tokenizer(template=template)
    found = Generate().encode([row(*called(CALLS, said)), row(*TURNS)], made, 300)
    assert "turn 2 calls `close`, which the chat template does not write" in found.refused[0]
    assert list(found.refused) == [0]


@pytest.mark.parametrize("calls", [CALLS, json.dumps(CALLS)], ids=["objects", "text"])
def test_calls_are_learned_where_the_template_writes_them(calls):
    made = tokenizer(template="own")
    call = "{% for c in m.tool_calls or [] %}call {{ c.function.name }}{% endfor %}<|im_end|>"
    made.chat_template = OWN.replace("<|im_end|>", call)
    found = Generate().encode([row(*called(calls))], made, 300)
    assert learned(found, made) == "call close<|im_end|>oil is low<|im_end|>"
    broken = Generate().encode([row(*called("[{"))], made, 300)
    assert "tool_calls is no JSON" in broken.refused[0]


def test_a_call_that_a_turn_says_itself_is_learned_as_it_says_it():
    made = tokenizer()
    said = 'close {"valve": 1}'  # as ShareGPT's function_call
    found = Generate().encode([row(*called(said, said))], made, 300)
    assert learned(found, made).startswith(said)


def test_tools_are_given_to_the_template_as_a_list():
    made = tokenizer()
    made.chat_template = "{% for tool in tools or [] %}[{{ tool.name }}]{% endfor %}" + OWN
    for tools in ('[{"name": "gauge"}]', [{"name": "gauge"}]):
        found = Generate().encode([row(*TURNS, tools=tools)], made, 300).rows
        assert "[gauge]" in made.decode(found.ids[0])
    broken = Generate().encode([row(*TURNS, tools="[{")], made, 300)
    assert "no JSON" in broken.refused[0]


def test_a_template_that_hides_earlier_thoughts_still_gives_the_answers():
    """As Qwen3's: what stands in an earlier answer's thoughts is not written out again."""
    made = tokenizer(template="own")
    made.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}{{ m.content }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    found = [piece for piece in pieces(made, TURNS) if piece.weight]
    assert [piece.text for piece in found] == [
        "oil is low<|im_end|>", "<think></think>the lock turns again<|im_end|>",
    ]  # fmt: skip
    assert "".join(piece.text for piece in pieces(made, TURNS)) == rendered(made, TURNS)


def test_a_built_in_template_begins_as_the_tokenizer_begins():
    llama = tokenizer("llama", "plain")
    assert not rendered(llama, TURNS).startswith("<s>"), "this tokenizer adds no start by itself"


def test_what_is_no_template_is_refused():
    with pytest.raises(UsageError, match="plain, chatml, bare"):
        set_template(tokenizer_of(TINY["qwen2"]), "vicuna")
    endless = tokenizer_of(TINY["qwen2"])
    endless.eos_token = None
    with pytest.raises(FewtuneError, match="no end token"):
        set_template(endless, None)


def test_the_question_and_the_reference_are_taken_apart():
    question, answer = asked(row(*TURNS))
    assert question == TURNS[:-1]
    assert answer == "the lock turns again"


# --- a real tokenizer, Chinese ------------------------------------------------------------------


def test_chinese_dialogues_with_a_models_own_template():
    folder = SHARED / "tokenizer_minimind6400"
    if not folder.exists():
        pytest.skip("the tokenizer is not beside this checkout")
    made = AutoTokenizer.from_pretrained(folder)
    assert set_template(made, None) == "own"
    turns = (
        Message("user", "水泵漏油怎么办？"), Message("assistant", "先停机，再检查机封。"),
        Message("user", "停了。"), Message("assistant", "更换机封，注意泄压。"),
    )  # fmt: skip
    found = Generate().encode([row(*turns)], made, 200)
    assert learned(found, made) == "先停机，再检查机封。</s>更换机封，注意泄压。</s>"
    assert set(TEMPLATES) == {"plain", "chatml", "bare"}
