"""Two translation models: one there and one back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.models.load import import_transformers, loading, refuse_random
from fewtune.models.options import ModelOptions
from fewtune.models.source import find_seq2seq

TOP_P = 0.95
ROWS = 32  # rows in a batch
TOKENS = 2048  # most tokens in a batch
#: Families between many languages, whose tokenizers must be told which.
MANY = ("m2m_100", "mbart", "nllb-moe", "seamless_m4t", "seamless_m4t_v2")


class Translator:
    """Texts in other words, by way of another language. Models are loaded at the first call."""

    def __init__(self, spelled: str) -> None:
        """
        Args:
            spelled: `THERE,BACK`, folders or hub ids; safetensors only, no code of others.

        Raises:
            UsageError: not two.
            FewtuneError: one is not there, or no translation model of one pair of languages.
        """
        names = [name.strip() for name in spelled.split(",") if name.strip()]
        if len(names) != 2:
            raise UsageError(
                "translators: give two models with a comma between, one that translates the rows' "
                f"language into another and one that translates back; got {spelled!r}."
            )
        self.there, self.back = (Direction(name) for name in names)

    def __call__(self, texts: Sequence[str], sample: bool, seed: int) -> list[str]:
        """Every text in other words.

        Args:
            texts: as read; one that has no letters, or is longer than a model has positions for,
                comes back as it is.
            sample: draw from the likeliest tokens instead of taking the first.
            seed: of the drawing. What is drawn for a text does not depend on the texts beside it
                beyond rounding.

        Raises:
            FewtuneError: a model's files are damaged.
        """
        asked = sorted({text for text in texts if any(map(str.isalpha, text))})
        abroad = self.there(asked, sample, seed)
        returned = self.back(sorted(set(filter(None, abroad.values()))), sample, seed)
        return [returned.get(abroad.get(text, ""), "") or text for text in texts]


class Direction:
    """One translation model."""

    def __init__(self, name: str) -> None:
        """
        Raises:
            FewtuneError: it is not there, or no translation model of one pair of languages.
        """
        self.folder, self._config = find_seq2seq(ModelOptions(model=name))
        if self._config["model_type"] in MANY:
            raise FewtuneError(
                f"translators: {name} translates between many languages and fewtune cannot say "
                "which; give a model of one pair, such as Helsinki-NLP/opus-mt-en-de."
            )

    def __call__(self, texts: Sequence[str], sample: bool, seed: int) -> dict[str, str]:
        """Translations by text; a text longer than the model's positions has none."""
        from fewtune.models.batches import by_length

        if not texts:
            return {}
        ids = self._tokenizer(list(texts))["input_ids"]
        lengths = np.array([len(row) for row in ids])
        room = self._positions()
        made: dict[str, str] = {}
        for chosen in by_length(lengths, ROWS, TOKENS):
            kept = [int(k) for k in chosen if lengths[k] <= room]
            if kept:
                own = [texts[k] for k in kept]
                new = self._translated([ids[k] for k in kept], own, seed if sample else None)
                made |= zip(own, new, strict=True)
        return made

    @cached_property
    def _tokenizer(self) -> Any:
        with loading(self.folder, "tokenizer"), warnings.catch_warnings():
            # Marian without it only leaves quotation marks as they are
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            return import_transformers().AutoTokenizer.from_pretrained(self.folder)

    @cached_property
    def _model(self) -> Any:
        import torch

        from fewtune.models.device import find_machine, placed

        transformers = import_transformers()
        with loading(self.folder, "model"), torch.random.fork_rng(devices=[]):
            model, told = transformers.AutoModelForSeq2SeqLM.from_pretrained(
                self.folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                output_loading_info=True,
            )
        refuse_random(self.folder, told["missing_keys"], told["mismatched_keys"])
        placed(model.eval(), find_machine("auto", bf16=False))
        return model

    def _positions(self) -> int:
        """The longest text the model can read, in tokens."""
        limit = self._config.get("max_position_embeddings") or self._config.get("n_positions")
        return min(int(limit or 512), self._tokenizer.model_max_length)

    def _translated(
        self, ids: Sequence[list[int]], texts: Sequence[str], seed: int | None
    ) -> list[str]:
        """A translation of each row of tokens; drawn where there is a seed."""
        import torch

        longest = max(map(len, ids))
        rows = self._tokenizer.pad({"input_ids": list(ids)}, return_tensors="pt")
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=rows["input_ids"].to(self._model.device),  # (rows, longest)
                attention_mask=rows["attention_mask"].to(self._model.device),
                # a loop of one word would otherwise run to the last position
                max_new_tokens=min(2 * longest + 16, self._positions() - 1),
                num_beams=1,
                do_sample=False,  # the dice are in the processor
                logits_processor=None if seed is None else _drawing(texts, seed),
            )
        told = self._tokenizer.batch_decode(made, skip_special_tokens=True)
        return [text.strip() for text in told]


def _drawing(texts: Sequence[str], seed: int) -> Any:
    from fewtune.models.dice import Dice

    transformers = import_transformers()
    return transformers.LogitsProcessorList(
        [transformers.TopPLogitsWarper(TOP_P), Dice(texts, seed)]
    )
