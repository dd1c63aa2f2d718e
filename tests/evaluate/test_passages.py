"""The general passages that forgetting is measured by."""

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from fewtune.base.errors import UsageError
from fewtune.data.near import is_chinese, near_duplicates
from fewtune.evaluate.passages import passages, prompts

ROOT = Path(__file__).resolve().parents[2]


def test_each_language_has_sixty_passages_and_twelve_prompts():
    assert [len(passages(one)) for one in ("en", "zh", "both")] == [60, 60, 120]
    assert [len(prompts(one)) for one in ("en", "zh", "both")] == [12, 12, 24]
    assert passages() == passages("en") + passages("zh")
    assert prompts() == prompts("en") + prompts("zh")


def test_no_text_is_said_twice():
    assert near_duplicates([*passages(), *prompts()], threshold=0.5) == []


def test_every_text_is_in_the_language_of_its_file():
    assert [text for text in [*passages("en"), *prompts("en")] if is_chinese(text)] == []
    assert [text for text in [*passages("zh"), *prompts("zh")] if not is_chinese(text)] == []


def test_passages_are_as_long_as_they_are_said_to_be():
    words = [len(text.split()) for text in passages("en")]
    characters = [len(text) for text in passages("zh")]
    assert min(words) >= 60
    assert max(words) <= 120
    assert min(characters) >= 100
    assert max(characters) <= 200


def test_an_unknown_language_is_one_sentence():
    with pytest.raises(UsageError) as error:
        passages("fr")
    assert str(error.value) == "language: the general passages are in en, zh, both; got 'fr'."
    with pytest.raises(UsageError, match="got 'EN'"):
        prompts("EN")


def test_the_files_belong_to_the_installed_package():
    there = [one.name for one in files("fewtune").joinpath("evaluate", "general").iterdir()]
    assert sorted(there) == ["en.jsonl", "en_prompts.jsonl", "zh.jsonl", "zh_prompts.jsonl"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = project["tool"]["setuptools"]["package-data"]["fewtune"]
    assert "evaluate/general/*.jsonl" in data
