"""How much memory a process holds, as the system tells it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fewtune.models import footprint

LARGE = 300 * 2**20
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system tells no peak of a program alone"
)


@needs_proc
def test_the_peak_of_a_large_parent_is_not_its_childs():
    held = b"x" * LARGE
    asked = "from fewtune.models.footprint import peak; print(peak())"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert footprint.resident() > len(held)
    assert 0 < int(done.stdout) < LARGE


def test_where_the_system_tells_no_peak_of_a_program_alone_it_is_the_process_s(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(footprint, "SELF", tmp_path)
    assert footprint.peak() > 2**20
