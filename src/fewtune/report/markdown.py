"""The report's main parts as Markdown, for terminals, issues and the model card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fewtune.base.printable import clean
from fewtune.record.folder import RunFolder
from fewtune.report import answers, certainty, diagnosis, evidence, learned, tried, weak, words
from fewtune.report import facts as told
from fewtune.report.facts import Facts

CELL = 80  # characters of a user's text in a table


def markdown(folder: RunFolder) -> str:
    """Verdict, scores, gain, confusions, rows and warnings of a run."""
    facts = told.gather(folder)
    parts = [f"# {plain(folder.name)}", plain(_verdict(facts)), scores_table(facts)]
    if gain := evidence.gain_words(facts):
        parts.append("## Gain\n\n" + "\n".join(map(plain, gain)))
    if better := evidence.beaten(facts):
        parts.append("\n".join(f"**{plain(one)}**" for one in better))
    if raced := race_table(facts):
        parts.append("## The race between methods\n\n" + raced)
    parts += _answers(facts)
    if signs := diagnosis.diagnose(facts) if facts.finished else []:
        listed = "\n".join(f"- {plain(one.said)} {plain(one.do)}" for one in signs)
        parts.append("## What stands out, and what to do next\n\n" + listed)
    if curve := learned.learning_curve(facts):
        parts.append("## What more rows would bring\n\n" + plain(curve["said"]))
    if weaker := weak.weakest(facts):
        parts.append("## Where it is weaker\n\n" + plain(weaker["said"]))
    if sure := certainty.rejection_words(facts):
        parts.append(
            "## How sure, and how right\n\n" + f"{sure} {certainty.calibrated_words(facts)}"
        )
    if confused := _confusions(facts):
        parts.append("## Most frequent confusions\n\n" + confused)
    if counts := told.counts(facts):
        kept = ", ".join(f"{name} {words.count(n)}" for name, n in counts.items())
        parts.append(f"## Rows\n\n{kept}")
    if notes := told.notes(facts):
        parts.append("## Warnings\n\n" + "\n".join(f"- {plain(one)}" for one in notes))
    return "\n\n".join(one for one in parts if one) + "\n"


def scores_table(facts: Facts, metrics: Sequence[str] | None = None) -> str:
    """Every block of scores with its intervals; nothing before the run is scored."""
    blocks = evidence.blocks(facts)
    if not blocks:
        return ""
    metrics = metrics or evidence.metrics_of(facts)
    names = [
        words.metric_name(one) + (" ↓" if words.lower_is_better(one) else "") for one in metrics
    ]
    systems = [f"**{cell(name)}**" if ours else cell(name) for _, name, _, ours in blocks]
    scores = [[_score(metric, block) for metric in metrics] for _, _, block, _ in blocks]
    if len(metrics) > len(systems):  # a screen has more lines than columns
        columns = zip(*scores, strict=True)
        rows = [[name, *cells] for name, cells in zip(names, columns, strict=True)]
        return table(["", *systems], rows)
    rows = [[name, *cells] for name, cells in zip(systems, scores, strict=True)]
    return table(["", *names], rows)


def race_table(facts: Facts) -> str:
    """The race between methods; nothing where there was none."""
    found = tried.race(facts)
    if not found:
        return ""
    loss, right = f"{found['loss']} ↓", found["right"]
    head = ["", "how it ended", "folds", loss, right, f"gain over {found['first']}"]
    shown = ["state", "folds", "loss", "right", "gain"]
    if found["hoped"]:
        head, shown = [*head, "expected"], [*shown, "expected"]
    rows = [
        [
            f"**{cell(one['name'])}**" if one["ours"] else cell(one["name"]),
            *(one[key] for key in shown),
        ]
        for one in found["lines"]
    ]
    return table(head, rows)


def _score(metric: str, block: Mapping[str, Any]) -> str:
    score = block.get(metric) or {}
    ends = words.interval(metric, score)
    return words.number(metric, score.get("value")) + (f" ({ends})" if ends else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are taken as they are."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]])


def plain(text: str) -> str:
    """A user's text on one line of Markdown: no markup, no fence, no HTML.

    >>> plain("a\\n``` <b>")
    'a \\\\`\\\\`\\\\` \\\\<b>'
    >>> plain("bearing_wear __other__")
    'bearing_wear \\\\_\\\\_other\\\\_\\\\_'
    """
    text = " ".join(clean(text).split())
    return re.sub(r"([\\`<*\[\]|~&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


def cell(text: str) -> str:
    """A user's text in a table."""
    return plain(words.clip(text, CELL))


def fenced(code: str, language: str = "") -> str:
    """The code in a fence that the code itself cannot close.

    >>> fenced("a = '```'").splitlines()[0]
    '````'
    """
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.strip()}\n{fence}"


def _verdict(facts: Facts) -> str:
    return facts.scores.get("verdict", "") if facts.finished else told.progress(facts)


def _answers(facts: Facts) -> list[str]:
    """What a run that writes texts adds: answers before and after, forgetting, what is learned."""
    found = []
    if shown := answers.shown(facts):
        rows = [
            [cell(one["text"]), cell(one["label"]), cell(one["before"]), cell(one["prediction"])]
            for _, few in shown["groups"]
            for one in few[:2]
        ]
        lead = (
            f"Of {shown['rows']} {shown['closer']} came closer to the reference and "
            f"{shown['farther']} moved away from it. {shown['said']}"
        )
        head = ["question", "reference", "before", "this run"]
        found.append(f"## Before and after\n\n{plain(lead)}\n\n{table(head, rows)}")
    if recall := answers.recall(facts):
        said = recall["unknown"] or f"{recall['sentence']} {recall['more']}"
        found.append(f"## What was forgotten\n\n{plain(said)} {recall['drift']}".rstrip())
    if learned := answers.learned(facts):
        said = (
            f"{learned['learned']} of {learned['tokens']} tokens "
            f"({learned['share']}) of {learned['rows']} training rows: {learned['on']}, written "
            f"out with {learned['template']}. {learned['ends']} of the rows end with the token by "
            "which an answer ends."
        )
        found.append(f"## What is learned\n\n{plain(said)}")
    return found


def _confusions(facts: Facts) -> str:
    pairs = evidence.confused_pairs(*evidence.matrix_of(facts))[:10]
    rows = [[cell(one["truth"]), cell(one["said"]), str(one["rows"])] for one in pairs]
    return table(["truth", "said", "rows"], rows) if rows else ""
