"""Pages from templates, with what no page may hold kept out of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fewtune.base.printable import clean
from fewtune.report import words


def rendered(template: str, told: Mapping[str, Any]) -> str:
    """A page.

    Args:
        template: its file's name, beside this one.
        told: all that it names, but for what `words` has and the style.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,  # every text may come from a user's file
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_printable,
    )
    made.globals |= {"words": words, "language": words.language, "clip": words.clip}
    return made.get_template(template).render(css=Markup(_resource("style.css")), **told)


def _printable(value: Any) -> Any:
    """Applied to all that a template prints: no control characters; pictures pass as they are."""
    if value is None:
        return words.NONE
    return clean(value) if type(value) is str else value


def _resource(name: str) -> str:
    return files("fewtune.report").joinpath(name).read_text(encoding="utf-8")
