"""What a run leaves to show that searched a prompt and left the model as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fewtune.report import words
from fewtune.report.facts import Facts, counts, part

SHEET = "prompt.md"  # in `model/`, for people
TRIED = "prompts"  # what the trial is called in the plan
_FENCED = re.compile(r"^(`{3,})text\n(.*)\n\1$", re.DOTALL | re.MULTILINE)


def everything(facts: Facts) -> dict[str, Any]:
    """All that the page's part on prompts names; empty where a run has no prompt."""
    chosen = part(part(facts.plan, "chosen"), "prompt")
    if not chosen:
        return {"prompt": {}}
    calls = part(facts.scores, "calls")
    return {
        "prompt": {
            "instruction": str(chosen.get("instruction") or ""),
            "shown": shown(chosen),
            "sent": _sent(facts),
            "calls": words.count(calls["search"]) if calls.get("search") else "",
            "metric": words.metric_name(_metric(facts)),
            "rows": [_line(facts, one) for one in _table(facts)],
        }
    }


def shown(prompt: Mapping[str, Any]) -> str:
    """Which demonstrations stand before a question, in a sentence."""
    count = int(prompt.get("shown") or 0)
    rows = words.several(count, "training row")
    if not count:
        return "No training rows are shown before a question."
    if prompt.get("how") == "nearest":
        are = "is" if count == 1 else "are"
        return f"Before each question the {rows} nearest to it {are} shown."
    return f"Before every question the same {rows} {'is' if count == 1 else 'are'} shown."


def described(facts: Facts) -> str:
    """What the artefact is, for its card; nothing where it is no prompt."""
    if not facts.searched:
        return ""
    rows = words.several(counts(facts).get("train") or 0, "training row")
    asked = f"A prompt: an instruction, and {rows} of which some may be shown. "
    if facts.writes:
        return f"{asked}A language model that is asked with it answers as those rows do"
    labels = [str(one) for one in facts.data.get("labels") or ()]
    return f"{asked}A language model that is asked with it chooses one of {words.listed(labels)}"


def limits(facts: Facts) -> list[str]:
    """What holds of every prompt; nothing for a model."""
    if not facts.searched:
        return []
    found = [
        "The scores are those of the model that was asked; another one, or another version of it "
        "at the same address, answers otherwise."
    ]
    if not facts.writes:
        found.append("An answer that names none of the labels, or several, counts as none.")
    return found


def _table(facts: Facts) -> list[Mapping[str, Any]]:
    """The candidates of the search, the first one first."""
    trials = part(facts.plan, "chosen").get("trials") or ()
    tables = [one.get("table") for one in trials if one.get("what") == TRIED]
    return list(tables[-1] or ()) if tables else []


def _metric(facts: Facts) -> str:
    """What candidates were graded by."""
    known = {"name", "rows", "better", "gain", "low", "high", "p"}
    return next((name for line in _table(facts) for name in line if name not in known), "accuracy")


def _line(facts: Facts, line: Mapping[str, Any]) -> tuple[str, ...]:
    """Name, rows that were asked, the metric, the gain over the first with interval, p."""
    metric = _metric(facts)
    start = str(line.get("name")), words.count(line.get("rows"))
    value = words.number(metric, line.get(metric))
    if "gain" not in line:
        return (*start, value, words.NONE, words.NONE)
    ends = words.points_between(metric, line["low"], line["high"])
    gained = f"{words.points(metric, line['gain'])} ({ends})"
    return (*start, value, gained, words.p_value(line.get("p")))


def _sent(facts: Facts) -> str:
    """The prompt as it is sent, from the sheet; nothing where that is gone."""
    try:
        found = _FENCED.search((facts.folder.model / SHEET).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return found[2] if found else ""
