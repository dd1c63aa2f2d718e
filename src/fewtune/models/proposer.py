"""An encoder asked which words could stand where another one stands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fewtune.base.errors import UsageError
from fewtune.models.load import import_transformers, load_tokenizer, loading, refuse_random
from fewtune.models.masked import Masked
from fewtune.models.neighbours import Neighbours
from fewtune.models.options import ModelOptions
from fewtune.models.parts import FAMILIES
from fewtune.models.source import find
from fewtune.models.vocabulary import Place, Vocabulary


class Proposer:
    """Other words in a word's place, from a pretrained encoder.

    Where its weights hold the head of a masked language model, that is asked in context. A
    sentence encoder has none: there the nearest words in its table of input embeddings are taken.
    Nothing is loaded before the first call; equal calls give equal answers.
    """

    def __init__(self, model: str) -> None:
        """
        Args:
            model: folder, hub id or `minilm`; safetensors only, no code of others.
        """
        self.model = model

    def __call__(
        self, texts: Sequence[Sequence[str]], at: Sequence[Sequence[int]]
    ) -> list[dict[int, tuple[str, ...]]]:
        """Words that could stand at places of texts.

        Args:
            texts: each cut into pieces that joined give the text; an empty piece is a place where
                no word stands yet.
            at: the positions asked of each text.

        Returns:
            Of each text, position -> words of the same script, likeliest first, the word itself and
            those beside it left out; () where there are none.

        Raises:
            FewtuneError: as `find`; the weights are not whole, or of a causal model.
        """
        pairs = zip(texts, at, strict=True)
        places = [Place(pieces, k) for pieces, asked in pairs for k in asked]
        words = iter(self._source.words(places))
        return [{k: next(words) for k in asked} for asked in at]

    @cached_property
    def _source(self) -> Masked | Neighbours:
        source = find(ModelOptions(model=self.model))
        if FAMILIES[source.config["model_type"]].causal:
            raise UsageError(
                f"augment_model: {self.model} writes texts from left to right and cannot say what "
                "stands in the midst of one; give an encoder, such as BERT, or `minilm`."
            )
        vocabulary = Vocabulary(load_tokenizer(source))
        model, has_head = _with_head(source.folder)
        if has_head and vocabulary.tokenizer.mask_token_id is not None:
            return Masked(model, vocabulary, source.positions)
        table = model.get_input_embeddings().weight.detach()  # (tokens, width)
        return Neighbours(table.cpu().numpy(), vocabulary)


def _with_head(folder: Path) -> tuple[Any, bool]:
    """A masked language model in float32, and whether its head came with the weights.

    Raises:
        FewtuneError: the weights lack more than the head.
    """
    import torch

    from fewtune.models.device import find_machine, placed

    transformers = import_transformers()
    # a head that is not there begins at random, which must not move the caller's dice
    with loading(folder, "model"), torch.random.fork_rng(devices=[]):
        model, told = transformers.AutoModelForMaskedLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
    trunk = f"{model.base_model_prefix}."
    missing = {name for name in told["missing_keys"] if "pooler" not in name}
    head = {name for name in missing if not name.startswith(trunk)}
    refuse_random(folder, missing - head, told["mismatched_keys"])
    # bfloat16 would be faster; near ties would then fall otherwise from machine to machine
    placed(model.eval(), find_machine("auto", bf16=False))
    return model, not head
