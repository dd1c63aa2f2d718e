"""Rank 5: one file per tuning method. Adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewtune.base.errors import UsageError, did_you_mean
from fewtune.base.options import build
from fewtune.methods.adapter import Adapter
from fewtune.methods.base import Method, options_of, pick
from fewtune.methods.bitfit import BitFit
from fewtune.methods.freeze import Freeze
from fewtune.methods.full import Full
from fewtune.methods.hybrid import Hybrid
from fewtune.methods.ia3 import IA3
from fewtune.methods.lora import LoRA
from fewtune.methods.prefix import Prefix
from fewtune.methods.probe import Probe
from fewtune.methods.prompt import Prompt
from fewtune.methods.ptuning import PTuning
from fewtune.methods.tfidf import Tfidf

#: From cheap to dear.
METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Tfidf,
        Probe,
        Freeze,
        BitFit,
        IA3,
        Prompt,
        PTuning,
        Prefix,
        Adapter,
        LoRA,
        Full,
    )
}


def parse(name: str, given: Mapping[str, Any]) -> Method:
    """The method that a name and options describe; `+` combines several.

    Raises:
        UsageError: every mistake at once: an unknown name, an option that the named methods do not
            have, a wrong value.
    """
    names = [part.strip() for part in name.split("+")]
    unknown = [n for n in names if n not in METHODS]
    if unknown:
        hint = did_you_mean(unknown[0], METHODS)
        raise UsageError(f"method: one of {', '.join(METHODS)}; got {unknown[0]!r}.{hint}")
    classes = [METHODS[n] for n in names]
    alone = [c.name for c in classes if not c.needs_steps]
    if len(names) > 1 and alone:
        raise UsageError(f"method: `{alone[0]}` trains nothing, so it cannot be part of {name!r}.")
    if len(set(names)) < len(names):
        raise UsageError(f"method: a part stands twice in {name!r}.")
    owners = options_of(METHODS.values())
    foreign = [
        f"{key}: `{name}` has no such option; {', '.join(owners[key])} has."
        for key in given
        if key in owners and not set(owners[key]) & set(names)
    ]
    if foreign:
        raise UsageError("\n".join(foreign))
    members = build(classes, given)
    return members[0] if len(members) == 1 else Hybrid(members=tuple(members))  # type: ignore[return-value,arg-type]


__all__ = ["METHODS", "Method", "parse", "pick"]
