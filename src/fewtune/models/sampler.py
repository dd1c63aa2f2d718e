"""A causal language model on this machine that answers prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fewtune.base.files import fingerprint
from fewtune.models.endpoint import Answer, TooLong
from fewtune.models.load import import_transformers, load_tokenizer, loading, refuse_random
from fewtune.models.options import ModelOptions
from fewtune.models.source import Source, find

if TYPE_CHECKING:
    from fewtune.models.device import Machine

MAX_NEW_TOKENS = 128
AT_ONCE = 8  # prompts in a batch


@dataclass
class Sampler:
    """Draws answers. The model is loaded when the first prompt comes.

    Attributes:
        model: folder or hub id; safetensors only, no code of others.
        temperature: below 1, likely words become likelier.
        top_p: share of the probability that is drawn from.
        max_new_tokens: most tokens of an answer.
    """

    model: str
    temperature: float
    top_p: float
    max_new_tokens: int = MAX_NEW_TOKENS

    def __call__(self, prompts: Sequence[str], seed: int) -> Iterator[tuple[str, Answer]]:
        """Every prompt with its answer, the short ones first; without those too long to answer.

        The dice belong to the prompt, not to the batch, so that what is asked beside it matters
        through rounding alone (which bfloat16 has enough of to change a word now and then).

        Raises:
            FewtuneError: the model cannot be loaded.
        """
        ids = {prompt: self._encode(prompt) for prompt in prompts}
        short = [prompt for prompt in ids if len(ids[prompt]) <= self.room]
        order = sorted(short, key=lambda prompt: len(ids[prompt]))
        for start in range(0, len(order), AT_ONCE):
            batch = order[start : start + AT_ONCE]
            written = self._draw([ids[prompt] for prompt in batch], batch, seed)
            yield from zip(batch, written, strict=True)

    @property
    def room(self) -> int:
        """Tokens that a prompt may have."""
        return self._source.positions - self.max_new_tokens

    def refusal(self, prompt: str) -> TooLong | None:
        """Why a prompt gets no answer, where it is too long for one."""
        if (tokens := len(self._encode(prompt))) <= self.room:
            return None
        return TooLong(
            f"a question of {tokens:,} tokens and {self.max_new_tokens} for its answer are more "
            f"than the {self._source.positions:,} positions of {self.model}; ask something "
            "shorter, or choose a model with more."
        )

    @cached_property
    def identity(self) -> str:
        """The folder, its weights by size and time, and the settings."""
        files = sorted(self._source.folder.glob("*.safetensors"))
        weights = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
        settings = f"{self.temperature} {self.top_p} {self.max_new_tokens}"
        return fingerprint(str(self._source.folder.resolve()), *weights, settings)

    @cached_property
    def _source(self) -> Source:
        return find(ModelOptions(model=self.model))

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._source)

    @cached_property
    def _machine(self) -> Machine:
        from fewtune.models.device import find_machine

        return find_machine("auto", None)

    @cached_property
    def _loaded(self) -> Any:
        transformers = import_transformers()
        import torch

        from fewtune.models.device import placed

        with loading(self._source.folder, "model"):
            model, told = transformers.AutoModelForCausalLM.from_pretrained(
                self._source.folder,
                dtype=torch.bfloat16 if self._machine.bf16 else torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        refuse_random(self._source.folder, told["missing_keys"], told["mismatched_keys"])
        placed(model.eval(), self._machine)
        return model

    def _encode(self, prompt: str) -> list[int]:
        """Token ids; in the words of the model's chat template where it has one."""
        if not self._tokenizer.chat_template:
            return self._tokenizer(prompt)["input_ids"]
        asked = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # a template without thinking does not read it
        )
        return self._tokenizer(asked, add_special_tokens=False)["input_ids"]

    def _draw(self, ids: Sequence[list[int]], prompts: Sequence[str], seed: int) -> list[Answer]:
        """One answer to each row of token ids."""
        import torch

        width = max(map(len, ids))
        padded = [[self._tokenizer.pad_token_id] * (width - len(row)) + row for row in ids]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in ids]
        device = self._machine.device
        with torch.inference_mode():
            made = self._loaded.generate(
                input_ids=torch.tensor(padded, device=device),  # (rows, width), padded on the left
                attention_mask=torch.tensor(mask, device=device),
                logits_processor=self._dice(prompts, seed),
                max_new_tokens=self.max_new_tokens,
                do_sample=False,  # the dice are in the processor
                **dict.fromkeys(("temperature", "top_p", "top_k")),
                pad_token_id=self._tokenizer.pad_token_id,
            )
        return [self._answer(row) for row in made[:, width:].tolist()]

    def _answer(self, ids: list[int]) -> Answer:
        ends = self._ends()
        at = next((k for k, token in enumerate(ids) if token in ends), None)
        text = self._tokenizer.decode(ids[:at], skip_special_tokens=True)
        return Answer(text, "length" if at is None else "stop")

    def _ends(self) -> set[int]:
        """Tokens that end an answer, as the model and its tokenizer say."""
        told = self._loaded.generation_config.eos_token_id
        ends = set(told) if isinstance(told, list) else {told}
        return (ends | {self._tokenizer.eos_token_id}) - {None}

    def _dice(self, prompts: Sequence[str], seed: int) -> Any:
        """Temperature, the likeliest tokens, and a throw for each."""
        transformers = import_transformers()

        from fewtune.models.dice import Dice

        return transformers.LogitsProcessorList(
            [
                transformers.TemperatureLogitsWarper(self.temperature),
                transformers.TopPLogitsWarper(self.top_p),
                Dice(prompts, seed),
            ]
        )
