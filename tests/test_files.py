"""Files that are whole or absent, also where two processes write one."""

import os

import pytest

from fewtune.base.files import replacing, write_atomic


def test_two_writers_of_one_file_are_not_in_each_others_way(tmp_path):
    path = tmp_path / "kept.json"
    with replacing(path) as slow:
        slow.write_text("slow, ")
        with replacing(path) as fast:
            fast.write_text("fast")
        assert path.read_text() == "fast"
        with open(slow, "a") as file:
            file.write("and whole")
    assert path.read_text() == "slow, and whole"
    assert os.listdir(tmp_path) == ["kept.json"]


def test_a_folder_that_cannot_be_replaced_comes_back(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.mkdir()
    (path / "head").write_text("old")
    rename = os.replace

    def fail(source, target):
        if target == path and (source / "head").read_text() == "new":
            raise OSError(5, "Input/output error")
        rename(source, target)

    def write():
        with replacing(path) as new:
            new.mkdir()
            (new / "head").write_text("new")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="Input/output"):
            write()
    assert (path / "head").read_text() == "old"
    write()
    assert (path / "head").read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


def test_a_long_name_is_written_like_another(tmp_path):
    path = tmp_path / ("修" * 80)  # 240 bytes
    write_atomic(path, "whole")
    assert path.read_text() == "whole"
