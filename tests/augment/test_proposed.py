"""Synonyms and insertions from a model that proposes words."""

from random import Random

import pytest
from fakes import ANY, OTHERS, FakeProposer

from fewtune.augment.apply import augment
from fewtune.augment.base import Context
from fewtune.augment.context import context_of
from fewtune.augment.options import AugmentOptions
from fewtune.augment.recipes import RECIPES
from fewtune.data.dialogue import Message
from fewtune.data.row import Origin, Row

TEXTS = [
    "the pump runs hot after ten minutes and smells of oil",
    "strange noise near the gearbox, worse under load",
    "水泵启动以后轴承温度升高，并且有异响",
    "操作工说显示屏从周一开始就不亮了",
]
NAMES = ["synonym", "insert"]


def rows(texts):
    return [
        Row(Origin("a.csv", k), {"text": text, "label": "x"}) for k, text in enumerate(texts, 2)
    ]


def made(name, texts=TEXTS, seed=0, **options):
    return augment(rows(texts), [RECIPES[name](**options)], Context(proposer=FakeProposer()), seed)


@pytest.mark.parametrize("name", NAMES)
def test_one_call_asks_about_all_rows(name):
    proposer = FakeProposer()
    found = augment(rows(TEXTS), [RECIPES[name](strength=1)], Context(proposer=proposer), 0)
    assert proposer.calls == 1
    assert len(found.rows) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_rows_and_another_one_others(name):
    assert made(name, seed=1, strength=0.5) == made(name, seed=1, strength=0.5)
    assert made(name, seed=1, strength=0.5) != made(name, seed=2, strength=0.5)


def test_words_become_what_could_stand_there_and_nothing_else_changes():
    known = {word: key for key, others in OTHERS.items() for word in others}
    for row in made("synonym", strength=1).rows:
        text = row["text"]
        for word in sorted(known, key=len, reverse=True):
            text = text.replace(word, known[word])
        assert text == TEXTS[row.origin.line - 2]


@pytest.mark.parametrize("seed", range(5))
def test_words_are_put_in_between_and_all_others_stay(seed):
    found = made("insert", strength=0.3, seed=seed).rows
    assert len(found) == 4
    for row in found:
        text = row["text"]
        for word in (*ANY[False], *ANY[True]):
            text = text.replace(f"{word} ", "").replace(word, "")
        assert text == TEXTS[row.origin.line - 2]


@pytest.mark.parametrize("name", NAMES)
def test_the_share_of_words_that_change_is_the_strength(name):
    text = "pump hot noise dark display pump hot noise dark display"
    for strength, count in ((0.1, 1), (0.3, 3), (1, 10)):
        (row,) = made(name, [text], strength=strength).rows
        words = row["text"].split()
        changed = len(words) - 10 if name == "insert" else sum(
            new != old for new, old in zip(words, text.split(), strict=True)
        )  # fmt: skip
        assert changed == count


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_asks_nobody(name):
    proposer = FakeProposer()
    found = augment(rows(TEXTS), [RECIPES[name](strength=0)], Context(proposer=proposer))
    assert found.dropped == {"nothing could change": 4}
    assert proposer.calls == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_lexicon_goes_before_the_model(name):
    proposer = FakeProposer()
    context = Context({"pump": ("compressor",)}, proposer=proposer)
    (row,) = augment(rows(TEXTS), [RECIPES[name]()], context).rows
    assert "compressor" in row["text"]
    assert proposer.calls == 0


@pytest.mark.parametrize("name", NAMES)
def test_of_dialogues_what_users_say_changes(name):
    turns = (Message("user", "the pump is hot"), Message("assistant", "the pump is dry"))
    row = Row(Origin("a.jsonl", 1), {"messages": turns})
    context = Context(proposer=FakeProposer())
    (new,) = RECIPES[name](strength=1).rows([row], Random(0), context)
    assert new["messages"][0].content != turns[0].content
    assert new["messages"][1] == turns[1]


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_protected_words_are_not_asked_about(name):
    text = "pump P0301 hot, gearbox noise at 12.5 mm"
    context = Context(protected=frozenset({"gearbox", "hot"}), proposer=FakeProposer())
    for seed in range(10):
        for row in augment(rows([text]), [RECIPES[name](strength=1)], context, seed).rows:
            assert all(word in row["text"] for word in ("P0301", "hot", "gearbox", "12.5 mm"))


@pytest.mark.parametrize("name", NAMES)
def test_minilm_proposes_words_for_real_rows(name):
    recipes = (RECIPES[name](),)
    context = context_of(AugmentOptions(augment_model="minilm"), recipes)
    found = augment(
        rows(["the movie was awful and broken", "a quickly made film"]), recipes, context
    )
    assert len(found.rows) == 2
