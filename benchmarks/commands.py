"""The commands that are compared: the peers in their environment, fewtune in its own.

A command in `settings.yaml` names either a script of peers/ or the arguments of fewtune:

    guide:        {peer: guide.py}
    fewtune-full: {fewtune: [train, "{train}", --test, "{test}", --output, "{output}", --json]}
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.samples import ROOT, WORK

PEERS = ROOT / "benchmarks" / "peers"
PEERS_VENV = ROOT / "benchmarks" / ".venv-peers"
FEWTUNE = Path(sys.executable).with_name("fewtune")

# Where fewtune's JSON holds what is compared: the first path that is there counts. Nothing else in
# this folder knows these names.
FEWTUNE_KEYS: dict[str, tuple[str, ...]] = {
    "train_seconds": ("seconds.train", "train.seconds"),
    "eval_seconds": ("seconds.evaluate",),
    "before_first_step_seconds": ("seconds.before_first_step",),
    "accuracy": ("test.accuracy.value",),
    "tokens": ("train.tokens", "tokens"),
    "trainable_parameters": ("trainable_parameters", "train.trainable_parameters"),
    "method": ("method",),
    "stages": ("seconds",),
}

QUIET = {
    "HF_HUB_OFFLINE": "1",  # the model is a local folder; nothing may wait for a network
    "HF_HOME": str(WORK / "hf"),
}


def prepare_peers() -> None:
    """Make the peers' environment when it is not there; torch goes first, by itself."""
    wanted = (PEERS / "requirements.txt").read_text(encoding="utf-8")
    stamp = PEERS_VENV / "installed.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print("installing the peers into benchmarks/.venv-peers ...", file=sys.stderr, flush=True)
    venv.create(PEERS_VENV, with_pip=True, clear=True)
    pip = [str(PEERS_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    torch = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "-r", str(PEERS / "requirements.txt")], check=True)
    stamp.write_text(wanted, encoding="utf-8")


def warm_up() -> None:
    """Read both environments' libraries from disk once, so that no first run pays for it."""
    for python in (sys.executable, str(PEERS_VENV / "bin" / "python")):
        imports = "import torch, transformers, sentence_transformers, sklearn, peft"
        subprocess.run([python, "-c", imports], check=True, capture_output=True)


def measure(
    name: str, spec: dict[str, Any], data: tuple[Path, Path], tag: str, timeout: float
) -> dict[str, Any]:
    """Run one command once in a fresh folder; return what it took and what it said.

    Args:
        name: The command's name in the settings.
        spec: Its settings: `peer` and `options`, or `fewtune`.
        data: Training and test file.
        tag: Round or seed; with the name it makes the folder and the log.
        timeout: Seconds before the command is stopped and counted as failed.
    """
    folder = WORK / "runs" / f"{name}-{tag}"
    shutil.rmtree(folder, ignore_errors=True)  # fewtune does not repeat a run that is finished
    log = WORK / "logs" / f"{name}-{tag}.log"
    kept = WORK / "kept" / f"{name}-{tag}"  # what a peer that takes hours goes on from
    command = _command(spec, data, folder / "run", kept)
    done = machine.run(command, QUIET, folder, log, timeout)
    record: dict[str, Any] = {"command": name, "tag": tag, **asdict(done)}
    said = _last_json(record.pop("stdout"))
    if done.exit_code:
        record["error"] = f"exit code {done.exit_code}; its messages are in benchmarks/work/logs"
    elif said:
        record |= said if "peer" in spec else _from_fewtune(said)
        record["wall_seconds"] += record.get("earlier_seconds", 0)
        shutil.rmtree(kept, ignore_errors=True)
    elif "peer" in spec or "--json" in spec["fewtune"]:
        record["error"] = "it ended without one JSON object on stdout"
    shutil.rmtree(folder, ignore_errors=True)
    return record


def environment_versions() -> dict[str, str]:
    """Versions of fewtune and of the libraries under it."""
    from importlib.metadata import version

    names = "fewtune torch transformers tokenizers sentence-transformers scikit-learn numpy"
    return {name: version(name) for name in names.split()}


def _command(spec: dict[str, Any], data: tuple[Path, Path], output: Path, kept: Path) -> list[str]:
    train, test = map(str, data)
    if "peer" in spec:
        script = [str(PEERS_VENV / "bin" / "python"), str(PEERS / spec["peer"])]
        options = [str(word).format(kept=kept) for word in spec.get("options", [])]
        return [*script, train, test, *options]
    places = {"train": train, "test": test, "output": str(output)}
    return [str(FEWTUNE), *(str(word).format(**places) for word in spec["fewtune"])]


def _last_json(stdout: str) -> dict[str, Any] | None:
    """The whole of stdout, or its last line, as an object (Trainer prints its logs before it)."""
    for text in (stdout, (stdout.strip().splitlines() or [""])[-1]):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return None


def _from_fewtune(said: dict[str, Any]) -> dict[str, Any]:
    found = {name: _first(said, paths) for name, paths in FEWTUNE_KEYS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _first(said: dict[str, Any], paths: tuple[str, ...]) -> Any:
    for path in paths:
        value: Any = said
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None
