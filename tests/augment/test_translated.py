"""Back-translation of rows."""

from random import Random

import pytest
from fakes import FakeTranslator

from fewtune.augment.apply import augment
from fewtune.augment.base import Context
from fewtune.augment.context import context_of, parts_given
from fewtune.augment.options import AugmentOptions
from fewtune.augment.recipes import RECIPES, candidates, parse
from fewtune.base.errors import UsageError
from fewtune.data.dialogue import Message
from fewtune.data.row import Origin, Row

TEXTS = ["the pump P0301 runs hot at 85 °C", "轴承温度85℃，需要检修", "lamp dark"]


class Table:
    """Says what a table has, and remembers what it was asked."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def __call__(self, texts, sample, seed):
        self.asked.append((list(texts), sample, seed))
        return [self.table.get(text, text) for text in texts]


def rows(texts):
    return [
        Row(Origin("a.csv", k), {"text": text, "label": "x"}) for k, text in enumerate(texts, 2)
    ]


def made(table, text, protected=()):
    """What becomes of one text that a translation turns into another."""
    context = Context(protected=frozenset(protected), translator=Table({text: table}))
    found = augment(rows([text]), parse("backtranslate"), context)
    return found.rows[0]["text"] if found.rows else found.dropped


def test_all_rows_are_translated_in_one_call():
    table = Table({TEXTS[2]: "the light is out"})
    found = augment(rows(TEXTS), parse("backtranslate"), Context(translator=table))
    assert [row["text"] for row in found.rows] == ["the light is out"]
    assert found.dropped == {"nothing could change": 2}
    assert [asked for asked, _, _ in table.asked] == [TEXTS]


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("code P0301 at 85 °C", "code at 85 °C"),
        ("moved 12.5 mm", "moved 2.5 mm"),
        ("moved 5 mm", "moved 5.2 mm"),
        ("moved 5 mm", "moved 5 cm"),
        ("轴承温度85℃", "轴承温度很高"),
        ("bearing at 85 °C", "the bearing has 85"),
        ("part 6204-2RS is worn", "part 6204 is worn"),
        ("the DE side", "the side"),
        ("the gearbox is hot", "the transmission is hot"),
        ("轴瓦发热", "轴套发热"),
        ("the pump is hot", ""),
    ],
)
def test_a_row_whose_number_code_unit_or_protected_word_is_lost_is_dropped(text, new):
    assert made(new, text, {"gearbox", "轴瓦"}) == {"nothing could change": 1}


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("code P0301 at 85 °C", "at 85 °C the code is P0301"),
        ("轴承温度85℃", "轴承的温度是85℃"),
        ("the gearbox is hot", "hot is the gearbox"),
        ("A pump is hot", "the pump runs hot"),  # no ampere
        ("bearing at 85 °C", "the bearing has 85°C"),
        ("bearing at 85 °C", "the bearing has 85℃"),
        ("PUMP RUNS AT 1500 RPM", "the pump runs at 1500 rpm"),
        ("水泵三次跳闸", "水泵跳闸3次"),
    ],
)
def test_a_row_that_keeps_them_is_kept(text, new):
    assert made(new, text, {"gearbox"}) == new


def test_copies_differ_where_words_are_drawn():
    context = Context(translator=FakeTranslator())
    greedy = augment(rows(TEXTS), parse("backtranslate"), context, copies=3)
    drawn = augment(rows(TEXTS), parse([{"backtranslate": {"sample": True}}]), context, copies=9)
    assert len(greedy.rows) == 3
    assert greedy.dropped == {"the same as another row": 6}
    assert len(drawn.rows) > 3


def test_the_seed_reaches_the_dice():
    table = Table({})
    for seed in (1, 1, 2):
        augment(
            rows(TEXTS), [RECIPES["backtranslate"](sample=True)], Context(translator=table), seed
        )
    (_, drawn, first), (_, _, again), (_, _, other) = table.asked
    assert drawn
    assert first == again != other


def test_of_dialogues_what_users_say_is_translated():
    turns = (Message("user", "is it hot"), Message("assistant", "yes"), Message("user", "why"))
    row = Row(Origin("a.jsonl", 1), {"messages": turns})
    table = Table({"is it hot": "does it run hot", "yes": "no", "why": "what for"})
    (new,) = RECIPES["backtranslate"]().rows([row], Random(0), Context(translator=table))
    assert [turn.content for turn in new["messages"]] == ["does it run hot", "yes", "what for"]


def test_without_translators_it_is_refused_and_not_tried():
    with pytest.raises(UsageError, match="backtranslate needs --translators THERE,BACK"):
        context_of(AugmentOptions(), parse("backtranslate"))
    with pytest.raises(UsageError, match="give two models"):
        context_of(AugmentOptions(translators="one"), parse("backtranslate"))
    with pytest.raises(UsageError, match="none are given"):
        augment(rows(TEXTS), parse("backtranslate"), Context())
    assert "backtranslate" not in {one.name for one in candidates(set())}
    given = parts_given(AugmentOptions(translators="a,b"))
    assert "backtranslate" in {one.name for one in candidates(given)}


def test_it_has_no_strength():
    with pytest.raises(UsageError, match="strength: there is no such option"):
        parse([{"backtranslate": {"strength": 0.2}}])
