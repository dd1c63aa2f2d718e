"""Load what was found: tokenizer and weights, with damaged files told in a sentence."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.models.options import ModelOptions
from fewtune.models.parts import FAMILIES
from fewtune.models.source import Source, check_tokenizer

if TYPE_CHECKING:
    from fewtune.models.causal import CausalModel
    from fewtune.models.pooled import PooledModel


def load_tokenizer(source: Source) -> Any:
    """The tokenizer, padding on the right; a missing padding token borrows the end token."""
    transformers = import_transformers()
    with loading(source.folder, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source.folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise FewtuneError(
            f"The tokenizer in {source.folder} has neither a padding nor an end token, so rows of "
            "unequal length cannot share a batch; add one to its tokenizer_config.json."
        )
    tokenizer.padding_side = "right"
    return tokenizer


def load_saved_tokenizer(folder: Path) -> Any:
    """The tokenizer of an artefact, padding on the right as it was saved."""
    check_tokenizer(folder)
    with loading(folder, "tokenizer"):
        return import_transformers().AutoTokenizer.from_pretrained(folder)


def load_pooled(source: Source, classes: int, options: ModelOptions) -> PooledModel:
    """The backbone in float32, its pooling, and a head of zeros."""
    transformers = import_transformers()
    import torch

    from fewtune.models.pooled import PooledModel

    with loading(source.folder, "model"):
        backbone, told = transformers.AutoModel.from_pretrained(
            source.folder,
            dtype=torch.float32,
            attn_implementation="eager" if options.attention == "auto" else options.attention,
            use_safetensors=None if options.allow_pickle else True,
            trust_remote_code=options.trust_remote_code,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
    refuse_random(source.folder, told["missing_keys"], told["mismatched_keys"])
    backbone.config.use_cache = False
    if backbone.config.pad_token_id is None:
        backbone.config.pad_token_id = backbone.config.eos_token_id
    return PooledModel(backbone, source.pooling, classes).eval()


def load_causal(source: Source, options: ModelOptions) -> CausalModel:
    """A language model in float32.

    Raises:
        UsageError: it is an encoder.
        FewtuneError: its weights are damaged.
    """
    if not FAMILIES[source.config["model_type"]].causal:
        kind = source.config["model_type"]
        raise UsageError(
            f"model: {options.model} is of the family {kind!r}, which reads and does not write; "
            "give a causal language model, such as one of the Qwen or Llama family."
        )
    transformers = import_transformers()
    import torch

    from fewtune.models.causal import CausalModel

    with loading(source.folder, "model"):
        whole, told = transformers.AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=torch.float32,
            attn_implementation="eager" if options.attention == "auto" else options.attention,
            use_safetensors=None if options.allow_pickle else True,
            trust_remote_code=options.trust_remote_code,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
    refuse_random(source.folder, told["missing_keys"], told["mismatched_keys"])
    whole.config.use_cache = False
    return CausalModel(whole).eval()


@contextmanager
def loading(folder: Path, what: str) -> Iterator[None]:
    """Turn what libraries raise over damaged files into a sentence.

    Raises:
        FewtuneError: in place of it.
    """
    from pickle import UnpicklingError

    from safetensors import SafetensorError

    from fewtune.models.ladder import out_of_memory

    try:
        yield
    except (
        *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError),
        *(SafetensorError, UnpicklingError),
    ) as error:
        if out_of_memory(error):
            raise FewtuneError(
                f"memory ran out while the {what} in {folder} was loaded; give more memory, or a "
                "smaller model."
            ) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        if isinstance(error, UnpicklingError):
            reason = "there is more in the pickle than tensors"
        raise FewtuneError(
            f"the {what} in {folder} cannot be loaded, so its files are damaged or do not belong "
            f"together ({reason[:200]}); copy them again from where they came."
        ) from error


def refuse_random(folder: Path, missing: Iterable[str], mismatched: Iterable[Any]) -> None:
    """Weights that a file lacks begin at random; a pooler alone is not used here."""
    if misfits := sorted(str(told[0]) for told in mismatched):
        raise FewtuneError(
            f"{len(misfits)} tensors in {folder} have other sizes than its config.json says "
            f"({misfits[0]} is the first); copy both from the same place."
        )
    if lacking := sorted(name for name in missing if "pooler" not in name):
        raise FewtuneError(
            f"the weights in {folder} lack {len(lacking)} of the model's tensors "
            f"({lacking[0]} is the first), which would be random; copy the whole model again."
        )


def import_transformers() -> Any:
    """transformers without its chatter: progress bars and advice belong to its own users."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    # one library's notes to another about their next versions
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")
    return transformers
