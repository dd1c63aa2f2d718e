"""Recipes of dialogues keep roles and order valid."""

import sys
from pathlib import Path

import pytest
from fakes import FakeTranslator

from fewtune.augment.apply import augment
from fewtune.augment.base import Context
from fewtune.augment.recipes import RECIPES, parse
from fewtune.base.errors import UsageError
from fewtune.data.dialogue import Message, in_order
from fewtune.data.row import Origin, Row

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving import FakeWriter

NAMES = [name for name, recipe in RECIPES.items() if recipe.kind != "image"]
LEXICON = {"hot": ("warm",), "bearing": ("bush",), "温度": ("热度",), "轴承": ("轴瓦",)}
CONTEXT = Context(LEXICON, translator=FakeTranslator(), writer=FakeWriter())


def dialogue(*said, system=None):
    turns = [Message("system", system)] if system else []
    turns += [Message(("user", "assistant")[k % 2], text) for k, text in enumerate(said)]
    return tuple(turns)


ROWS = [
    Row(Origin("a.jsonl", k), {"messages": turns})
    for k, turns in enumerate(
        [
            dialogue(
                "why is the bearing so hot today", "it is dry", "what should be done then",
                "grease it", "and after that, please tell me", "measure again",
                system="You are a fitter.",
            ),
            dialogue(
                "轴承温度为什么这么高，请说明", "缺油", "应该怎么处理这个问题", "加油",
                system="你是维修工。",
            ),
            dialogue("is the pump running hot again", "yes, it is"),
        ],
        1,
    )
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_what_comes_out_is_a_dialogue_that_can_be_learned(name, seed):
    found = augment(ROWS, [RECIPES[name]()], CONTEXT, seed)
    assert found.rows or found.dropped
    for row in found.rows:
        turns = row["messages"]
        assert in_order(turns) == turns
        assert turns[-1] == next(one for one in ROWS if one.origin == row.origin)["messages"][
            -1
        ] or (name == "join_turns")
        assert row.recipe == name


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_learned_as_they_are(name):
    before = {turn.content for row in ROWS for turn in row["messages"] if turn.role == "assistant"}
    for row in augment(ROWS, [RECIPES[name]()], CONTEXT, 1).rows:
        for turn in row["messages"]:
            if turn.role == "assistant":
                assert all(part in before for part in turn.content.split("\n\n"))


def test_early_turns_go_and_the_system_message_stays():
    (row, *_) = augment(ROWS, parse("drop_turns"), Context(), 0).rows
    assert row["messages"][0].content == "You are a fitter."
    assert len(row["messages"]) < len(ROWS[0]["messages"])


def test_a_system_message_is_varied_in_its_language():
    english, chinese = augment(ROWS, parse("vary_system"), Context(), 0).rows
    assert english["messages"][0].content.endswith(": You are a fitter.")
    assert chinese["messages"][0].content.endswith("：你是维修工。")


def test_a_recipe_of_dialogues_refuses_texts():
    texts = [Row(Origin("a.csv", 2), {"text": "the pump is hot", "label": "x"})]
    with pytest.raises(UsageError, match="drop_turns changes dialogues, and these rows are texts"):
        augment(texts, parse("drop_turns"), Context())
