"""The example dialogues, as a user's first fine-tuning of a chat model reads them."""

from pathlib import Path

import pytest

from fewtune.check.options import CheckOptions
from fewtune.check.run import check_file
from fewtune.data.dialogue import as_text
from fewtune.data.near import is_chinese, near_duplicates
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COUNTS = {"zh": 200, "en": 100}


@pytest.fixture(scope="module", params=COUNTS)
def language(request):
    return request.param


@pytest.fixture(scope="module")
def path(language):
    return EXAMPLES / f"maintenance_chat_{language}.jsonl"


@pytest.fixture(scope="module")
def dialogues(path):
    return [row["messages"] for row in read_any(path, DataOptions(strict=True)).rows]


def spoken(messages):
    return [one for one in messages if one.role != "system"]


def test_every_line_is_read_as_a_dialogue(path, language, dialogues):
    table = read_any(path, DataOptions())
    assert table.shape is not None
    assert table.shape.name == "messages"
    assert table.ledger.quarantined == []
    assert len(dialogues) == COUNTS[language]


def test_user_and_assistant_take_turns_and_the_assistant_has_the_last_word(dialogues):
    for messages in dialogues:
        said = [one.role for one in spoken(messages)]
        assert said == ["user", "assistant"] * (len(said) // 2)
        assert 4 <= len(said) <= 8


def test_no_turn_is_empty_or_padded_with_blanks(dialogues):
    turns = [one.content for messages in dialogues for one in messages]
    assert [content for content in turns if not content or content != content.strip()] == []


def test_about_a_third_has_a_system_message_and_each_its_own(dialogues):
    systems = [messages[0].content for messages in dialogues if messages[0].role == "system"]
    assert 0.25 <= len(systems) / len(dialogues) <= 0.45
    assert len(set(systems)) == len(systems)


def test_every_dialogue_is_in_the_language_of_its_file(language, dialogues):
    chinese = [is_chinese(as_text(messages)) for messages in dialogues]
    assert set(chinese) == {language == "zh"}


def test_no_dialogue_is_another_one_with_words_exchanged(dialogues):
    texts = [as_text(spoken(messages)) for messages in dialogues]
    assert near_duplicates(texts, threshold=0.4) == []
    answers = [one.content for messages in dialogues for one in spoken(messages)]
    assert near_duplicates(answers) == []


def test_the_linter_finds_no_error_and_no_warning(path):
    found = check_file(str(path), DataOptions(), CheckOptions()).findings
    assert [one.code for one in found if one.severity != "note"] == []
