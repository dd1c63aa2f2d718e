"""Recipes of images: their laws, what `fewtune augment` writes of them, and the sheet."""

import csv
import json
from importlib import import_module
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

import fewtune
from fewtune.augment import sheet
from fewtune.augment.apply import augment
from fewtune.augment.base import Context
from fewtune.augment.folder import class_folders
from fewtune.augment.recipes import RECIPES, candidates, parse
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.cli import main
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any
from fewtune.data.row import Origin, Row

NAMES = [name for name, recipe in RECIPES.items() if recipe.kind == "image"]
FIRST = {name: next(iter(RECIPES[name].model_fields)) for name in NAMES}  # what `name:value` sets
SIZE = (36, 24)


def save(path, seed=0, mode="RGB", size=SIZE):
    """Stripes under noise, so that every recipe has something to change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wide, high = size
    grain = np.random.default_rng(seed).integers(0, 60, (high, wide, 3))
    light = np.linspace(60, 180, wide)[None, :, None] + grain
    image = Image.fromarray(light.astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 200)
    (image if image.mode == mode else image.convert(mode)).save(path)
    return path


@pytest.fixture
def parents(tmp_path):
    """Three rows of two classes, of which two files have one name."""
    paths = [
        save(tmp_path / "in" / one, k) for k, one in enumerate(("a/1.png", "b/1.png", "b/2.jpg"))
    ]
    return [
        Row(
            Origin(f"{path.parent.name}/{path.name}", 1),
            {"image": str(path), "label": path.parent.name},
        )
        for path in paths
    ]


@pytest.fixture
def made(tmp_path, parents):
    def call(name, seed=0, rows=parents, copies=1, avoid=(), **options):
        context = Context(folder=tmp_path / "new")
        return augment(rows, [RECIPES[name](**options)], context, seed, copies, avoid)

    return call


def cells(path):
    return np.asarray(Image.open(path)).astype(float)


def test_every_recipe_of_images_is_under_the_laws():
    assert NAMES == ["brightness", "contrast", "rotate", "flip", "crop", "noise"]
    assert {one.name for one in candidates((), "image")} == set(NAMES)
    assert not {one.name for one in candidates((), "text")} & set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_picture_is_a_file_of_its_own_with_its_parents_label(name, parents, made, tmp_path):
    before = [Path(row["image"]).read_bytes() for row in parents]
    found = made(name).rows
    assert len(found) == 3
    assert len({row["image"] for row in found}) == 3
    for parent, row in zip(parents, found, strict=True):
        path, old = Path(row["image"]), Path(parent["image"])
        assert path.parent == tmp_path / "new"
        assert path.name.startswith(f"{old.stem}-{name}-")
        assert path.suffix == old.suffix
        assert (row.origin, row.recipe, row["label"]) == (parent.origin, name, parent["label"])
        assert np.abs(cells(path) - cells(old)).max() > 2
    assert before == [Path(row["image"]).read_bytes() for row in parents], (
        "its input stays as it is"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_pictures_and_another_one_others(name, made):
    def files(seed):
        return {
            Path(row["image"]).name: Path(row["image"]).read_bytes()
            for row in made(name, seed).rows
        }

    assert files(1) == files(1)
    assert (files(1) == files(2)) == (name == "flip")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_size_and_mode_stay(name, mode, made, tmp_path):
    path = save(tmp_path / "in" / "x.png", 5, mode)
    (row,) = made(name, rows=[Row(Origin("x", 1), {"image": str(path), "label": "a"})]).rows
    with Image.open(row["image"]) as image:
        assert (image.size, image.mode) == (SIZE, mode)
        if mode in ("LA", "RGBA"):
            assert image.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["1", "P", "CMYK"])
def test_other_modes_become_grey_or_coloured(name, mode, made, tmp_path):
    path = save(tmp_path / "in" / "x.tif", 5, mode)
    rows = [Row(Origin("x", 1), {"image": str(path), "label": "a"})]
    found = [row for seed in range(4) for row in made(name, seed, rows=rows).rows]
    row = found[0]  # of black and white only, lighter white is nothing new: a darker one is
    with Image.open(row["image"]) as image:
        assert (image.size, image.mode) == (SIZE, {"1": "L"}.get(mode, "RGB"))


@pytest.mark.parametrize("name", NAMES)
def test_an_amount_of_zero_changes_nothing(name, made, tmp_path):
    found = made(name, **{FIRST[name]: 0})
    assert found.rows == ()
    assert found.dropped == {"nothing could change": 3}
    assert not (tmp_path / "new").exists(), "and no file is left behind"


@pytest.mark.parametrize("name", NAMES)
def test_by_default_a_picture_stays_what_it_was(name, made, parents):
    """Gentle: the light moves by a fifth at most, and rows look like their parents'."""
    for row, parent in zip(made(name).rows, parents, strict=True):
        new, old = cells(row["image"]), cells(parent["image"])
        old = old[:, ::-1] if name == "flip" else old
        assert np.corrcoef(new.ravel(), old.ravel())[0, 1] > 0.6
        assert abs(new.mean() / old.mean() - 1) < 0.21


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 2)])
def test_tiny_and_long_pictures_are_no_trouble(name, size, made, tmp_path):
    path = save(tmp_path / "in" / "x.png", 5, size=size)
    found = made(name, rows=[Row(Origin("x", 1), {"image": str(path), "label": "a"})])
    assert len(found.rows) + sum(found.dropped.values()) == 1
    assert all(Image.open(row["image"]).size == size for row in found.rows)


def test_turning_leaves_no_black_corners(made, tmp_path):
    path = tmp_path / "in" / "white.png"
    plain = np.full((50, 80), 200, np.uint8)
    plain[20:30, 30:50] = 100
    Image.fromarray(plain).save(path)
    row = Row(Origin("x", 1), {"image": str(path), "label": "a"})
    for seed in range(8):
        (new,) = made("rotate", seed, rows=[row], degrees=45).rows
        assert cells(new["image"]).min() > 60, "black would be 0"


def test_turning_stays_within_its_degrees():
    upright = Image.new("L", (101, 101), 0)
    for y in range(101):
        upright.putpixel((50, y), 255)
    for seed in range(10):
        turned = np.asarray(RECIPES["rotate"](degrees=10).changed(upright, Random(seed)))
        top, bottom = turned[5].argmax(), turned[95].argmax()
        lean = np.degrees(np.arctan2(abs(int(top) - int(bottom)), 90))
        assert 4 <= lean <= 11


def test_grey_in_three_colours_stays_grey(made, tmp_path):
    path = tmp_path / "in" / "x.png"
    save(path, 1, "L")
    Image.open(path).convert("RGB").save(path)
    for name in NAMES:
        (row,) = made(name, rows=[Row(Origin("x", 1), {"image": str(path), "label": "a"})]).rows
        new = cells(row["image"])
        assert (new[..., 0] == new[..., 2]).all()


def test_an_upright_camera_picture_stays_upright(made, tmp_path):
    """A camera that was held upright writes a lying picture, and a note to turn it."""
    path = tmp_path / "in" / "x.jpg"
    save(path, 1, size=(40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    (row,) = made("contrast", rows=[Row(Origin("x", 1), {"image": str(path), "label": "a"})]).rows
    assert Image.open(row["image"]).size == (20, 40)


# --- the guard -----------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_read_is_counted_and_the_others_are_made(made, parents, tmp_path):
    (tmp_path / "in" / "b" / "2.jpg").write_bytes(b"no image")
    found = made("rotate")
    assert len(found.rows) == 2
    assert found.dropped == {"an image that cannot be read": 1}


def test_copies_that_come_out_alike_are_kept_once(made):
    found = made("flip", copies=3)
    assert len(found.rows) == 3
    assert found.dropped == {"the same as another row": 6}


def test_a_picture_of_the_test_rows_is_not_made(made, parents):
    held = made("flip").rows
    found = made("flip", avoid=held)
    assert found.rows == ()
    assert found.dropped == {"a validation or test row": 3}


def test_recipes_of_other_rows_are_refused_in_a_sentence(parents):
    said = "delete, aeda change texts, and these rows are images; choose of brightness, contrast"
    with pytest.raises(UsageError, match=said):
        augment(parents, parse("delete,rotate,aeda"), Context())
    texts = [Row(Origin("a.csv", 2), {"text": "the pump is hot", "label": "x"})]
    with pytest.raises(UsageError, match="rotate changes images, and these rows are texts"):
        augment(texts, parse("rotate"), Context())


def test_pixels_that_are_no_picture_are_refused(made, tmp_path):
    path = tmp_path / "in" / "x.tif"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    with pytest.raises(FewtuneError, match="pixels of mode F"):
        made("rotate", rows=[Row(Origin("x", 1), {"image": str(path), "label": "a"})])


def test_a_value_after_the_colon_sets_the_first_option():
    assert parse("rotate:5") == parse([{"rotate": {"degrees": 5}}])
    assert parse("flip:0.5") == parse([{"flip": {"share": 0.5}}])
    with pytest.raises(UsageError, match="degrees"):
        parse("rotate:90")


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for k in range(4):
        save(tmp_path / "in" / ("裂纹", "scratch")[k % 2] / f"{k}.png", k)
    return tmp_path / "in"


def test_new_pictures_are_written_by_class_with_a_table_and_a_sheet(folder, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as left:
        main(["augment", str(folder), "--augment", "brightness,rotate", "--write", str(out)])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "8 new images (4 brightness, 4 rotate)" in said
    assert "sheet.png" in said.replace(" ", "")  # a line may break in a path
    rows = list(csv.DictReader((out / "rows.csv").open(encoding="utf-8")))
    assert len(rows) == 8
    assert rows[0].keys() == {"image", "label", "parent", "recipe"}
    assert {row["label"] for row in rows} == {"裂纹", "scratch"}
    assert all(row["image"].startswith(row["label"] + "/") for row in rows)
    assert {row["parent"] for row in rows if row["recipe"] == "rotate"} == {
        "in/裂纹/0.png:1", "in/scratch/1.png:1", "in/裂纹/2.png:1", "in/scratch/3.png:1",
    }  # fmt: skip
    assert sorted(one.name for one in out.iterdir()) == ["rows.csv", "scratch", "sheet.png", "裂纹"]
    for source in (out, out / "rows.csv"):
        read = read_any(source, DataOptions())
        assert len(read.rows) == 8
        assert fewtune.check(source, ignore=["balance"]).findings == []


def test_without_write_nothing_is_kept_but_a_sheet_that_was_asked_for(folder, tmp_path):
    picture = tmp_path / "look.png"
    rows, dropped, _ = fewtune.augment(folder, augment="flip", sheet=str(picture))
    assert [row["image"] for row in rows] == [None] * 4
    assert dropped == {}
    assert Image.open(picture).size[0] == 2 * sheet.EDGE + 2 * (sheet.CELL + sheet.GAP) - sheet.GAP
    assert {one.name for one in tmp_path.iterdir()} == {"in", "look.png"}


def test_a_table_of_paths_is_augmented_too_and_no_row_vanishes(folder, tmp_path):
    lines = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in folder.rglob("*.png")]
    text = "\n".join(["file,label", *lines, ",scratch", "none.png,scratch"])
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    rows, dropped, _ = fewtune.augment(
        tmp_path / "rows.csv", augment="auto", write=str(tmp_path / "out")
    )
    assert len(rows) == 24
    assert dropped == {"an image that cannot be read": 6, "a row set aside in reading": 1}
    assert all(Path(row["image"]).is_file() for row in rows)
    assert all(Path(row["before"]).is_file() for row in rows)


def test_the_machines_answer_is_json(folder, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        main(["augment", str(folder), "--augment", "crop", "--write", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["made"], said["written"]) == (4, str(out))


def test_a_file_name_that_is_no_unicode_is_no_trouble(folder, tmp_path):
    save(folder / "裂纹" / "\udcc1\udcd1.png", 9)
    out = tmp_path / "out"
    rows, _, _ = fewtune.augment(folder, augment="flip", write=str(out))
    assert all(Path(row["image"]).is_file() for row in rows)
    assert len(read_any(out / "rows.csv", DataOptions()).rows) == len(rows) == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"write": "x.csv"}, "for images a new folder is named"),
        ({"write": "{in}/new"}, "whose folders are its classes"),
        ({"write": "{in}"}, "not empty"),
        ({"sheet": "x.jpg"}, "ending in .png"),
        ({"augment": "delete"}, "these rows are images"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(folder, tmp_path, options, said):
    given = {name: value.replace("{in}", str(folder)) for name, value in options.items()}
    with pytest.raises(UsageError, match=said):
        fewtune.augment(folder, **{"augment": "rotate", **given})
    assert {one.name for one in tmp_path.iterdir()} == {"in"}


def test_a_folder_is_written_whole_or_not_at_all(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_module("fewtune.augment.folder"), "write_sheet", full)
    with pytest.raises(OSError, match="No space"):
        fewtune.augment(folder, augment="rotate", write=str(tmp_path / "out"))
    assert {one.name for one in tmp_path.iterdir()} == {"in"}


def test_classes_that_no_folder_can_be_called_get_other_names():
    names = class_folders(["../up", "a/b", "a:b", "..", "A_B", "裂纹"])
    assert len({name.casefold() for name in names.values()}) == 6
    assert not any("/" in name or name in ("", ".", "..") for name in names.values())


# --- the sheet -----------------------------------------------------------------------------------


def rows_of(labels):
    return [Row(Origin("x", k), {"image": "", "label": label}) for k, label in enumerate(labels)]


def test_the_sheet_shows_the_classes_in_turn():
    shown = sheet.chosen(rows_of(["a"] * 50 + ["b"] * 2 + ["c"] * 50))
    assert len(shown) == sheet.PARENTS
    assert [row["label"] for row in shown] == ["a"] * 5 + ["b"] * 2 + ["c"] * 5
    assert len(sheet.chosen(rows_of("abc"))) == 3


def test_names_that_no_font_has_are_numbered_and_the_sheet_says_so(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "CHINESE", ())
    _, called = sheet._font(rows_of(["裂纹", "scratch"]))
    assert called == {"scratch": "scratch", "裂纹": "class 2"}
    _, called = sheet._font(rows_of(["été", "scratch"]))
    assert called == {"scratch": "scratch", "été": "été"}
    fewtune.augment(folder, augment="flip", sheet=str(tmp_path / "numbered.png"))
    monkeypatch.undo()
    fewtune.augment(folder, augment="flip", sheet=str(tmp_path / "named.png"))
    numbered, named = (Image.open(tmp_path / f"{one}.png").height for one in ("numbered", "named"))
    assert numbered >= named


def test_real_images_are_augmented(tmp_path):
    real = Path(__file__).resolve().parents[3] / "shared" / "data" / "neu_surface" / "images"
    if not real.exists():
        pytest.skip("the data set neu_surface is not beside this checkout")
    rows = read_any(real, DataOptions()).rows[::150]
    found = augment(rows, candidates((), "image"), Context(folder=tmp_path / "new"))
    assert len(found.rows) == 6 * len(rows) == 48
