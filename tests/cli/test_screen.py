"""What moves on stderr while a command is silent."""

import pytest

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
