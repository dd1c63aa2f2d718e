"""The model card's Python for models that write: transformers, with PEFT where it is PEFT's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fewtune.methods.artefact import About

MOST_TOKENS = 256  # of an answer that the card's code writes

_WHOLE = """import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".", dtype=torch.float32).eval()
"""
_PEFT = """import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

tokenizer = AutoTokenizer.from_pretrained(".")
base = AutoModelForCausalLM.from_pretrained({base!r}, dtype=torch.float32)
model = PeftModel.from_pretrained(base, ".").eval()
"""
_ANSWER = '''greedy = GenerationConfig(
    max_new_tokens={most},
    eos_token_id={stops},
    pad_token_id={pad},
    suppress_tokens={silent},
)


@torch.no_grad()
def predict(texts):
    """The answer to each prompt: a text, or a list of messages."""
    answers = []
    for text in texts:
        turns = [{{"role": "user", "content": text}}] if isinstance(text, str) else text
        prompt = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        said = model.generate(**prompt, generation_config=greedy)
        told = said[0, prompt["input_ids"].shape[1] :]
        answers.append(tokenizer.decode(told, skip_special_tokens=True).strip())
    return answers
'''


def speaking_code(about: About, peft: bool = False) -> str:
    """Greedy answers, a prompt at a time: batches need padding on the left, and care."""
    stops = about.stop_ids or []
    start = _PEFT.format(base=about.base) if peft else _WHOLE
    return start + _ANSWER.format(
        most=MOST_TOKENS, stops=stops, pad=stops[0] if stops else 0, silent=about.silent
    )
