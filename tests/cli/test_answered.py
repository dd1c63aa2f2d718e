"""The file of answers: what is kept of it by a call that goes on."""

import json
from pathlib import Path

import pytest

from fewtune.cli.answered import BUNCH, Answered
from fewtune.data.dialogue import Message
from fewtune.data.row import Origin, Row

ROWS = [
    Row(Origin("q.jsonl", k), {"messages": (Message("user", f"pump {k}?"),)}) for k in range(70)
]


def line(number: int, **told) -> dict:
    row = ROWS[number]
    told = told or {"prediction": "leaks"}
    return {"origin": str(row.origin), "text": f"pump {number}?", **told, "by": "one"}


@pytest.fixture
def file(tmp_path: Path) -> Answered:
    return Answered(tmp_path / "a.jsonl", ROWS, "one")


def test_answers_that_are_there_are_never_written_anew(file, monkeypatch):
    file.close([line(k) for k in range(BUNCH)])
    written = file.place.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert file.done() == BUNCH
    file.close([line(BUNCH)])  # of a bunch that is not whole
    with open(file.place, "ab") as left:
        left.write(b'{"origin": "q')
    assert file.done() == BUNCH
    assert file.place.read_bytes() == written


def test_who_was_refused_before_a_stop_is_asked_again(file):
    file.keep(0, {0: line(0, refused="no such model"), 1: line(1)})
    assert file.begun(0) == {1: line(1)}
    told = [json.loads(one) for one in Path(f"{file.place}.begun").read_text().splitlines()]
    assert [one["row"] for one in told] == [1]
