"""Terminals that are narrow, closed, or know no Chinese; and Ctrl-C. Real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from desk import ROWS, table

PROGRAM = str(Path(sys.executable).with_name("fewtune"))


@pytest.fixture
def shell(desk):
    """Run a line of bash in the working folder; `fewtune` is the program."""

    def call(line, **variables):
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
        line = f"set -o pipefail; fewtune() {{ '{PROGRAM}' \"$@\"; }}; {line}"
        return subprocess.run(["bash", "-c", line], capture_output=True, env=environment, cwd=desk)

    return call


def test_a_reader_that_goes_away(desk, kept, shell):
    (desk / "many.csv").write_bytes(table(ROWS * 200))
    done = shell("fewtune predict runs/tfidf many.csv | head -1")
    assert done.stdout.startswith(b"prediction,origin,text")
    assert done.stderr == b""
    assert done.returncode in (0, 1)  # whether the last write saw it is chance


def test_a_terminal_that_knows_only_ascii(desk, shell):
    (desk / "故障.csv").write_bytes(table([(f"漏油🔥{t}", f"{c}漏") for t, c in ROWS]))
    ascii = {"PYTHONIOENCODING": "ascii"}
    done = shell("fewtune train 故障.csv --method tfidf --output 运行", **ascii)
    assert done.returncode == 0, done.stderr
    done = shell("fewtune predict 运行 漏油🔥 --json", **ascii)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["text"] == "漏油🔥"
    assert rb"\ud83d\udd25" in done.stdout
    done = shell("fewtune runs show 运行 --root .", LC_ALL="C", LANG="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr


def test_a_text_of_bytes_that_are_no_text(kept, shell):
    done = shell(r"fewtune predict runs/tfidf $'leaks \xff\xfe' --json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["prediction"] in {"pump", "door", "lamp"}


def test_forty_columns_keep_the_names(shell):
    done = shell("fewtune train good.csv --method tfidf", COLUMNS="40")
    assert done.returncode == 0, done.stderr
    assert {b"majority", b"tfidf"} <= {
        line.split()[0] for line in done.stdout.splitlines() if line.split()
    }
    assert b"majority" in done.stdout


@pytest.fixture
def heeds_ctrl_c():
    """Whoever is started in the background of a script ignores Ctrl-C, and hands that down."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_while_reading_leaves_no_run(desk):
    (desk / "big.csv").write_bytes(table([(f"{t} {k}", c) for k in range(9000) for t, c in ROWS]))
    work = subprocess.Popen(
        [PROGRAM, "train", "big.csv", "--method", "tfidf"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=desk,
    )  # fmt: skip
    _wait_until_it_reads(work.pid, "big.csv")
    work.send_signal(signal.SIGINT)
    out, err = work.communicate(timeout=60)
    assert work.returncode == 130
    assert err.decode().startswith("fewtune: interrupted")
    assert out == b""
    assert not list(desk.glob("runs/*/scores.json"))


def _wait_until_it_reads(pid, name):
    """Until the process holds more than its libraries: rows.

    In the middle of an import Python may drop an interrupt, where it comes in a callback.
    """
    for _ in range(1500):
        held = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        if held and int(held[1]) > 150_000:
            return
        time.sleep(0.02)
    pytest.fail(f"{name} was not read in 30 seconds")
