"""A prompted model that answers dialogues, as a trained one does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.dialogue import Message
from fewtune.methods.voice import Reply, before_stop, in_order
from fewtune.models.calls import side_by_side
from fewtune.models.decoding import DecodingOptions
from fewtune.models.endpoint import Answer, Endpoint, Refused
from fewtune.models.options import ENDPOINT, is_endpoint
from fewtune.models.writer import LEAST_HEAT, without_thoughts
from fewtune.trials.prompt import question_of
from fewtune.trials.prompted import Prompted

#: Options of decoding that no standard server knows; the preset's `top_k` is passed over there.
DEAF = ("top_k", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class PromptedVoice:
    """A prompted model that answers dialogues as `Voice` does; without `prompted`, as it is."""

    model: str
    prompted: Prompted | None = None

    def look_at(self, turns: Sequence[Message], tools: Any = None) -> None:
        """Every dialogue can be asked: it becomes one text."""

    def answer(
        self,
        dialogues: Sequence[Sequence[Message]],
        decoding: DecodingOptions,
        seed: int = 0,
        tools: Sequence[Any] | None = None,
    ) -> list[Reply]:
        """The next turn of every dialogue.

        Raises:
            UsageError: options that such a model does not know.
            FewtuneError: the model cannot be asked, or takes none of the dialogues.
        """
        found = in_order(self.replies(dialogues, decoding, seed))
        if found and all(one.refused for one in found):
            raise FewtuneError(found[0].refused)
        return found

    def replies(
        self,
        dialogues: Sequence[Sequence[Message]],
        decoding: DecodingOptions,
        seed: int = 0,
        tools: Sequence[Any] | None = None,
        known: Collection[int] = (),
    ) -> Iterator[dict[int, Reply]]:
        """The same as they come, by the dialogues' numbers, as `Voice.replies`.

        A dialogue that the model does not take, for it is too long, gets a reply that says why.

        Raises:
            UsageError, FewtuneError: as `answer`.
        """
        usual = DecodingOptions(decoding=decoding.decoding)
        deaf = [name for name in DEAF if getattr(decoding, name) != getattr(usual, name)]
        if deaf:
            raise UsageError(
                f"{', '.join(deaf)}: {self.model} is asked through its prompt and takes "
                "temperature, top_p, max_new_tokens and stop; leave it out."
            )
        questions = [question_of(turns) for turns in dialogues]
        prompts = self.prompted.write(questions) if self.prompted else questions
        left = {number: one for number, one in enumerate(prompts) if number not in known}
        ask = self._ask_endpoint if is_endpoint(self.model) else self._ask_here
        for number, one in ask(left, decoding, seed):
            if isinstance(one, Refused):
                yield {number: Reply("", 0, False, str(one))}
            else:
                yield {number: _reply(one, decoding)}

    def stream(
        self, turns: Sequence[Message], decoding: DecodingOptions, seed: int = 0
    ) -> Iterator[str]:
        """The next turn, in one piece."""
        yield self.answer([turns], decoding, seed)[0].text

    def _ask_endpoint(
        self, prompts: Mapping[int, str], how: DecodingOptions, seed: int
    ) -> Iterator[tuple[int, Answer | Refused]]:
        """Answers as they come, a few calls side by side."""
        endpoint = Endpoint.parse(self.model.removeprefix(ENDPOINT))

        def one(number: int) -> Answer | Refused:
            try:
                return endpoint.complete(
                    [{"role": "user", "content": prompts[number]}],
                    temperature=how.temperature,
                    top_p=how.top_p or 1.0,
                    max_tokens=how.max_new_tokens,
                    seed=seed,
                    stop=how.stops,
                )
            except Refused as error:
                return error

        yield from side_by_side(one, prompts)

    def _ask_here(
        self, prompts: Mapping[int, str], how: DecodingOptions, seed: int
    ) -> Iterator[tuple[int, Answer | Refused]]:
        """Answers as they come, after those that are too long for one."""
        from fewtune.models.sampler import Sampler

        heat = how.temperature or LEAST_HEAT
        sampler = Sampler(self.model, heat, how.top_p or 1.0, how.max_new_tokens)
        short: dict[str, list[int]] = {}
        for number, prompt in prompts.items():
            if refused := sampler.refusal(prompt):
                yield number, refused
            else:
                short.setdefault(prompt, []).append(number)
        for prompt, answer in sampler([*short], seed):
            yield from ((number, answer) for number in short[prompt])


def _reply(said: Answer, how: DecodingOptions) -> Reply:
    """What was said up to a stop text, which not every model heeds, without thoughts."""
    whole = without_thoughts(said.text)
    text = before_stop(whole, how)
    stopped = said.finish_reason != "length" or text != whole
    return Reply(text.strip(), int(said.usage.get("completion_tokens") or 0), stopped)
