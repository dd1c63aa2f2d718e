"""The usual loop: 8 prompts a batch in the file's order, padded on the left, greedy `generate`.

`--bf16` loads the model in bfloat16. Cutting prompts into tokens is given to it for nothing.
"""

import json
import time

import torch
from job import Memory, read_job, read_rows, tell
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

job = read_job()
dtype = torch.bfloat16 if "--bf16" in job["options"] else torch.float32
tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=dtype).eval()
settings = GenerationConfig(
    max_new_tokens=job["max_new_tokens"],
    do_sample=False,
    eos_token_id=job["stop_ids"],
    pad_token_id=tokenizer.pad_token_id,
    # what a model's own file says of these would make the steps different ones
    repetition_penalty=1.0,
)


def answers(prompts):
    """Texts, and how many tokens were said."""
    texts, tokens = [], 0
    for at in range(0, len(prompts), job["batch"]):
        ids = [row["input_ids"] for row in prompts[at : at + job["batch"]]]
        batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        with torch.inference_mode():
            said = model.generate(**batch, generation_config=settings)
        said = said[:, batch["input_ids"].shape[1] :]
        texts += [text.strip() for text in tokenizer.batch_decode(said, skip_special_tokens=True)]
        stops = torch.isin(said, torch.tensor(job["stop_ids"]))
        tokens += int((stops.cumsum(1) == 0).sum())
    return texts, tokens


prompts = read_rows(job["rows"])
answers(prompts[: job["batch"]])
with Memory() as memory:
    begun = time.perf_counter()
    texts, tokens = answers(prompts)
    seconds = time.perf_counter() - begun
with open(job["said"], "w", encoding="utf-8") as file:
    json.dump(texts, file)
tell(
    "torch transformers",
    rows=len(texts),
    tokens=tokens,
    seconds=round(seconds, 3),
    rows_per_second=round(len(texts) / seconds, 3),
    **memory.told(),
    threads=torch.get_num_threads(),
)
