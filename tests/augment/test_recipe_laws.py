"""What every recipe keeps to, by being in the registry."""

import sys
from pathlib import Path
from random import Random

import pytest
from fakes import FakeProposer, FakeTranslator

from fewtune.augment.apply import augment
from fewtune.augment.base import Context
from fewtune.augment.context import context_of
from fewtune.augment.options import AugmentOptions
from fewtune.augment.recipes import RECIPES, candidates, parse
from fewtune.augment.slips import ALIKE, SOUNDS
from fewtune.base.errors import UsageError
from fewtune.data.row import Origin, Row

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving import FakeWriter

ENGLISH = [
    "the pump runs hot after ten minutes and smells of oil",
    "strange noise near the gearbox, worse under load",
    "operator says the display stays dark since Monday",
]
CHINESE = [
    "水泵启动以后轴承温度升高，并且有异响",
    "变压器渗油严重，油位偏低，需要检修",
    "操作工说显示屏从周一开始就不亮了",
]
LEXICON = {
    "pump": ("compressor", "blower", "booster"), "hot": ("warm",), "noise": ("sound",),
    "dark": ("black",),
    "温度": ("热度", "热量"), "严重": ("厉害",), "显示屏": ("屏幕",),
}  # fmt: skip


CONTEXT = Context(
    LEXICON, frozenset({"gearbox", "轴承"}), FakeProposer(), FakeTranslator(), FakeWriter()
)
NAMES = [name for name, recipe in RECIPES.items() if recipe.kind == "text"]
STRONG = [name for name in NAMES if "strength" in RECIPES[name].model_fields]


def rows(texts):
    return [Row(Origin("a.csv", k), {"text": t, "label": "x"}) for k, t in enumerate(texts, 2)]


def made(name, texts, seed=0, context=CONTEXT, **options):
    return augment(rows(texts), [recipe(name, **options)], context, seed)


def recipe(name, **options):
    """With the options that it has."""
    cls = RECIPES[name]
    return cls(**{one: value for one, value in options.items() if one in cls.model_fields})


def test_the_recipes_are_under_the_laws():
    assert len(NAMES) == 11
    assert len(RECIPES) == 20
    assert all(name == recipe.name and recipe.scene for name, recipe in RECIPES.items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("texts", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_a_recipe_changes_texts_of_both_languages_and_says_whose_they_are(name, texts):
    parents = rows(texts)
    found = made(name, texts).rows
    assert len(found) >= 2
    for row in found:
        assert row.recipe == name
        assert row["label"] == "x"
        (parent,) = [one for one in parents if one.origin == row.origin]
        assert row["text"] != parent["text"]
        assert row["text"].strip() == row["text"] != ""
    assert parents == rows(texts), "its input stays as it is"


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_rows_and_another_one_others(name):
    texts = ENGLISH + CHINESE
    assert made(name, texts, seed=1) == made(name, texts, seed=1)
    if name != "case":
        wild = {"strength": 0.5, "sample": True}
        assert made(name, texts, seed=1, **wild) != made(name, texts, seed=2, **wild)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recipe_makes_does_not_depend_on_the_recipes_beside_it(name):
    both = augment(rows(ENGLISH), [RECIPES["swap"](), RECIPES[name]()], CONTEXT, 3)
    alone = augment(rows(ENGLISH), [RECIPES[name]()], CONTEXT, 3)
    assert [row for row in both.rows if row.recipe == name] == list(alone.rows)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "invent"])
@pytest.mark.parametrize("seed", range(5))
def test_numbers_codes_units_and_protected_words_stay(name, seed):
    texts = [
        "bearing 6204-2RS at gearbox 12.5 mm off, code P0301, DE side, 85 °C measured twice",
        "轴承6204-2RS偏移12.5mm，故障码P0301，轴承温度85℃，已经测量两次",
    ]
    kept = (["6204-2RS", "12.5", "mm", "P0301", "DE", "gearbox"], ["6204-2RS", "P0301", "轴承"])
    for row in made(name, texts, seed, strength=0.6).rows:
        for word in kept[row.origin.line - 2]:
            assert word in row["text"], row["text"]


@pytest.mark.parametrize("name", STRONG)
def test_strength_zero_changes_nothing(name):
    found = made(name, ENGLISH + CHINESE, strength=0)
    assert found.rows == ()
    assert found.dropped == {"nothing could change": 6}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "。", "42", "ok", "😀", "  ", "a" * 500, "DE 4711-0815"])
def test_texts_with_nothing_to_change_are_no_trouble(name, text):
    strongest = recipe(name, strength=1)
    for seed in range(3):
        assert isinstance(strongest.text(text, Random(seed), CONTEXT), str)


def test_the_marks_inside_a_number_keep_their_width():
    said = "出口压力只有3.5兆帕,转速1,000转以下:操作工12:30停机."
    turned = recipe("case").text(said, Random(0), CONTEXT)
    assert turned == "出口压力只有3.5兆帕，转速1,000转以下：操作工12:30停机。"
    assert recipe("case").text(turned, Random(0), CONTEXT) == said


# --- the guard -----------------------------------------------------------------------------------


def test_rows_like_a_validation_or_test_row_are_dropped():
    parents = rows(["the pump runs very hot after ten minutes"])
    held = rows(["the pump runs hot after ten minutes"])
    found = [augment(parents, parse("delete"), CONTEXT, seed, avoid=held) for seed in range(40)]
    assert not any(
        row["text"] == "the pump runs hot after ten minutes" for one in found for row in one.rows
    )
    assert any("a validation or test row" in one.dropped for one in found)


def test_copies_that_come_out_alike_are_kept_once():
    found = augment(rows(["red lamp dark"]), parse("delete:0.3"), CONTEXT, copies=20)
    texts = [row["text"] for row in found.rows]
    assert len(texts) == len(set(texts)) == 3
    assert sum(found.dropped.values()) == 17


# --- what the user writes ------------------------------------------------------------------------


def test_recipes_are_written_in_three_ways():
    one = parse("delete:0.2,swap")
    assert one == parse(["delete:0.2", "swap"]) == parse([{"delete": {"strength": 0.2}}, "swap"])


@pytest.mark.parametrize(
    ("spelled", "said"),
    [
        ("delet", "Did you mean 'delete'"),
        ("delete:2", "strength"),
        ("delete:x,swapp", "swapp"),
        ([{"delete": {"strenght": 1}}], "strenght"),
        ([3], "got 3"),
        ("", "at least one"),
    ],
)
def test_mistakes_are_told_in_sentences(spelled, said):
    with pytest.raises(UsageError, match=said):
        parse(spelled)


def test_a_recipe_without_its_lexicon_is_refused():
    with pytest.raises(UsageError, match="synonym needs --lexicon"):
        context_of(AugmentOptions(), parse("synonym,delete"))
    assert {one.name for one in candidates(set())} == set(STRONG) - {"synonym", "insert"}
    assert {one.name for one in candidates({"writer"})} >= {"paraphrase", "invent", "delete"}


def test_sounds_are_written_once():
    letters = "".join(SOUNDS)
    twice = {one for one in letters if letters.count(one) > 1}
    assert all(one in ALIKE for one in letters)
    assert twice <= {"以", "已"}
