"""What moves on stderr while a command is silent."""

import io
import sys

import pytest

from fewtune.base.printable import clean, printable
from fewtune.cli import main
from fewtune.cli.screen import Screen


@pytest.mark.parametrize(("quiet", "terminal"), [(False, True), (True, True), (False, False)])
def test_a_silent_stage_has_a_spinner_on_a_terminal(quiet, terminal, monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(terminal)))
    screen = Screen(quiet=quiet)
    with screen.busy("looking at the rows"):
        pass
    said = capsys.readouterr()
    assert ("looking at the rows" in said.err) == (terminal and not quiet)
    assert not said.out


def test_an_error_takes_the_spinner_down(monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    screen = Screen()
    with pytest.raises(ValueError, match="rows"), screen.busy("looking"):
        raise ValueError("rows")
    shown, hidden = "\x1b[?25h", "\x1b[?25l"  # the cursor
    err = capsys.readouterr().err
    assert err.count(hidden) == err.count(shown) == 1


SLY = "pump\x1b]0;mine\x07 \x1b[2Jleaks \x9b2J \u202eelbat"


def only_rich_steers(said):
    """What came without the colours of fewtune's own."""
    import re

    return re.sub(r"\x1b\[[\d;]*m", "", said)


@pytest.mark.parametrize("terminal", ["0", "1"])
def test_no_row_steers_the_terminal(terminal, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    data = tmp_path / "rows\x1b[2J.csv"
    rows = [f"{SLY} {k},a" for k in (1, 1, 2, 2)] + ["the door jams,b", "lamp dark,b"]
    data.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["check", str(data), "--quiet"])
    out = only_rich_steers(capsys.readouterr().out)
    assert "leaks" in out
    assert "\ufffd[2J" in out
    assert not {*"\x1b\x9b\x07\u202e"} & {*out}


@pytest.mark.parametrize("terminal", [True, False])
def test_an_answer_steers_no_terminal_and_a_file_is_given_it_as_it_is(
    terminal, monkeypatch, capsys
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    Screen().say({}, SLY)
    out = capsys.readouterr().out
    assert ("\x1b" in out) != terminal
    assert out == (clean(SLY) if terminal else SLY) + "\n"


def test_a_return_without_a_new_line_hides_nothing_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert printable("safe\rEVIL\r\n", Terminal()) == "safe\ufffdEVIL\r\n"
    assert printable("safe\rEVIL", io.StringIO()) == "safe\rEVIL"
