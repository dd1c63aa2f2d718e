"""What belongs together stays on one side; the newest rows can be what is held out."""

import numpy as np
import pytest

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.columns import Role
from fewtune.data.holdout import folds_of, together
from fewtune.data.load import given_back, load
from fewtune.data.options import DataOptions
from fewtune.data.row import Origin, Row

ROLES = (Role("text"), Role("label"))
WORDS = "pump lamp valve motor belt fan pipe seal tank wire".split()  # noqa: SIM905


def rows(texts, groups=None):
    return [
        Row(
            Origin("a.csv", k),
            {"text": text, "label": "x"} | ({"group": groups[k]} if groups else {}),
        )
        for k, text in enumerate(texts)
    ]


@pytest.fixture
def split(tmp_path):
    """Load 60 rows with a machine and a day each."""

    def call(day=lambda k: f"2024-01-{1 + k // 2:02}", text=None, **options):
        lines = ["text,label,machine,day"]
        for k in range(60):
            said = text(k) if text else f"{WORDS[k % 10]} number {k * 7919} is out of order {k}"
            lines.append(f'"{said}",{"ab"[k % 2]},m{k % 9},{day(k)}')
        path = tmp_path / "rows.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        return load(path, ROLES, DataOptions(**options), 0)

    return call


def test_rows_are_together_by_text_by_likeness_and_by_group():
    texts = [
        "the main pump leaks oil at the drive end", "The main pump leaks oil at the drive end!",
        "the main pump leaks oil at the drive end 2", "hall 7 stays dark", "belt slips",
    ]  # fmt: skip
    assert together(rows(texts)) == [0, 0, 0, 3, 4]
    assert together(rows(texts, ["", "", "", "m1", "m1"])) == [0, 0, 0, 3, 3]


def test_texts_of_one_form_are_not_one_group():
    """Else nothing could be held out of them."""
    found = rows([f"pump number {k} is out of order since monday" for k in range(40)])
    assert len(set(together(found))) == 40


def test_each_machine_is_on_one_side(split):
    data = split(group="machine")
    sides = [{row["group"] for row in part} for part in (data.train, data.test)]
    assert not sides[0] & sides[1]
    assert len(data.test) >= 6
    assert "each machine on one side" in data.split["how"]


def test_near_duplicates_are_on_one_side(split):
    data = split(
        text=lambda k: f"{WORDS[k // 6]} of line {k // 6} stopped in the night, alarm {k % 6}"
    )
    sides = [{row["text"].split()[0] for row in part} for part in (data.train, data.test)]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize(
    "day",
    [
        lambda k: f"2024-01-{1 + k // 2:02}",
        lambda k: f"2024/1/{1 + k // 2}",
        lambda k: f"2024年1月{1 + k // 2}日",
        lambda k: k,
        lambda k: f"2024-01-{1 + k // 2:02} 08:{k:02}:00",
        lambda k: f"2024/1/{1 + k // 2} 9:{k:02}",
        lambda k: f"2024年1月{1 + k // 2}日14:{k:02}",
        lambda k: f"2024年1月{1 + k // 2}日14时{k}分",
        lambda k: f"{'2024-03-' if k < 30 else '202404'}{1 + k % 30:02}",
    ],
)
def test_the_newest_rows_are_held_out(split, day):
    data = split(day=day, time="day")
    assert [row.origin.line for row in data.test] == list(range(50, 62))
    assert data.split["how"].startswith("the newest 12 rows by day")


def test_a_time_that_cannot_be_compared_is_refused(split):
    with pytest.raises(UsageError, match=r"rows\.csv:2 has '03/04/2024'"):
        split(day=lambda k: "03/04/2024", time="day")


@pytest.mark.parametrize("time", ["nan", "inf", "-Infinity"])
def test_what_has_no_place_in_an_order_is_no_time(split, time):
    with pytest.raises(UsageError, match=rf"rows\.csv:2 has '{time}'"):
        split(day=lambda k: k or time, time="day")


def test_numbers_among_dates_are_refused(split):
    with pytest.raises(UsageError, match=r"rows\.csv:5 has the number '7'.* other rows have dates"):
        split(day=lambda k: 7 if k == 3 else f"2024-01-{1 + k // 2:02}", time="day")


def test_rows_of_one_and_the_same_time_are_refused(split):
    with pytest.raises(UsageError, match="all 60 rows have the same time in the column day"):
        split(day=lambda k: "2024-03-07", time="day")


@pytest.mark.parametrize(("last", "held", "alike"), [(30, 30, 30), (2, 2, 58)])
def test_a_part_far_from_the_share_is_told(split, last, held, alike):
    data = split(day=lambda k: 2024 if k >= 60 - last else 2023, time="day")
    assert (len(data.train), len(data.test)) == (60 - held, held)
    said = f"not the 12 that test_share asks for, as {alike} rows have one and the same time"
    assert said in data.split["how"]


def test_folds_keep_machines_whole_and_every_row_once():
    found = rows(
        [f"{WORDS[k % 10]} {k * 7919}" for k in range(60)], [f"m{k % 12}" for k in range(60)]
    )
    folds = folds_of(found, 5, 0)
    homes = [{found[k]["group"] for k in fold} for fold in folds]
    assert sum(len(fold) for fold in folds) >= 50
    assert all(not a & b for i, a in enumerate(homes) for b in homes[:i])


def test_repeated_folds_are_dealt_anew_and_each_holds_every_row_once():
    found = rows([f"{WORDS[k % 10]} {k * 7919}" for k in range(60)], [str(k) for k in range(60)])
    folds = folds_of(found, 5, 0, repeats=3)
    assert len(folds) == 15
    deals = [folds[k : k + 5] for k in (0, 5, 10)]
    for deal in deals:
        assert sorted(np.concatenate(deal)) == list(range(60))
    assert len({tuple(map(tuple, deal)) for deal in deals}) == 3
    assert [tuple(fold) for fold in folds_of(found, 5, 0)] == [tuple(fold) for fold in deals[0]]


def test_folds_that_would_hold_nothing_are_left_out():
    found = [
        Row(Origin("a.csv", k), {"text": f"{word} {k * 7919}", "label": label})
        for k, (word, label) in enumerate(zip(WORDS, "aabbcdefgh", strict=True))
    ]
    folds = folds_of(found, 5, 0)
    assert sorted(np.concatenate(folds)) == [0, 1, 2, 3]
    assert all(len(fold) for fold in folds)
    alone = [row.with_fields(label=row["text"]) for row in found]
    with pytest.raises(FewtuneError, match="each of their 10 classes has a single row"):
        folds_of(alone, 5, 0)


# --- folders by class ----------------------------------------------------------------------------


def test_a_folder_of_texts_by_class_is_read(tmp_path):
    for label, text in (("泵", "泵漏油"), ("灯", "灯不亮"), ("灯", "")):
        (tmp_path / label).mkdir(exist_ok=True)
        number = len(list((tmp_path / label).iterdir()))
        (tmp_path / label / f"{number}.txt").write_text(text, encoding="gb18030")
    from fewtune.data.read import read_any

    table = read_any(tmp_path, DataOptions())
    assert [(str(row.origin), row["label"], row["text"]) for row in table.rows] == [
        (f"{tmp_path.name}/泵/0.txt:1", "泵", "泵漏油"),
        (f"{tmp_path.name}/灯/0.txt:1", "灯", "灯不亮"),
    ]
    assert [entry.code for entry in table.ledger.quarantined] == ["empty-text"]
    assert not any("not read" in note for note in table.notes)


def test_files_of_classes_that_are_no_rows_are_counted(tmp_path):
    from fewtune.data.read import read_any

    for name in ("泵/0.txt", "泵/1.docx", "泵/2.docx", "泵/2023/3.txt", "灯/4.txt", "灯/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("漏油")
    table = read_any(tmp_path, DataOptions())
    assert len(table.rows) == 2
    assert table.notes == [
        f"{tmp_path.name}: 3 files are not read (2 of .docx, 1 in folders below a class); a row is "
        "a .txt or .md file, or an image, in a class's folder"
    ]


def test_rows_of_two_folders_are_told_apart_and_split_again_as_they_were(tmp_path):
    for part in ("train", "test"):
        for label in ("泵", "灯"):
            for k in range(10):
                path = tmp_path / part / label / f"{k}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{part} {label} {k}", encoding="utf-8")
    options = DataOptions(test=str(tmp_path / "test"))
    data = load(tmp_path / "train", ROLES, options)
    assert len({row.origin for row in (*data.train, *data.test)}) == 40
    again = given_back(tmp_path / "train", ROLES, options, data.as_json())
    assert (again.train, again.test) == (data.train, data.test)
    assert {row["text"].split()[0] for row in again.train} == {"train"}


def test_a_folder_of_images_by_class_is_read(shared):
    from fewtune.data.read import read_any

    table = read_any(shared("neu_surface/images"), DataOptions())
    assert table.shape.name == "image/label"
    assert len(table.rows) == 1200
    assert len({row["label"] for row in table.rows}) == 6


def test_a_folder_of_both_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("hello")
    (tmp_path / "a" / "x.png").write_bytes(b"x")
    from fewtune.data.read import read_any

    with pytest.raises(UsageError, match="texts and images by class"):
        read_any(tmp_path, DataOptions())


def test_rows_that_the_group_column_says_nothing_of_are_told(split, tmp_path):
    assert not [note for note in split(group="machine").notes if note.startswith("group")]
    path = tmp_path / "rows.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = [line.replace(",m3,", ",,") for line in lines]
    path.write_text("\n".join(bare), encoding="utf-8")
    (note,) = [
        one
        for one in load(path, ROLES, DataOptions(group="machine"), 0).notes
        if one.startswith("group")
    ]
    missing = sum(line.count(",,") for line in bare)
    assert f"machine says nothing of {missing} of " in note
