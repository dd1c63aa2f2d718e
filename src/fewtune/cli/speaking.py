"""`fewtune generate` and `fewtune chat`: a language model at the terminal, tuned and untouched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.options import build
from fewtune.base.printable import printable
from fewtune.cli.screen import Screen
from fewtune.data.dialogue import Message, refusing, waiting
from fewtune.models.decoding import HEATED, DecodingOptions
from fewtune.record.options import SeedOptions

if TYPE_CHECKING:
    from fewtune.api import Model
    from fewtune.methods.voice import Voice
    from fewtune.trials.prompted_voice import PromptedVoice

HELP = """\
/base            let the untouched model answer        /tuned   the tuned one again
/both            let both answer, one after the other
/set NAME VALUE  change a decoding option, such as /set temperature 0.7
/system TEXT     what the assistant is told beforehand; starts anew
/new             forget what was said                  /quit    leave"""


def generate_text(run: str, prompt: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """One answer, streamed to the terminal; whole with --json."""
    given = dict(options)
    system, base, other = (given.pop(name, None) for name in ("system", "base", "model"))
    decoding, seed = spoken(given)
    turns = waiting(prompt)
    if system:
        turns = (Message("system", str(system)), *turns)
    model = _load(run, other)
    voice = model.untouched if base else model.voice
    with refusing():
        if screen.json:
            (reply,) = voice.answer([turns], decoding, seed)
            told = {"prediction": reply.text, "stopped": reply.stopped, "tokens": reply.tokens}
            screen.say(told, "")
            return 0
        for piece in voice.stream(turns, decoding, seed):
            print(printable(piece, sys.stdout), end="", flush=True)
    print()
    return 0


def chat_with(run: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """A conversation until /quit or the end of the input; with --json told at its end."""
    given = dict(options)
    system, other = (given.pop(name, None) for name in ("system", "model"))
    chat = Chat(_load(run, other), *spoken(given), str(system or ""))
    shown = sys.stdin.isatty()
    talk = sys.stderr if screen.json else sys.stdout
    _ = chat.model.voice  # loaded now, for a load that Ctrl-C breaks off cannot be made good
    if shown:
        print(f"{chat.model.path}: ask something; /help lists what else there is.", file=talk)
    for line in _lines("> " if shown else "", talk):
        try:
            for piece in chat.hear(line):
                print(printable(piece, talk), end="", file=talk, flush=True)
        except (KeyboardInterrupt, FewtuneError) as error:  # ends the answer, not the conversation
            if not shown:
                raise
            said = printable(str(error) or "stopped", talk)
            print(f"\n{said}; /quit leaves.", file=talk)
        if chat.over:
            break
    if screen.json:
        screen.say({"answers": chat.answers}, "")
    return 0


@dataclass
class Chat:
    """A conversation with a run's model.

    Attributes:
        speakers: who answers: `tuned`, `base`, or both.
        said: what each has been told and has answered since it was told to start anew.
        answers: all of the conversation, in order: who answered what.
    """

    model: Model
    decoding: DecodingOptions
    seed: int = 0
    system: str = ""
    speakers: tuple[str, ...] = ("tuned",)
    said: dict[str, list[Message]] = field(default_factory=dict)
    answers: list[dict[str, str]] = field(default_factory=list)
    over: bool = False

    def hear(self, line: str) -> Iterator[str]:
        """What is printed for a line that was typed."""
        line = line.strip()
        if not line:
            return
        if line.startswith("/"):
            yield self._command(line) + "\n"
            return
        for name in self.speakers:
            if len(self.speakers) > 1:
                yield f"[{name}] "
            yield from self._answer(name, line)
            yield "\n"

    def _answer(self, name: str, line: str) -> Iterator[str]:
        """One answer; a question that was not answered to its end is as if never asked."""
        before = self.said.get(name, self._beginning())
        turns = [*before, Message("user", line)]
        answer = ""
        with refusing():
            for piece in self._voice(name).stream(turns, self.decoding, self.seed + len(turns)):
                answer += piece
                yield piece
        answer = answer.strip()
        self.said[name] = [*turns, Message("assistant", answer)]
        self.answers.append({"speaker": name, "prompt": line, "prediction": answer})

    def _voice(self, name: str) -> Voice | PromptedVoice:
        return self.model.untouched if name == "base" else self.model.voice

    def _beginning(self) -> list[Message]:
        return [Message("system", self.system)] if self.system else []

    def _command(self, line: str) -> str:
        """Carry out a command and say what is so now."""
        name, _, rest = line[1:].partition(" ")
        known: dict[str, Callable[[str], str]] = {
            "help": lambda _: HELP,
            "base": lambda _: self._let("base"),
            "tuned": lambda _: self._let("tuned"),
            "both": lambda _: self._let("base", "tuned"),
            "set": self._set,
            "system": self._told,
            "new": lambda _: self._anew(),
            "quit": lambda _: self._leave(),
        }
        if name not in known:
            return f"there is no /{name}; /help lists the commands."
        return known[name](rest.strip())

    def _let(self, *names: str) -> str:
        self.speakers = names
        told = {"base": "the untouched model", "tuned": "the tuned model"}
        answers = "answers" if len(names) == 1 else "answer"
        return f"{' and '.join(told[name] for name in names)} {answers} now."

    def _set(self, rest: str) -> str:
        name, _, value = rest.replace("=", " ", 1).partition(" ")
        if not name:
            so_far = self.decoding.model_dump().items()
            return "; ".join(f"{one} is {value}" for one, value in so_far)
        # a preset speaks for the options that it names, whatever they were before
        kept = {} if name == "decoding" else self.decoding.model_dump()
        if name == "temperature" and _is_zero(value):  # nothing is drawn from here on
            kept |= dict.fromkeys(HEATED)
        try:
            (found,) = build([DecodingOptions], kept | {name: value.strip() or None})
        except UsageError as error:
            return str(error)
        self.decoding = found  # type: ignore[assignment]
        return f"{name} is {getattr(self.decoding, name)} now."

    def _told(self, rest: str) -> str:
        self.system = rest
        self._anew()
        return "the assistant is told so, and starts anew." if rest else "no system text now."

    def _anew(self) -> str:
        self.said.clear()
        return "forgotten."

    def _leave(self) -> str:
        self.over = True
        return ""


def _is_zero(value: str) -> bool:
    try:
        return float(value) == 0
    except ValueError:  # what it is then is told with the other options
        return False


def _load(run: str, other: str | None) -> Model:
    from fewtune import api

    model = api.load(run, other)
    if not model.speaks:
        raise UsageError(
            f"{run}: this model chooses among labels and does not write; `fewtune predict` asks it."
        )
    return model


def spoken(given: Mapping[str, Any]) -> tuple[DecodingOptions, int]:
    """How answers are written, and their seed.

    Raises:
        UsageError: every mistake at once.
    """
    decoding, dice = build([DecodingOptions, SeedOptions], given)
    assert isinstance(decoding, DecodingOptions)
    assert isinstance(dice, SeedOptions)
    return decoding, dice.seed


def _lines(mark: str, talk: TextIO) -> Iterator[str]:
    """Lines from the terminal or a pipe, until either ends."""
    while True:
        try:
            print(mark, end="", file=talk, flush=True)
            yield input()
        except EOFError:
            return
        except UnicodeDecodeError as error:
            raise FewtuneError(
                f"the input is not UTF-8 text (byte {error.start}); give it as that."
            ) from error
