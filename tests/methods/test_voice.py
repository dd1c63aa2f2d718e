"""A voice: what it leaves of a long question, and what it streams."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from tiny_models import build_speaker

from fewtune.data.dialogue import Message
from fewtune.methods import parse
from fewtune.methods.base import prepare
from fewtune.methods.voice import Voice
from fewtune.models.chat import set_template
from fewtune.models.decoding import DecodingOptions
from fewtune.models.device import Machine
from fewtune.models.load import load_causal, load_tokenizer
from fewtune.models.options import ModelOptions
from fewtune.models.source import find

LONG = (Message("user", " ".join(["the pump leaks oil"] * 30)),)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Voice:
    """A GPT-2 of 64 positions."""
    folder = tmp_path_factory.mktemp("voices") / "gpt2"
    build_speaker("gpt2", folder)
    options = ModelOptions(model=str(folder))
    source = find(options)
    tokenizer = load_tokenizer(source)
    set_template(tokenizer, "plain")
    return Voice(load_causal(source, options), tokenizer, Machine("cpu", bf16=False), 64)


@pytest.mark.parametrize("name", ["prefix", "prompt", "ptuning", "lora+prefix"])
def test_a_soft_prompt_its_question_and_its_answer_share_the_positions(plain, name):
    method = parse(name, {"num_virtual_tokens": 20})
    model = prepare(deepcopy(plain.model), method).model
    voice = Voice(model, plain.tokenizer, plain.machine, 64)
    for length in (20, 40):  # an answer that fits, and one that is cut off
        how = DecodingOptions(max_new_tokens=length)
        (reply,) = voice.answer([LONG], how)
        assert 20 + len(voice._prompt(LONG, how, None)) + reply.tokens <= 64
        assert reply.stopped or reply.tokens >= 20
    method.switch(model, False)
    assert len(voice._prompt(LONG, DecodingOptions(max_new_tokens=20), None)) == 44


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ("User:", "close the User's door. "),
        ("User:|door.", "close the User's "),
        ("more of it|morello", "close the User's door. User: more"),
        (None, "close the User's door. User: more"),
    ],
)
def test_no_part_of_a_stop_text_is_streamed(plain, monkeypatch, stop, expected):
    decoding = DecodingOptions(stop=stop)
    said = "close the User's door. User: more"

    class Letters:
        def stream(self, *_):
            for end, letter in enumerate(said, 1):
                yield ord(letter)
                if any(one in said[:end] for one in decoding.stops):
                    return

    class Spelled:
        def decode(self, ids, **_):
            return "".join(map(chr, ids))

    voice = Voice(plain.model, Spelled(), plain.machine, 64)
    monkeypatch.setattr(Voice, "_prompt", lambda *_: None)
    monkeypatch.setattr(Voice, "_speaker", lambda _: Letters())
    pieces = list(voice.stream([], decoding))
    assert "".join(pieces) == expected
    assert len(pieces) > 10, "what is settled does not wait for the end"
