"""What a user has on the desk: files, good and bad, and a way to call the program."""

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

from fewtune.base.files import UNFINISHED
from fewtune.record import list_runs

TEXTS = {
    "pump": ["the pump leaks oil", "oil pressure is low", "pump motor is hot"],
    "door": ["the door does not close", "door jams", "the lock turns"],
    "lamp": ["lamp flickers", "the lamp is dark", "no light at the desk"],
}
ROWS = [(f"{text}, case {k}", label) for k in range(5) for label in TEXTS for text in TEXTS[label]]
HEAD = ("text", "label")


def table(rows, head=HEAD) -> bytes:
    """A csv file's bytes."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *rows])
    return out.getvalue().encode("utf-8")


def lines(rows) -> bytes:
    """A jsonl file's bytes; surrogates are escaped."""
    return "".join(json.dumps({"text": t, "label": c}) + "\n" for t, c in rows).encode()


@dataclass(frozen=True)
class Said:
    """What a command left: exit code and the two streams."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """stderr as one line, however it was wrapped."""
        return " ".join(self.err.split())

    @property
    def error(self) -> str:
        """The closing sentence, without progress before it."""
        return self.told[self.told.rindex("fewtune: ") :]


def assert_refused(said: Said, code: int, *phrases: str) -> None:
    """One sentence a mistake, with the words expected in it, and no traceback."""
    assert said.code == code, said
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "Warning" not in said.err
    assert "did not expect" not in said.err
    for phrase in phrases:
        assert re.search(phrase, said.error, re.IGNORECASE), (phrase, said.error)
    assert said.error.endswith((".", "?"))


def assert_nothing_looks_finished(root: Path) -> None:
    """No run in `root` claims to be whole, and nothing half-written is left."""
    assert [run.state for run in list_runs(root)].count("finished") == 0
    assert not list(root.rglob(f"*{UNFINISHED}"))
    assert not list(root.rglob("scores.json"))
