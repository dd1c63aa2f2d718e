"""docs/recipes.md is what the recipes say."""

from pathlib import Path

from PIL import Image

from fewtune.augment.docs import draw, page
from fewtune.augment.recipes import RECIPES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_recipes_is_what_the_recipes_say():
    written = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert written == page(), "run python -m fewtune.augment.docs > docs/recipes.md"
    assert all(f"### `{name}`\n" in written for name in RECIPES)


def test_every_recipe_that_asks_no_model_shows_what_it_does_in_both_languages():
    for name, recipe in RECIPES.items():
        entry = page().partition(f"### `{name}`\n")[2].partition("### ")[0]
        shown = recipe.kind != "image" and (not recipe.needs or "lexicon" in recipe.needs)
        assert ("```diff" in entry) == shown
        lines = entry.splitlines()
        before = [line[2:] for line in lines if line.startswith("- ")]
        after = [line[2:] for line in lines if line.startswith("+ ")]
        assert (before != after) == shown
        assert all(f"`{option}`" in entry for option in recipe.model_fields)


def test_the_picture_of_the_recipes_of_images_can_be_drawn(tmp_path):
    draw(tmp_path / "recipes.png")
    with Image.open(tmp_path / "recipes.png") as new, Image.open(DOCS / "recipes.png") as old:
        assert new.width == old.width  # without a Chinese font a line tells of it below
