"""Data sets of the hub: an id becomes the files of its parts, the local cache first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from fewtune.base.errors import FewtuneError, one_of
from fewtune.base.files import at

PREFIX = "hub:"
SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")
#: How the hub's own libraries tell a file's part by its path.
NAMES = {
    "train": ("train", "training"),
    "valid": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval"),
}
_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def is_hub_id(path: str | Path) -> bool:
    """Whether what was given names a data set of the hub: `hub:OWNER/NAME`, or no such path.

    >>> is_hub_id("hub:owner/reports"), is_hub_id("reports.csv")
    (True, False)
    """
    said = str(path)
    if said.startswith(PREFIX):
        return True
    return bool(_ID.fullmatch(said)) and not said.endswith(SUFFIXES) and not _near(said)


def find_parts(spelled: str) -> dict[str, Path]:
    """The files of a data set on the hub, by part.

    Args:
        spelled: `OWNER/NAME`, or `OWNER/NAME:CONFIG` where it has several, `hub:` before it or not.

    Returns:
        `train`, and `valid` and `test` where there are such files.

    Raises:
        FewtuneError: it is not there, has no training rows, or a part is in several files.
    """
    name, _, config = spelled.removeprefix(PREFIX).partition(":")
    folder = _snapshot(name)
    parts = _by_card(folder, config) or _by_name(folder)
    if "train" not in parts:
        raise FewtuneError(
            f"the data set {name} names no training rows among its files "
            f"({', '.join(_told(folder)) or 'none that fewtune reads'}); give one of them by path."
        )
    for part, files in parts.items():
        if len(files) > 1:
            raise FewtuneError(
                f"the data set {name} has its {part} rows in {len(files)} files "
                f"({files[0].name} is the first); join them, and give the joined file."
            )
    return {part: files[0] for part, files in parts.items()}


def paths_of(path: str | Path, valid: str | None, test: str | None) -> dict[str, Path]:
    """The file of each part: as given, else what a data set of the hub brings along."""
    given = {part: at(file) for part, file in (("valid", valid), ("test", test)) if file}
    if not is_hub_id(path):
        return {"train": at(path), **given}
    found = find_parts(str(path)) | given
    return {part: found[part] for part in NAMES if part in found}


def _near(said: str) -> bool:
    """Whether there is such a path, or a folder that it could have been meant to be in."""
    path = at(said)
    return path.exists() or path.parent.is_dir()


def _snapshot(name: str) -> Path:
    """The data set's folder: from the cache, from the network only where that lacks it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted: Any = {
        "repo_type": "dataset",
        "allow_patterns": [*(f"*{suffix}" for suffix in SUFFIXES), "README.md"],
    }
    try:
        return Path(snapshot_download(name, local_files_only=True, **wanted))
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    try:
        return Path(snapshot_download(name, **wanted))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
        raise FewtuneError(
            f"there is no file {name}, and a data set of that name could not be had from the hub "
            f"({type(error).__name__}); give a file, or OWNER/NAME of a data set."
        ) from error


def _by_card(folder: Path, config: str) -> dict[str, list[Path]]:
    """Parts as the head of the data set's README lists them, for one of its configurations."""
    import yaml

    card = folder / "README.md"
    head = re.match(r"---\s*\n(.*?)\n---", card.read_text("utf-8"), re.S) if card.exists() else None
    try:
        told = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        told = None  # a card that cannot be read says nothing; the files' names do
    listed = told.get("configs") if isinstance(told, Mapping) else None
    configs = {str(one.get("config_name")): one for one in listed or () if isinstance(one, Mapping)}
    if config and config not in configs:
        raise FewtuneError(one_of("configuration", config, configs or _by_name(folder)))
    if not configs:
        return {}
    chosen = config or next(
        (name for name, one in configs.items() if one.get("default") or name == "default"),
        next(iter(configs)) if len(configs) == 1 else "",
    )
    if not chosen:
        raise FewtuneError(
            f"the data set has {len(configs)} configurations ({', '.join(configs)}); name one "
            "after a colon: OWNER/NAME:CONFIGURATION."
        )
    return _listed(folder, configs[chosen].get("data_files"))


def _listed(folder: Path, files: Any) -> dict[str, list[Path]]:
    """`data_files` of a card: one pattern, several, or a pattern for each split."""
    if isinstance(files, str):
        files = [files]
    parts: dict[str, list[Path]] = {}
    for one in files or ():
        split = one.get("split", "train") if isinstance(one, Mapping) else "train"
        patterns = one.get("path") if isinstance(one, Mapping) else one
        part = next((part for part, names in NAMES.items() if split in names), None)
        if part:
            wanted = [patterns] if isinstance(patterns, str) else list(patterns or ())
            parts[part] = [
                path
                for path in _files(folder)
                if any(fnmatch(path.relative_to(folder).as_posix(), each) for each in wanted)
            ]
    return {part: found for part, found in parts.items() if found}


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Parts by the words in the files' paths; a single file is the training rows."""
    parts: dict[str, list[Path]] = {}
    files = _files(folder)
    for path in files:
        words = re.split(r"[^a-z]+", path.relative_to(folder).as_posix().lower())
        part = next((part for part, names in NAMES.items() if set(names) & set(words)), None)
        if part:
            parts.setdefault(part, []).append(path)
    return parts or ({"train": files} if len(files) == 1 else {})


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _told(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in _files(folder)][:5]
