"""A job of the answers benchmark as every side reads it, and the one clock and memory for all.

Standard library only: fewtune's own side imports it too, from its own environment.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


def read_job() -> dict[str, Any]:
    """The job that the first argument names, one JSON object; the options after it as `options`."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return {**job, "options": sys.argv[2:]}


def read_rows(path: str) -> list[dict[str, Any]]:
    """Rows of a JSONL file: `input_ids` and `completion_mask`, or of a prompt `messages` too."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@dataclass
class Steps:
    """When each step ended, and how many real tokens it read.

    `tokens` may run ahead of `ended`: loaders fetch a batch before it is needed.
    """

    ended: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def end(self) -> None:
        """A step is over."""
        self.ended.append(time.perf_counter())

    def rate(self, warm: int) -> dict[str, float]:
        """Real tokens a second after the first `warm` steps; padding is no work done."""
        if len(self.ended) <= warm:
            return {}
        seconds = self.ended[-1] - self.ended[warm - 1]
        tokens = sum(self.tokens[warm : len(self.ended)])
        return {
            "tokens": tokens,
            "train_seconds": round(seconds, 3),
            "tokens_per_second": round(tokens / seconds, 1),
        }


class Memory:
    """Resident memory before and at its highest: `with Memory() as memory: ...`.

    The kernel's own mark of the highest is set back at the start, so that loading does not count.
    """

    def __enter__(self) -> Memory:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self.before = _status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.peak = _status("VmHWM")

    def told(self) -> dict[str, float]:
        """MiB at rest and at the peak of what ran inside."""
        return {"rest_mib": self.before, "train_peak_mib": self.peak}


def tell(packages: str, **line: object) -> None:
    """Print the one line of JSON that the benchmark reads; it is the last line of stdout."""
    line["versions"] = {name: version(name) for name in packages.split()}
    print(json.dumps(line), flush=True)


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return bool(re.search(r"^flags.*\b(avx512_bf16|amx_bf16)\b", info, re.MULTILINE))


def _status(name: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    assert found, f"/proc/self/status has no {name}"
    return round(int(found[1]) / 1024, 1)
