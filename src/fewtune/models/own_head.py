"""The untouched model's own answer, where it comes with a head for these very classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fewtune.models.batches import Encoded
    from fewtune.models.choice import Choice
    from fewtune.models.device import Machine
    from fewtune.models.options import ModelOptions
    from fewtune.models.source import Source


def own_labels(config: dict[str, Any], labels: Sequence[str]) -> list[int] | None:
    """Which outputs of the pretrained head mean `labels`, in their order; None where some lack.

    >>> config = {"architectures": ["BertForSequenceClassification"],
    ...           "id2label": {"0": "Negative", "1": "Positive"}}
    >>> own_labels(config, ["positive", "negative"])
    [1, 0]
    """
    kinds = config.get("architectures") or [""]
    if not kinds[0].endswith("ForSequenceClassification"):
        return None
    places = {str(v).casefold(): int(k) for k, v in (config.get("id2label") or {}).items()}
    found = [places.get(label.casefold()) for label in labels]
    return None if None in found else found  # type: ignore[return-value]


def answers_before(
    source: Source,
    rows: Encoded,
    labels: Sequence[str],
    machine: Machine,
    choice: Choice,
    options: ModelOptions,
) -> np.ndarray | None:
    """Probabilities of the untouched model on rows, (rows, classes); None where it cannot answer.

    Float32: this is a baseline, and it runs once.
    """
    outputs = own_labels(source.config, labels)
    if outputs is None:
        return None
    import torch

    from fewtune.models.batches import by_length
    from fewtune.models.device import placed
    from fewtune.models.load import import_transformers, loading

    with loading(source.folder, "model"):
        model = import_transformers().AutoModelForSequenceClassification.from_pretrained(
            source.folder,
            dtype=torch.float32,
            use_safetensors=None if options.allow_pickle else True,
            trust_remote_code=options.trust_remote_code,
        )
    placed(model.eval(), machine)
    model.config.pad_token_id = rows.pad
    logits = np.empty((len(rows), len(outputs)), dtype=np.float32)
    with torch.inference_mode():
        for chosen in by_length(rows.lengths, 64):
            ids, mask = (t.to(machine.device) for t in rows.batch(chosen))
            logits[chosen] = model(input_ids=ids, attention_mask=mask).logits.cpu()[:, outputs]
    return choice.probabilities(logits)
