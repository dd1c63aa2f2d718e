"""The machine as a record, and one command in its own process with its wall time and memory."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SIMD = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> dict[str, object]:
    """Processor, cores and memory: what a reader needs to judge the numbers by."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(_field(line) for line in info.split("\n\n")[0].splitlines() if ":" in line)
    flags = set(fields.get("flags", "").split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": fields.get("model name", platform.processor()),
        "family_model": f"{fields.get('cpu family')}/{fields.get('model')}",
        "cores": len(os.sched_getaffinity(0)),
        "simd": [name for name in SIMD if name in flags],
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class Finished:
    """One process that has ended."""

    exit_code: int
    stdout: str
    wall_seconds: float
    cpu_seconds: float  # user and system, its children included
    peak_rss_mib: float
    others_cpu_share: float  # share of the machine that other processes used meanwhile, 0..1


def run(
    command: Sequence[str], env: Mapping[str, str], folder: Path, log: Path, timeout: float
) -> Finished:
    """Run one command to its end in `folder`; its stderr goes to `log`.

    The memory is the largest of the process and its children; both come from wait4, so that nothing
    is sampled while it runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    out = log.with_suffix(".out")
    with open(out, "wb") as stdout, open(log, "wb") as stderr:
        busy, start = _busy_seconds(), time.perf_counter()
        limited = ["timeout", str(int(timeout)), *command]
        process = subprocess.Popen(
            limited, stdout=stdout, stderr=stderr, cwd=folder, env={**os.environ, **env}
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        busy = _busy_seconds() - busy
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Finished(
        exit_code=process.returncode,
        stdout=out.read_text(encoding="utf-8", errors="replace"),
        wall_seconds=round(wall, 3),
        cpu_seconds=round(cpu, 3),
        peak_rss_mib=round(usage.ru_maxrss / 1024, 1),
        others_cpu_share=round(max(0.0, busy - cpu) / (wall * (os.cpu_count() or 1)), 3),
    )


def _busy_seconds() -> float:
    """Seconds that all processors together have been busy or stolen since the machine started."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, first)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
