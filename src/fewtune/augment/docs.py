"""docs/recipes.md, from the registry: ``python -m fewtune.augment.docs > docs/recipes.md``.

With the name of a .png file, the picture of what recipes do to images is drawn there too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from difflib import ndiff
from inspect import getdoc
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from fewtune.augment.apply import augment
from fewtune.augment.base import Context, Recipe
from fewtune.augment.context import WAYS
from fewtune.augment.recipes import RECIPES, candidates
from fewtune.augment.sheet import write_sheet
from fewtune.data.dialogue import Message
from fewtune.data.row import Origin, Row

HEAD = """# Recipes that make new training rows

Generated from the recipes by `python -m fewtune.augment.docs`. `fewtune augment DATA --augment
delete,swap:0.2` makes rows to look at or keep, and `fewtune train DATA --augment auto` tries
recipes on folds of the training rows and keeps those that help beyond noise. The value after a
colon sets a recipe's first option; all options are set in a YAML file, as in
`augment: [{rotate: {degrees: 5}}]`.

Numbers, codes, units and the words of `--protect FILE` stay in every text. Below, what a recipe
takes away stands after `-` and what it makes after `+`. Recipes that ask a model show no example:
it is the model that decides.
"""
KINDS = {
    "text": "Texts, and what users say in dialogues",
    "dialogue": "Dialogues",
    "image": "Images",
}
PICTURE = """![What the recipes of images make of two pictures](recipes.png)

Size, grey or colour, and label stay, and each amount is drawn from half of what an option says to
all of it. New pictures are new files: `fewtune augment FOLDER --augment auto --write NEW` writes
them by class, with `rows.csv`, which says whose they are, and such a sheet to look at.
"""
SEED = "docs"
ENGLISH = "the pump runs hot after ten minutes, and the bearing at DE 6204 smells of burnt oil"
TEXT_ZH = "水泵启动十分钟以后轴承温度升高，并且驱动端6204有异响，需要检修"
LEXICON = {
    "pump": ("blower",), "hot": ("warm",), "bearing": ("bush",), "smells": ("reeks",),
    "温度": ("热度",), "升高": ("上升",), "需要": ("必须",), "检修": ("维修",),
}  # fmt: skip


def _dialogue(system: str, *said: str) -> tuple[Message, ...]:
    turns = [Message(("user", "assistant")[k % 2], one) for k, one in enumerate(said)]
    return (Message("system", system), *turns)


DIALOGUES = (
    _dialogue("You are a fitter.", "Why is it hot?", "It is dry.", "What now?", "Grease it."),
    _dialogue("你是维修工。", "为什么发热？", "缺油。", "怎么处理？", "加油。"),
)


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for kind, title in KINDS.items():
        parts.append(f"## {title}\n")
        parts += [PICTURE] if kind == "image" else []
        for recipe in RECIPES.values():
            if recipe.kind == kind:
                parts += _entry(recipe)
    return "\n".join(parts)


def draw(path: Path) -> None:
    """What recipes of images do, on two pictures made for it: a scratch, and a crack in colour."""
    with TemporaryDirectory() as folder:
        rows = [*_pictures(Path(folder))]
        made = augment(rows, candidates((), "image"), Context(folder=Path(folder)))
        write_sheet(rows, made.rows, path)


def _entry(recipe: type[Recipe]) -> Iterator[str]:
    """Name, what it does, needs, options, examples."""
    yield f"### `{recipe.name}`\n"
    yield f"{(getdoc(recipe) or recipe.scene).partition(chr(10) * 2)[0]}\n".replace(
        "\n", " "
    ).strip()
    yield ""
    if recipe.needs:
        yield f"Needs {', or '.join(f'`{WAYS[one]}`' for one in recipe.needs)}.\n"
    if recipe.model_fields:
        yield "| option | default | what it says |\n| --- | --- | --- |"
        for name, field in recipe.model_fields.items():
            yield f"| `{name}` | {_value(field.default)} | {field.description}{_limits(field)} |"
        yield ""
    if shown := [*_examples(recipe)]:
        yield "\n".join(["```diff", *shown, "```\n"])


def _examples(recipe: type[Recipe]) -> Iterator[str]:
    """Before and after, in English and Chinese; none where a model decides."""
    if recipe.kind == "image" or (recipe.needs and "lexicon" not in recipe.needs):
        return
    for text, turns in zip((ENGLISH, TEXT_ZH), DIALOGUES, strict=True):
        fields: dict[str, Any] = (
            {"messages": turns} if recipe.kind == "dialogue" else {"text": text}
        )
        row = Row(Origin("docs", 1), fields)
        (new,) = recipe().rows([row], Random(SEED), Context(LEXICON))
        yield from (line for line in ndiff(_lines(row), _lines(new)) if line[0] in "-+ ")


def _lines(row: Row) -> Sequence[str]:
    if "text" in row.fields:
        return [row["text"]]
    return [
        f"{turn.role}: {' ⏎ '.join(filter(None, turn.content.splitlines()))}"
        for turn in row["messages"]
    ]


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return "" if value is None else f"`{value}`"


def _limits(field: Any) -> str:
    """`(0 to 1)`, where there are such."""
    found = [(one, name) for one in field.metadata for name in ("ge", "gt", "le", "lt")]
    limits = {name: getattr(one, name) for one, name in found if hasattr(one, name)}
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if low is None and high is None:
        return ""
    return f" ({low} to {high})" if None not in (low, high) else f" (from {low})"


def _pictures(folder: Path) -> Iterator[Row]:
    """Brushed steel with a scratch, and a wall with a crack."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter

    dice = np.random.default_rng(0)
    steel = 120 + dice.normal(0, 9, (1, 240)) + dice.normal(0, 3, (180, 240))
    steel = steel + np.linspace(-25, 30, 180)[:, None]
    wall = np.array([205, 180, 150]) + dice.normal(0, 7, (180, 240, 1))
    for name, cells, ink, line in (
        ("scratch", steel, 235, [(60, 20), (92, 90), (98, 165)]),
        ("裂纹", wall, (70, 50, 40), [(30, 40), (80, 62), (112, 58), (150, 105), (205, 128)]),
    ):
        image = Image.fromarray(cells.clip(0, 255).astype(np.uint8))
        ImageDraw.Draw(image).line(line, ink, 4)
        path = folder / f"{name}.png"
        image.filter(ImageFilter.GaussianBlur(0.8)).save(path)
        yield Row(Origin(path.name, 1), {"image": str(path), "label": name})


if __name__ == "__main__":
    for given in sys.argv[1:2]:
        draw(Path(given))
    print(page(), end="")
