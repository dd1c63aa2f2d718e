"""What prefix, P-tuning and prompt tuning share: learned vectors before the text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from fewtune.base.files import write_json
from fewtune.base.options import option
from fewtune.methods.peft_parts import PeftMethod, keeping_gradients, task_type
from fewtune.methods.space import Span

if TYPE_CHECKING:
    from torch import nn

    from fewtune.methods.artefact import About
    from fewtune.models.tunable import Tunable

NEAREST = "virtual_tokens.json"


class SoftPrompt(PeftMethod):
    """Base of `prefix`, `ptuning` and `prompt`.

    Attributes:
        in_sequence: True where the virtual tokens stand in the sequence (and pooling skips them),
            False where they are keys and values only.
    """

    in_sequence: ClassVar[bool] = True

    num_virtual_tokens: Annotated[int, Span(4, 40, log=True)] = option(
        20, "learned vectors before the text", ge=1
    )

    @property
    def reserved_tokens(self) -> int:
        """Positions that the text cannot use."""
        return self.num_virtual_tokens

    def config(self, model: Tunable) -> Any:
        """PEFT's configuration for this model."""
        raise NotImplementedError

    def attach(self, model: Tunable) -> Tunable:
        """Wrap the backbone; the wrapper goes on last, over whatever is there."""
        from peft import get_peft_model

        with keeping_gradients(model):
            return self.loaded(model, get_peft_model(model.backbone, self.config(model)))

    def loaded(self, model: Tunable, peft_model: nn.Module) -> Tunable:
        """Put PEFT's model behind the switch and tell pooling what to skip."""
        from fewtune.methods.prompted import SoftPrompted

        # a prefix is a filled cache, which some families ignore or crash on with the cache off
        options = {} if self.in_sequence else {"use_cache": True}
        model.backbone = SoftPrompted(peft_model, **options)
        self._count(model, self.num_virtual_tokens)
        return model

    def read(self, model: Tunable, folder: Path) -> Tunable:
        """By PEFT, round the backbone, whatever task the adapter is saved for."""
        from peft import PeftConfig, PeftModel

        config: Any = PeftConfig.from_pretrained(str(folder))
        config.task_type = "FEATURE_EXTRACTION"
        return self.loaded(
            model, PeftModel.from_pretrained(model.backbone, str(folder), config=config)
        )

    def switch(self, model: Tunable, on: bool) -> None:
        """Leave the virtual tokens out, or put them back."""
        model.backbone.active = on  # type: ignore[assignment]
        self._count(model, self.num_virtual_tokens if on else 0)

    def _count(self, model: Tunable, tokens: int) -> None:
        """Tell a model what stands before the text now."""
        model.taken_positions = tokens
        model.virtual_tokens = tokens if self.in_sequence else 0

    def save_adapter(self, model: Tunable, folder: Path, about: About) -> None:
        """By PEFT: the vectors as they act, without the network that made them."""
        peft_model: Any = model.backbone.peft_model
        config = peft_model.peft_config["default"]
        config.base_model_name_or_path = about.base
        wrapped, config.task_type = config.task_type, task_type(model)
        peft_model.save_pretrained(str(folder))
        config.task_type = wrapped
        if self.in_sequence:
            self._save_nearest(model, folder, about)

    def _save_nearest(self, model: Tunable, folder: Path, about: About) -> None:
        from fewtune.methods.prompted import SoftPrompted, nearest_words
        from fewtune.models.load import load_tokenizer
        from fewtune.models.source import find

        assert isinstance(model.backbone, SoftPrompted)
        tokenizer = load_tokenizer(find(about.base_options))
        write_json(folder / NEAREST, nearest_words(model.backbone, tokenizer))

    def shape(self, model: Tunable) -> dict[str, Any]:
        """The sizes PEFT would read from a fixed list of names; told, so every family works."""
        config: Any = model.backbone.config
        width = config.hidden_size
        if self.in_sequence:  # beside the embeddings, which ELECTRA makes narrower than its states
            width = model.backbone.get_input_embeddings().embedding_dim  # type: ignore[operator]
        return {
            "task_type": "FEATURE_EXTRACTION",
            "num_virtual_tokens": self.num_virtual_tokens,
            "token_dim": width,
            "num_layers": config.num_hidden_layers,
            "num_attention_heads": config.num_attention_heads,
            "num_transformer_submodules": 1,
        }
