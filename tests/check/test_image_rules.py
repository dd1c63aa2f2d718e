"""Rules about images: each is made to speak by what it is for, and all are silent on clean ones."""

import csv
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fewtune
from fewtune.check.images import FAR_SMALLER
from fewtune.check.rules import RULES
from fewtune.data.images import SMALL, file_mark, picture, same_files

OF_IMAGES = {rule.code for rule in RULES if rule.speaks_of == "image"}


def pixels(seed, high=32, wide=32, colours=3):
    shape = (high, wide, colours) if colours > 1 else (high, wide)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path, seed=0, high=32, wide=32, colours=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, high, wide, colours)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Eighteen clean images of two classes, one of them Chinese."""
    for k in range(18):
        save(tmp_path / "images" / ("裂纹" if k % 2 else "scratch") / f"{k}.png", seed=k)
    return tmp_path / "images"


def lint(path, **options):
    return {one.code: one for one in fewtune.check(path, **options).findings}


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def cut_jpeg(path):
    save(path.with_suffix(".jpg"), 99)
    cut(path.with_suffix(".jpg"))
    path.unlink()


def cut_large_jpeg(path):
    large = save(path.with_suffix(".jpg"), 99, 500, 500)
    assert large.stat().st_size > SMALL
    large.write_bytes(large.read_bytes()[:-3000])
    path.unlink()


#: What makes a file one that cannot be read -> what is said of it.
SPOILED = {
    "is empty": lambda path: path.write_bytes(b""),
    "is no image that Pillow reads": lambda path: path.write_text("no picture"),
    "cannot be decoded": cut,
    "truncated": cut_jpeg,
    "cannot be decoded (": cut_large_jpeg,
}
#: What makes a picture unlike the others -> what is said of it.
UNLIKE = {
    "4 times smaller than the usual 32": {"high": 7, "wide": 7},
    "another shape": {"high": 32, "wide": 90},
    "grey where the others are in colour": {"colours": 1},
}


def test_every_rule_about_images_is_under_the_laws():
    assert {"format-image", "format-image-size"} == OF_IMAGES


def test_on_clean_images_all_rules_are_silent(folder):
    done = fewtune.check(folder)
    assert done.findings == []
    assert done.rows["kept"] == 18


@pytest.mark.parametrize("said", SPOILED)
def test_an_image_that_cannot_be_read_is_an_error_with_its_place(folder, said):
    SPOILED[said](folder / "裂纹" / "5.png")
    found = lint(folder)
    assert found.keys() == {"format-image"}
    one = found["format-image"]
    assert one.severity == "error"
    assert one.message.startswith("1 (5.6 %) of the rows name an image that cannot be read")
    assert said in one.message
    assert one.message.endswith(".")
    assert one.do.endswith(".")
    assert [origin.file for origin in one.rows] in (["images/裂纹/5.png"], ["images/裂纹/5.jpg"])


@pytest.mark.parametrize("said", UNLIKE)
def test_an_image_unlike_the_others_is_a_note(folder, said):
    save(folder / "裂纹" / "5.png", 99, **UNLIKE[said])
    found = lint(folder)
    assert found.keys() == {"format-image-size"}
    one = found["format-image-size"]
    assert one.severity == "note"
    assert said in one.message
    assert one.message.startswith("1 (5.6 %)")
    assert [str(origin) for origin in one.rows] == ["images/裂纹/5.png:1"]
    assert FAR_SMALLER == 4


def table(path, rows, header=("file", "label")):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_an_image_that_is_missing_or_not_named_does_not_vanish_in_silence(folder):
    rows = [(path.relative_to(folder.parent), path.parent.name) for path in folder.rglob("*.png")]
    rows += [("images/none.png", "scratch"), ("", "scratch")]
    path = table(folder.parent / "rows.csv", rows)
    found = lint(path)
    assert found.keys() == {"format-image"}
    one = found["format-image"]
    assert [str(origin) for origin in one.rows] == ["rows.csv:20", "rows.csv:21"]
    assert "2 (10.0 %)" in one.message
    assert f"'{folder / 'none.png'}' is not there" in one.message


def test_images_of_dialogues_are_looked_at(tmp_path):
    save(tmp_path / "a.png")
    turns = '[{"role":"user","content":"<image>what?"},{"role":"assistant","content":"a %s"}]'
    lines = [
        f'{{"messages": {turns % what}, "images": ["{name}"]}}'
        for what, name in (("pump", "a.png"), ("lamp", "b.png"))
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    one = lint(tmp_path / "rows.jsonl")["format-image"]
    assert [str(origin) for origin in one.rows] == ["rows.jsonl:2"]


# --- the same file twice ------------------------------------------------------------------------


def test_a_copy_of_an_image_is_a_duplicate(folder):
    shutil.copy(folder / "裂纹" / "5.png", folder / "裂纹" / "copy.png")
    one = lint(folder)["duplicate-exact"]
    assert [str(origin) for origin in one.rows] == ["images/裂纹/copy.png:1"]
    assert "--fix" not in one.do, "rows of images cannot be written anew"


def test_one_image_with_two_labels_is_a_conflict(folder):
    shutil.copy(folder / "裂纹" / "5.png", folder / "scratch" / "copy.png")
    one = lint(folder)["label-conflict"]
    assert "1 image has more than one label (2 rows)" in one.message
    assert {origin.file for origin in one.rows} == {"images/裂纹/5.png", "images/scratch/copy.png"}


def test_an_image_in_training_and_test_is_a_leak_whatever_its_name(folder, tmp_path):
    test = tmp_path / "test"
    save(test / "scratch" / "new.png", 77)
    save(test / "裂纹" / "new.png", 78)
    assert lint(folder, test=str(test)) == {}
    shutil.copy(folder / "裂纹" / "5.png", test / "裂纹" / "other.png")
    one = lint(folder, test=str(test))["leak-exact"]
    assert "have the image of a training row" in one.message
    assert [origin.file for origin in one.rows] == ["test/裂纹/other.png"]


def test_marks_are_equal_for_equal_files_alone(tmp_path):
    paths = [save(tmp_path / f"{k}.png", seed) for k, seed in enumerate((1, 2, 1))]
    (tmp_path / "3.png").write_bytes(b"another size")
    given = [*map(str, paths), str(tmp_path / "3.png"), str(tmp_path / "none.png"), "\0"]
    marks = same_files(given)
    assert marks[given[0]] == marks[given[2]]
    assert len(set(marks.values())) == 5
    before = file_mark(given[0])
    save(paths[0], 5)
    assert file_mark(given[0]) != before, "a file written anew is read anew"


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif"])
def test_no_damage_to_a_file_makes_a_traceback(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", 3, 40, 50)
    whole = path.read_bytes()
    assert not picture(str(path)).trouble
    draw = np.random.default_rng(0)
    for _ in range(150):
        at, gone = draw.integers(0, len(whole)), draw.integers(0, 300)
        path.write_bytes(whole[:at] + draw.bytes(8) + whole[at + gone :])
        found = picture(str(path))
        assert found.trouble or found.width


@pytest.mark.parametrize(
    "strange",
    [
        "",
        "\0",
        "\ud800.png",
        "GBK\udcc1\udcd1.png",
        pytest.param("a" * 5000, id="a very long name"),
        "https://example.com/a.png",
        "/",
    ],
)
def test_what_is_no_file_is_told(strange):
    assert picture(strange).trouble
    assert file_mark(strange) == same_files([strange])[strange]


def test_real_images_are_looked_at_within_seconds():
    images = Path(__file__).resolve().parents[3] / "shared" / "data" / "neu_surface" / "images"
    if not images.exists():
        pytest.skip("the data set neu_surface is not beside this checkout")
    began = time.process_time()
    found = lint(images)
    assert time.process_time() - began < 10
    assert found.keys() == {"duplicate-exact"}
    assert [str(row) for row in found["duplicate-exact"].rows] == [
        "images/patches/patches_105.jpg:1"
    ]
