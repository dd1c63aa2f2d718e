"""Data sets of the hub, as its cache holds them; no network."""

import json

import pytest

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.hub import find_parts, is_hub_id
from fewtune.data.load import load
from fewtune.data.options import DataOptions
from fewtune.tasks.classify import Classify

ROWS = [(f"pump {k} {word}", word) for k in range(12) for word in ("leaks", "stalls")]


def table(rows):
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Put a data set into a cache of the hub's layout."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(files, name="owner/reports"):
        commit = "a" * 40
        folder = tmp_path / f"datasets--{name.replace('/', '--')}"
        for path, content in files.items():
            file = folder / "snapshots" / commit / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        return name

    return put


def names(spelled):
    return {part: path.name for part, path in find_parts(spelled).items()}


def test_parts_are_told_by_the_files_paths(hub):
    hub({"data/train.csv": table(ROWS), "data/dev.csv": table(ROWS), "test/a.csv": table(ROWS)})
    assert names("owner/reports") == {"train": "train.csv", "valid": "dev.csv", "test": "a.csv"}


def test_a_single_file_is_the_training_rows(hub):
    hub({"reports.csv": table(ROWS), "README.md": "# Reports\n"})
    assert names("hub:owner/reports") == {"train": "reports.csv"}


def test_the_card_says_which_files_are_what(hub):
    card = """---
configs:
- config_name: zh
  data_files:
  - {split: train, path: "zh/a.csv"}
- config_name: en
  data_files:
  - {split: train, path: "en/*.csv"}
  - {split: validation, path: "held.csv"}
---
# Reports
"""
    hub({"README.md": card, "zh/a.csv": "", "en/b.csv": "", "held.csv": "", "en/readme.txt": ""})
    assert names("owner/reports:en") == {"train": "b.csv", "valid": "held.csv"}
    assert names("owner/reports:zh") == {"train": "a.csv"}
    with pytest.raises(FewtuneError, match="2 configurations"):
        find_parts("owner/reports")
    with pytest.raises(FewtuneError, match="configuration"):
        find_parts("owner/reports:ne")


def test_rows_in_several_files_are_refused(hub):
    hub({"train-0.csv": "", "train-1.csv": ""})
    with pytest.raises(FewtuneError, match="2 files"):
        find_parts("owner/reports")


def test_what_the_cache_lacks_is_told_in_a_sentence(hub):
    with pytest.raises(FewtuneError, match="no file owner/nothing, and a data set"):
        find_parts("owner/nothing")


@pytest.mark.parametrize(
    ("said", "is_id"),
    [("owner/name", True), ("owner/name:zh", True), ("owner/name.csv", False), ("a.csv", False),
     ("/tmp/name", False), ("./owner/name", False)],
)  # fmt: skip
def test_an_id_is_told_from_a_path(said, is_id):
    assert is_hub_id(said) == is_id


def test_a_folder_that_is_there_is_no_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    assert not is_hub_id("reports/may")


def test_numbers_of_classes_get_their_names(hub):
    import io

    import pyarrow as pa
    import pyarrow.parquet as parquet

    features = {"label": {"names": ["leaks", "stalls"], "_type": "ClassLabel"}}
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    numbers = [k % 2 for k in range(24)] + [-1]
    rows = pa.table({"text": [f"pump {k}" for k in range(25)], "label": numbers})
    file = io.BytesIO()
    parquet.write_table(rows.replace_schema_metadata(told), file)
    hub({"train.parquet": file.getvalue(), "test.csv": table(ROWS[:4])})
    data = load("owner/reports", Classify.reads, DataOptions())
    assert data.labels == ("leaks", "stalls")
    assert [entry.code for entry in data.ledger.quarantined] == ["empty-label"]
    assert len(data.test) == 4


# --- a split given back in -----------------------------------------------------------------------


@pytest.fixture
def reports(tmp_path):
    file = tmp_path / "reports.csv"
    file.write_text(table(ROWS))
    return file


def written(data, path):
    path.write_text(json.dumps(data.as_json()))
    return str(path)


def test_a_split_is_used_again(reports, tmp_path):
    first = load(reports, Classify.reads, DataOptions(), seed=5)
    split = written(first, tmp_path / "data.json")
    for seed in (0, 1):
        again = load(reports, Classify.reads, DataOptions(split=split), seed=seed)
        assert [row.origin for row in again.test] == [row.origin for row in first.test]
        assert again.train == first.train
    assert load(reports, Classify.reads, DataOptions(), seed=1).test != first.test
    assert split in again.split["how"]


def test_a_split_of_other_rows_is_refused(reports, tmp_path):
    split = written(load(reports, Classify.reads, DataOptions()), tmp_path / "data.json")
    with pytest.raises(UsageError, match="leave out test"):
        load(reports, Classify.reads, DataOptions(split=split, test="t.csv"))
    moved = reports.rename(tmp_path / "moved.csv")
    with pytest.raises(FewtuneError, match="are now called moved"):
        load(moved, Classify.reads, DataOptions(split=split))
    moved.write_text(table(ROWS[1:]))
    with pytest.raises(FewtuneError, match="has changed since it was split"):
        load(moved, Classify.reads, DataOptions(split=split))


def test_a_split_serves_another_target_of_the_same_rows(tmp_path):
    file = tmp_path / "two.csv"
    lines = [f"text number {k * 7919},{'AB'[k % 2]},{'xyz'[k % 3]}" for k in range(30)]
    file.write_text("\n".join(["text,label,action", *lines]), encoding="utf-8")
    first = load(file, Classify.reads, DataOptions(), seed=5)
    split = written(first, tmp_path / "data.json")
    again = load(file, Classify.reads, DataOptions(split=split, label="action"))
    assert [row.origin for row in again.test] == [row.origin for row in first.test]
    assert (again.labels, again.columns["label"]) == (("x", "y", "z"), "action")
    file.write_text("\n".join(["text,label,action", *lines[:-1], "t,A,"]), encoding="utf-8")
    split = written(load(file, Classify.reads, DataOptions()), tmp_path / "data.json")
    with pytest.raises(FewtuneError, match="rows 1 cannot be used") as refused:
        load(file, Classify.reads, DataOptions(split=split, label="action"))
    assert "by the columns text, label, and now text, action are read" in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", '{"parts": {}}', "\x00"])
def test_what_is_no_split_is_told_in_a_sentence(reports, tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(UsageError, match="give a run, or its data"):
        load(reports, Classify.reads, DataOptions(split=str(tmp_path / "split.json")))
