"""What is no regular file is refused, and nobody waits for its end."""

import os

import pytest
from seen import ROLES

import fewtune
from fewtune.base.errors import UsageError
from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows


def test_a_device_is_refused():
    with pytest.raises(UsageError, match="/dev/zero is a device or a pipe, which may never end"):
        read_rows("/dev/zero", ROLES, DataOptions())


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="device or a pipe"):
        read_rows(tmp_path / "a.csv", ROLES, DataOptions())


def test_a_pipe_as_test_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "b.csv")
    (tmp_path / "a.csv").write_text("text,label\nhot,a\n", encoding="utf-8")
    with pytest.raises(UsageError, match="device or a pipe"):
        fewtune.check(tmp_path / "a.csv", test=str(tmp_path / "b.csv"))
