"""Rank 13: the terminal's door. It parses, draws and streams; it decides nothing."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import NoReturn

from fewtune.base.errors import FewtuneError, Interrupted, UsageError, one_of
from fewtune.base.printable import printable
from fewtune.cli.commands import COMMANDS, Command
from fewtune.cli.misread import mistakes


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code: 0, 1 for a failed job, 2 for wrong usage."""
    words = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not debug:
        sys.excepthook = partial(_hide_traceback, "--json" in words)
    _print_anything()
    try:
        code = _run(words) or 0
        sys.stdout.flush()
        sys.exit(code)
    except FewtuneError as error:
        if debug:
            raise
        _tell(str(error), "--json" in words)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `| head -1`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python tries again at its end
        sys.exit(1)
    except KeyboardInterrupt:
        if debug:
            raise
        kept = "; `fewtune runs` shows what was kept" if words and words[0] in KEEPING else ""
        _tell(f"interrupted{kept}.", "--json" in words)
        sys.exit(Interrupted.exit_code)


KEEPING = ("train", "resume", "compare")  # commands that write down what they have done


def _run(words: list[str]) -> int | None:
    from cyclopts import CycloptsError

    name = words[0] if words else "--help"
    if not name.startswith("-") and name not in COMMANDS:
        raise UsageError(one_of("command", name, COMMANDS))
    app = _app(name)
    try:
        return app(words or ["--help"], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        known = name in COMMANDS
        wrong = mistakes(words[1:], COMMANDS[name].parameters()) if known else []
        place = f"fewtune {name}" if known else "fewtune"
        told = "\n".join(wrong or [_plain(error)])
        what = "every option" if known else "every command"
        raise UsageError(f"{told}\n`{place} --help` lists {what}.") from None


def _app(name: str):
    """The program with one command in full: the others' flags are not built, to answer at once."""
    from cyclopts import App

    from fewtune.cli.flags import with_signature

    app = App(
        name="fewtune",
        help="Fine-tune a pretrained model on few labelled examples, and prove that it worked.",
        version=_version,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,  # main says what was kept
    )
    for key, command in COMMANDS.items():
        parameters = command.parameters() if key == name else []
        app.command(with_signature(command.run, parameters), name=key, help=command.help)
    return app


def _version() -> str:
    from fewtune import __version__

    return __version__


def _print_anything() -> None:
    """Let a terminal that has no word for a character show its number, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="fewtune-escape")


def _escape(error: UnicodeError) -> tuple[str, int]:
    """`\\u6f0f`, and a pair of them beyond the 65,536th character, so that JSON remains JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)), error.end


codecs.register_error("fewtune-escape", _escape)


def _plain(error: Exception) -> str:
    """Cyclopts' sentence without its frame, ending in a full stop."""
    if unused := getattr(error, "unused_tokens", None):
        return f"{' '.join(unused)}: the command has no place for this."
    message = " ".join(str(error).split()).replace("Command ", "").strip()
    return message if message.endswith((".", "?")) else f"{message}."


def _tell(error: str, as_json: bool) -> None:
    """A failure on stderr, and for programs on stdout."""
    print(f"fewtune: {printable(error, sys.stderr)}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": error}, ensure_ascii=False))


def _hide_traceback(
    as_json: bool, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _tell(
        f"an error that fewtune did not expect: {kind.__name__}: {error}. Run again with --debug "
        "for the place, and please report it.",
        as_json,
    )


__all__ = ["COMMANDS", "Command", "main"]
