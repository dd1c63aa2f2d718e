"""A model that follows instructions: a budget of calls, and every answer kept on disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fewtune.base.errors import FewtuneError
from fewtune.base.files import cache_folder, fingerprint, write_json
from fewtune.models.calls import side_by_side
from fewtune.models.endpoint import Endpoint, Refused, TooLong

if TYPE_CHECKING:
    from fewtune.models.sampler import Sampler

TEMPERATURE, TOP_P = 0.8, 0.95
MAX_TOKENS = 512  # of an endpoint's answer: room for a model that thinks first
LEAST_HEAT = 1e-3
PATIENCE = 8  # failures in a row after which the server is taken to be gone
#: What came of a prompt: an answer, why there is none, or None for one that is not worth keeping.
Outcome = str | FewtuneError | None
#: Prompts and a seed -> each with what came of it, in whatever order they come.
Ask = Callable[[Sequence[str], int], Iterator[tuple[str, Outcome]]]
_THOUGHT = re.compile(r"^.*</think>", re.DOTALL)
_BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class Manner:
    """How a model writes, and what of it is kept.

    Attributes:
        temperature: below 1, likely words become likelier; 0 takes the likeliest.
        top_p: share of the probability that is drawn from.
        max_tokens: most tokens of an answer; None for the usual number.
        kept: a model's text, and whether it ended it itself -> what is handed on; None where that
            is as good as no answer, which is asked for again another time.
    """

    temperature: float = TEMPERATURE
    top_p: float = TOP_P
    max_tokens: int | None = None
    kept: Callable[[str, bool], str | None] = lambda text, finished: whole(text, finished)


DRAWN = Manner()


@dataclass
class Writer:
    """Answers prompts, as `augment.base.Writer` asks for it.

    Attributes:
        who: gives the model's name, with all that its answers depend on beside prompt and seed.
        ask: the model itself; not touched before a prompt needs it.
        calls: most prompts that are sent to it over this object's life.
        spent: prompts sent so far; what the cache answers costs nothing.
        failed: prompts without an answer, with why; those that are `Refused` are not sent again.
    """

    who: Callable[[], str]
    ask: Ask
    calls: int
    spent: int = 0
    failed: dict[str, FewtuneError] = field(default_factory=dict)
    _speaks: bool = False

    def __call__(self, prompts: Sequence[str], seed: int) -> list[str | None]:
        """An answer to every prompt; None where the budget is spent or the model failed.

        Args:
            prompts: equal ones are sent once.
            seed: another one gives other answers.

        Raises:
            Refused: the model takes none of the prompts, and has taken none before.
            FewtuneError: the model cannot be used, or the cache cannot be written.
        """
        answers = {prompt: self._kept(prompt, seed) for prompt in prompts}
        unknown = [
            prompt
            for prompt, answer in answers.items()
            if answer is None and not isinstance(self.failed.get(prompt), Refused)
        ]
        # rows of a file often stand class by class; a budget that ends early is spent on all
        asked = sorted(unknown, key=lambda prompt: fingerprint(prompt, str(seed)))[: self.left]
        if asked:
            _make_folder()
            for prompt, answer in self.ask(asked, seed):
                self.spent += not isinstance(answer, TooLong)
                if isinstance(answer, FewtuneError):
                    self.failed[prompt] = answer
                elif answer is not None:
                    self._keep(prompt, seed, answer)
                    answers[prompt] = answer
        self._speaks |= any(answer is not None for answer in answers.values())
        if asked and not self._speaks and isinstance(why := self.failed.get(asked[0]), Refused):
            raise why
        return [answers[prompt] for prompt in prompts]

    def anew(self) -> Writer:
        """The same model with all its calls before it; what it refused is not asked again."""
        return replace(self, spent=0)

    @property
    def left(self) -> int:
        """Calls that the budget still has."""
        return max(0, self.calls - self.spent)

    @cached_property
    def _who(self) -> str:
        return self.who()

    def _file(self, prompt: str, seed: int) -> Path:
        return answers_folder() / f"{fingerprint(self._who, prompt, str(seed))}.json"

    def _kept(self, prompt: str, seed: int) -> str | None:
        """What was answered before; a file that cannot be read is as good as none."""
        try:
            text = json.loads(self._file(prompt, seed).read_text(encoding="utf-8"))["text"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return text if isinstance(text, str) else None

    def _keep(self, prompt: str, seed: int, answer: str) -> None:
        # another run may write the same answer at this moment and take the temporary file along
        with suppress(FileNotFoundError):
            write_json(self._file(prompt, seed), {"text": answer})


def endpoint_writer(spelled: str, calls: int, manner: Manner = DRAWN) -> Writer:
    """A writer behind an OpenAI-compatible server, `URL` or `URL#MODEL`.

    Raises:
        UsageError: that is no address of a server.
    """
    endpoint = Endpoint.parse(spelled)
    most = manner.max_tokens or MAX_TOKENS
    settings = f"temperature {manner.temperature}, top_p {manner.top_p}, max_tokens {most}"
    return Writer(
        lambda: f"{endpoint.url}#{endpoint.model}, {settings}",
        lambda prompts, seed: _ask_endpoint(endpoint, prompts, seed, manner),
        calls,
    )


def local_writer(model: str, calls: int, manner: Manner = DRAWN) -> Writer:
    """A writer that is a causal language model on this machine.

    Args:
        model: folder or hub id; loaded when the first prompt needs it.
        calls: most prompts that it answers.
    """
    from fewtune.models.sampler import MAX_NEW_TOKENS, Sampler

    # a temperature of 0 cannot be divided by; at this one the dice decide between equals alone
    heat = manner.temperature or LEAST_HEAT
    sampler = Sampler(model, heat, manner.top_p, manner.max_tokens or MAX_NEW_TOKENS)
    return Writer(
        lambda: sampler.identity,
        lambda prompts, seed: _ask_here(sampler, prompts, seed, manner),
        calls,
    )


def answers_folder() -> Path:
    """Where answers are kept, in the user's cache folder."""
    return cache_folder() / "answers"


def whole(text: str, finished: bool) -> str:
    """A model's text without its thoughts, up to the first blank line.

    Args:
        text: as it came.
        finished: whether the model ended it; else its last line is cut somewhere and left out.

    >>> whole("<think>Hm.</think>The pump is hot.\\n\\nI hope this helps", finished=False)
    'The pump is hot.'
    """
    if not finished:
        text = text.rpartition("\n")[0]
    said = without_thoughts(text)
    return _BLANK_LINE.split(said, maxsplit=1)[0].strip()


def without_thoughts(text: str) -> str:
    """What a model says after it has thought; nothing where it never came to an end of that.

    >>> without_thoughts("<think>Hm.</think> hot"), without_thoughts("<think>Hm")
    ('hot', '')
    """
    if "<think>" in text and "</think>" not in text:
        return ""
    return _THOUGHT.sub("", text).strip()


def _make_folder() -> None:
    """The cache's folder, for its owner alone: answers say what the rows say."""
    folder = answers_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FewtuneError(
            f"answers cannot be kept in {folder} ({error.strerror}), so each would be asked for "
            "twice; set FEWTUNE_CACHE to a folder that can be written."
        ) from None


def _ask_here(
    sampler: Sampler, prompts: Sequence[str], seed: int, manner: Manner
) -> Iterator[tuple[str, Outcome]]:
    """Answers as they come, then those that are too long for one."""
    for prompt, answer in sampler(prompts, seed):
        yield prompt, manner.kept(answer.text, answer.finish_reason == "stop")
    for prompt in prompts:
        if refused := sampler.refusal(prompt):
            yield prompt, refused


def _ask_endpoint(
    endpoint: Endpoint, prompts: Sequence[str], seed: int, manner: Manner
) -> Iterator[tuple[str, Outcome]]:
    """Answers as they come.

    Raises:
        FewtuneError: every call failed, or the last PATIENCE of them; a server that answers others
            and does not take a question is not gone.
    """
    failed, in_a_row, answered = 0, 0, False
    for prompt, told in side_by_side(lambda one: _one(endpoint, one, seed, manner), prompts):
        if isinstance(told, FewtuneError):
            failed += 1
            in_a_row += not (answered and isinstance(told, Refused))
            if failed == len(prompts) or in_a_row == PATIENCE:
                raise told
        else:
            in_a_row, answered = 0, True
        yield prompt, told


def _one(endpoint: Endpoint, prompt: str, seed: int, manner: Manner) -> str | FewtuneError | None:
    """One answer; a failure is handed over, since others may have succeeded."""
    try:
        answer = endpoint.complete(
            [{"role": "user", "content": prompt}],
            temperature=manner.temperature,
            top_p=manner.top_p,
            max_tokens=manner.max_tokens or MAX_TOKENS,
            seed=seed,
        )
    except FewtuneError as error:
        return error
    return manner.kept(answer.text, answer.finish_reason != "length")
