"""The sentence-transformers folder: a whole model that plain libraries load.

Its parts are a Hugging Face folder at the top, `1_Pooling`, `2_Normalize` where features are scaled
to length 1, and `3_Dense`, the head. `AutoModel` reads the backbone from the same folder.
"""

from __future__ import annotations

from pathlib import Path

from fewtune.base.files import write_json
from fewtune.models.pooled import PooledModel
from fewtune.models.weights import save_tensors

_MODES = {
    "mean": "mean_tokens",
    "cls": "cls_token",
    "max": "max_tokens",
    "lasttoken": "lasttoken",
}


def save_whole(model: PooledModel, folder: Path, max_length: int) -> None:
    """Write backbone, pooling and head; the tokenizer is the caller's."""
    model.backbone.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]
    width, classes = model.head.in_features, model.head.out_features
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules += [("2_Normalize", "Normalize")] if model.pooling.normalize else []
    modules += [("3_Dense", "Dense")]
    for path, _ in modules:
        (folder / path).mkdir(exist_ok=True)
    write_json(
        folder / "modules.json",
        [
            {
                "idx": i,
                "name": str(i),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, (path, kind) in enumerate(modules)
        ],
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length})
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": width}
        | {f"pooling_mode_{key}": mode == model.pooling.mode for mode, key in _MODES.items()},
    )
    write_json(
        folder / "3_Dense" / "config.json",
        {
            "in_features": width,
            "out_features": classes,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    head = {f"linear.{name}": tensor for name, tensor in model.head.state_dict().items()}
    save_tensors(head, folder / "3_Dense" / "model.safetensors")


def load_head(model: PooledModel, folder: Path) -> None:
    """Put the head of a saved folder into a model."""
    from safetensors.torch import load_file

    saved = load_file(str(folder / "3_Dense" / "model.safetensors"))
    model.head.load_state_dict({name.removeprefix("linear."): t for name, t in saved.items()})
