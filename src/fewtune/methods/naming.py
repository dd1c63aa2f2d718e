"""The model card's lines that turn logits into labels: the likeliest, or all above thresholds."""

from __future__ import annotations

from fewtune.methods.artefact import About


def label_lines(about: About) -> str:
    """What stands above `predict`: the labels, and their thresholds where there are some."""
    lines = [f"LABELS = {about.labels!r}"]
    if about.thresholds is not None:
        lines.append(f"THRESHOLDS = {about.thresholds!r}  # the least probability of each label")
    return "\n".join(lines)


def what(about: About) -> str:
    """What `predict` gives, for its docstring."""
    return "The label of each text." if about.thresholds is None else "The labels of each text."


def named(about: About, best: str, shares: str) -> str:
    """An expression for the labels of every row.

    Args:
        best: an expression for the places of the likeliest classes.
        shares: one for the probabilities of all classes, as lists.
    """
    if about.thresholds is None:
        return f"[LABELS[i] for i in {best}]"
    above = "[name for name, share, least in zip(LABELS, row, THRESHOLDS) if share >= least]"
    if about.least:  # every training row had a label
        above += " or [LABELS[row.index(max(row))]]"
    return f"[\n        {above}\n        for row in {shares}\n    ]"
