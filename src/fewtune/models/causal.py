"""A causal language model with the face that tuning methods know: backbone and head.

`logits = head(backbone(tokens))`, at the positions asked for only: a vocabulary of 150,000 makes
the logits of all positions the largest tensor of a step, and most positions teach nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from fewtune.models.parts import config_of
from fewtune.models.pooled import right_padded
from fewtune.models.tunable import Tunable


class CausalModel(Tunable):
    """A language model taken apart, so that parts can be put round its backbone.

    The head came with the model, often tied to the embeddings, and trains only where a method says
    so.
    """

    head_is_new: ClassVar[bool] = False

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.inside: str = whole.base_model_prefix
        self.backbone: nn.Module = getattr(whole, self.inside)
        self.head: nn.Module = whole.get_output_embeddings()
        self.virtual_tokens = 0
        self._shell = (whole,)  # in a tuple: its modules are registered above, not twice

    @property
    def vocabulary(self) -> int:
        """Number of tokens the head knows."""
        return int(config_of(self.backbone).vocab_size)

    @property
    def positions(self) -> int:
        """The longest text it has positions for, in tokens."""
        config = config_of(self.backbone)
        return int(getattr(config, "max_position_embeddings", None) or config.n_positions)

    def features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """States that the head reads, (batch, tokens, width); virtual tokens left out.

        The batch must be padded on the right, as absolute positions and soft prompts want it.
        """
        states = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state  # (batch, virtual + tokens, width)
        return states[:, self.virtual_tokens :]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits at the last token of every row, (batch, vocabulary), float32."""
        input_ids, attention_mask = right_padded(input_ids, attention_mask)
        states = self.features(input_ids, attention_mask)
        last = attention_mask.sum(1).clamp(min=1) - 1
        return self.head(states[range(len(states)), last]).float()

    def whole(self) -> Any:
        """The model as transformers has it, around the backbone as it is now."""
        shell = self._shell[0]
        setattr(shell, self.inside, self.backbone)
        return shell.eval()

    def save_plain(self, folder: Path, max_length: int) -> None:
        """A Hugging Face folder of the whole language model."""
        whole = self.whole()
        whole.config.use_cache = True
        try:
            whole.save_pretrained(folder, safe_serialization=True)
        finally:
            whole.config.use_cache = False
