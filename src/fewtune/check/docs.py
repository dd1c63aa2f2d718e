"""docs/checks.md, from the registry: ``python -m fewtune.check.docs > docs/checks.md``."""

from __future__ import annotations

from fewtune.check.rules import RULES, families

HEAD = """# What `fewtune check` looks for

Generated from the rules by `python -m fewtune.check.docs`. An **error** is something that training
would go wrong on (exit code 1), a **warning** something that may be wrong, a **note** something to
know.
`--select` and `--ignore` take codes and families; `fewtune check --explain CODE` says this on the
terminal. Rules marked with a model look only with `--model` (such as `--model minilm`).
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for family in families():
        parts.append(f"## {family}\n")
        for rule in RULES:
            if rule.family == family:
                needs = "" if rule.needs == "rows" else ", with a model"
                parts.append(f"### `{rule.code}` ({rule.severity}{needs})\n")
                parts.append(f"{rule.title[0].upper()}{rule.title[1:]}. {rule.why}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
