"""Which column plays which role."""

import pytest

from fewtune.base.errors import UsageError
from fewtune.data.columns import Role, find_columns
from fewtune.data.options import DataOptions
from fewtune.data.sheet import Sheet

ROLES = (Role("text"), Role("label"))


def find(columns, roles=ROLES, **options):
    return find_columns(Sheet(columns, []), "d.csv", roles, DataOptions(**options))


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        (["text", "label"], "text", "label"),
        (["label", "review"], "review", "label"),
        (["Utterance", " INTENT"], "Utterance", " INTENT"),
        (["id", "problem", "Fault_Code"], "problem", "Fault_Code"),
        (["编号", "文本", "标签"], "文本", "标签"),
        (["标题", "内容", "类别"], "内容", "类别"),
        (["text", "label", "label_text"], "text", "label"),
    ],
)
def test_usual_names_are_known_in_two_languages(columns, text, label):
    assert find(columns)[0] == {"text": text, "label": label}


def test_two_columns_that_could_be_the_text_are_told():
    columns, notes = find(["title", "content", "label"])
    assert columns["text"] == "content"
    assert "title" in notes[0]
    assert "--text" in notes[0]


def test_a_column_of_the_roles_own_name_is_no_guess():
    assert find(["text", "title", "label", "type"])[1] == []


def test_the_users_word_wins_over_names():
    assert find(["text", "title", "label"], text="Title")[0]["text"] == "title"
    mapped = find(["text", "a", "b"], map="text=a,label=b")[0]
    assert mapped == {"text": "a", "label": "b"}


def test_a_missing_column_is_one_sentence():
    with pytest.raises(UsageError) as error:
        find(["IDENT", "PROBLEM", "ACTION"], label="acton")
    assert str(error.value) == (
        "d.csv has no column 'acton' for the role label; its columns are IDENT, PROBLEM, ACTION."
    )
    with pytest.raises(UsageError, match="Did you mean 'category'"):
        find(["text", "category"], label="catgory")
    with pytest.raises(UsageError, match=r"no column for the role label.*--label COLUMN"):
        find(["IDENT", "PROBLEM", "ACTION"])
    with pytest.raises(UsageError, match="Did you mean 'labl'"):
        find(["id", "text", "labl"])


def test_a_role_nobody_knows_is_refused():
    with pytest.raises(UsageError, match=r"map: one of text, label; got 'txet'\. Did you mean"):
        find(["a", "b"], map="txet=a")


def test_an_optional_role_may_be_missing():
    roles = (Role("text"), Role("label", required=False))
    assert find(["text", "id", "when"], roles=roles)[0] == {"text": "text"}


def test_columns_of_another_file_are_taken_where_they_exist():
    found, _ = find_columns(
        Sheet(["text", "title", "label"], []), "d.csv", ROLES, DataOptions(), {"text": "title"}
    )
    assert found["text"] == "title"


def test_two_columns_of_unknown_names_are_told_apart_by_their_values(read):
    rows = "".join(f"Die Pumpe {k} ist undicht,Abteilung {k % 2}\n" for k in range(12))
    table = read("Meldung,Ort\n" + rows)
    assert table.columns == {"text": "Meldung", "label": "Ort"}
    assert len(table.notes) == 2
