"""Rank 5: one file per tuning method. Adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewtune.base.errors import UsageError, one_of
from fewtune.base.options import build
from fewtune.methods.adapter import Adapter
from fewtune.methods.base import Method, options_of
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


def parts_of(name: str) -> list[str]:
    """The methods that a name combines.

    >>> parts_of("lora + bitfit")
    ['lora', 'bitfit']
    """
    return [part.strip() for part in name.split("+")]


def parse(
    name: str, given: Mapping[str, Any], known: Mapping[str, type[Method]] = METHODS
) -> Method:
    """The method that a name and options describe; `+` combines several.

    Args:
        name: as spelled.
        given: its options.
        known: what may be named.

    Raises:
        UsageError: every mistake at once: an unknown name, an option that the named methods do not
            have, a wrong value.
    """
    names = parts_of(name)
    unknown = [n for n in names if n not in known]
    wrong = [one_of("method", n, known) for n in dict.fromkeys(unknown)]
    classes = [known[n] for n in dict.fromkeys(names) if n in known]
    alone = [c.name for c in classes if not c.needs_steps]
    if len(names) > 1 and alone:
        wrong.append(f"method: `{alone[0]}` trains nothing, so it cannot be part of {name!r}.")
    if len(set(names)) < len(names):
        wrong.append(f"method: a part stands twice in {name!r}.")
    owners = options_of(known.values())
    # an unknown method may have any of the options, so only a known one is told what it lacks
    foreign = [
        key for key in given if key in owners and not unknown and not {*owners[key]} & {*names}
    ]
    wrong += [
        f"{key}: `{name}` has no such option; it belongs to {', '.join(owners[key])}."
        for key in foreign
    ]
    try:
        members = build(
            known.values() if unknown else classes,
            {key: value for key, value in given.items() if key not in foreign},
        )
    except UsageError as error:
        wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))
    return members[0] if len(members) == 1 else Hybrid(members=tuple(members))  # type: ignore[return-value,arg-type]


__all__ = ["METHODS", "Method", "parse", "parts_of"]
