"""The model card: what the artefact is, what it was measured to do, and how to use it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fewtune.evaluate.verdict import LEVEL
from fewtune.models.options import is_endpoint
from fewtune.record.folder import RunFolder
from fewtune.report import answers, evidence, prompts, tried, weak, words
from fewtune.report import facts as told
from fewtune.report.facts import Facts, part
from fewtune.report.markdown import cell, fenced, plain, race_table, scores_table, table
from fewtune.tasks import TASKS
from fewtune.tasks.classify import Classify

FEW = 5  # test rows of a class below which its scores say almost nothing

#: Names that fewtune knows by a short form, as the hub knows them.
HUB_NAMES = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}


def model_card(
    plan: Mapping[str, Any],
    data: Mapping[str, Any],
    scores: Mapping[str, Any],
    code: str,
    most_tokens: int = 0,
) -> str:
    """The card of a finished run, as Markdown for `model/README.md`.

    Args:
        plan: The run's plan, as in `plan.yaml`.
        data: What was read, as in `data.json`.
        scores: The scores, as in `scores.json`.
        code: Python that defines `predict(texts)`, which returns labels or answers; it becomes the
            file's first fence.
        most_tokens: How many of a text's tokens the artefact reads; 0 where it reads all.
    """
    facts = Facts(
        folder=RunFolder(Path(str(plan.get("name") or "model"))),
        plan=dict(plan),
        data=dict(data),
        scores=dict(scores),
        environment={},
        events=[],
        predictions=[],
        state="finished",
    )
    parts = [
        _front_matter(facts),
        f"# {plain(str(plan.get('name') or 'model'))}",
        plain(scores.get("verdict") or ""),
        _about(facts),
        "## Data\n\n" + _data(facts),
        _scores(facts),
        "## Limits\n\n" + "\n".join(f"- {one}" for one in _limits(facts, most_tokens)),
        "## Use\n\n" + fenced(code, "python"),
    ]
    return "\n\n".join(one for one in parts if one) + "\n"


def _front_matter(facts: Facts) -> str:
    """What a hub reads. Language and licence are the user's to say, so they are left out."""
    task = TASKS.get(facts.task, Classify).hub
    head: dict[str, Any] = {"tags": ["fewtune", facts.method, task], "pipeline_tag": task}
    if base := _hub_name(facts):
        head["base_model"] = base
    return "---\n" + yaml.safe_dump(head, sort_keys=False, allow_unicode=True) + "---"


def _hub_name(facts: Facts) -> str | None:
    """The base model's name on the hub; a folder on this machine means nothing to others."""
    if facts.without_model:
        return None
    name = str(part(facts.plan, "model").get("model") or "")
    if name in HUB_NAMES:
        return HUB_NAMES[name]
    looks_like_one = re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name)
    return name if looks_like_one and not Path(name).exists() else None


def _about(facts: Facts) -> str:
    given = str(part(facts.plan, "model").get("model") or "a pretrained model")
    given = given if is_endpoint(given) else Path(given).name
    base = "no pretrained model" if facts.without_model else _hub_name(facts) or given
    trained, total = facts.scores.get("trainable_parameters"), facts.scores.get("total_parameters")
    share = ""
    if trained and total:
        share = f" {words.count(trained)} of {words.count(total)} parameters were trained."
    version = facts.plan.get("fewtune")
    made = f"fewtune {version}" if version else "fewtune"
    what = plain(answers.described(facts) or prompts.described(facts)) or _classifier(facts)
    made_for = "Made for" if facts.searched else "Made from"
    return (
        f"{what}.\n\n{made_for} {plain(base)} with the method "
        f"{plain(facts.method)} by {made}.{share}"
    )


def _classifier(facts: Facts) -> str:
    labels = [str(one) for one in facts.data.get("labels") or []]
    what = f"A text classifier with {words.several(len(labels), 'class', 'classes')}"
    if facts.several:
        what += ", any number of which may belong to a text"
    return what + (f": {', '.join(map(cell, labels))}" if 0 < len(labels) <= 25 else "")


def _data(facts: Facts) -> str:
    rows = told.counts(facts)
    names = [Path(path).name for _, path, _, _ in told.files(facts)]
    source = f" from {', '.join(map(cell, names))}" if names else ""
    read = (
        f"{words.count(rows.get('read'))} rows were read{source}; "
        f"{words.count(rows.get('kept'))} were kept and {words.count(rows.get('quarantined'))} "
        f"set aside, {words.count(rows.get('fixed'))} were fixed and "
        f"{words.count(rows.get('truncated'))} cut."
    )
    used = [
        f"{words.count(rows[name])} {purpose}"
        for name, purpose in (
            ("train", "were searched on" if facts.searched else "trained it"),
            ("valid", "validated it"),
            ("test", "tested it"),
        )
        if rows.get(name)
    ]
    if facts.on_folds:
        used.append("the same rows tested it, each in a fold that left it out")
    notes = "".join(f" {plain(str(one))}" for one in facts.data.get("notes") or [])
    return read + (f" {', '.join(used)}." if used else "") + notes


def _scores(facts: Facts) -> str:
    scored = scores_table(facts)
    if not scored:
        return ""
    gain = "\n".join(map(plain, evidence.gain_words(facts)))
    where = f"{facts.tested:,} {facts.scored_on}" if facts.on_folds else "the test rows"
    how = f"On {where}, with 95 % intervals. {plain(answers.decoded(facts))}".strip()
    text = f"## Scores\n\n{how}\n\n{scored}"
    if facts.positive:
        text += f"\n\n{plain(evidence.positive_words(facts))}"
    if classes := evidence.classes(facts):
        rows = [
            [cell(str(one["label"])), words.count(one.get("rows"))]
            + [words.number("f1", one.get(key)) for key in ("precision", "recall", "f1")]
            for one in classes
        ]
        text += "\n\n### Class by class\n\n"
        text += table(["class", f"{facts.tested_row}s", "precision", "recall", "F1"], rows)
    if gain:
        text += f"\n\n{gain}"
    if raced := race_table(facts):
        lead = (
            "Methods compared on folds of the training rows; gains are in "
            f"{tried.race(facts)['unit']}, paired, with 95 % intervals."
        )
        text += f"\n\n### How the method was chosen\n\n{lead}\n\n{raced}"
    return text


def _limits(facts: Facts, most_tokens: int) -> list[str]:
    """Only what follows from the numbers of this run."""
    rows, gain = told.counts(facts), part(facts.scores, "gain")
    limits = []
    if facts.on_folds:
        limits.append(
            f"The scores rest on the {words.several(facts.tested, 'training row')}, each answered "
            "by a model that was chosen and fitted without it; the model here learned them all."
        )
    elif rows.get("test"):
        limits.append(
            f"The scores rest on {words.several(facts.tested, 'test row')} like the training rows."
        )
    labels = facts.data.get("labels") or []  # what was answered beside them is no class
    known = [one for one in evidence.classes(facts) if one["label"] in labels]
    few = [one for one in known if (one.get("rows") or 0) < FEW]
    if few:
        names = ", ".join(cell(str(one["label"])) for one in few[:10])
        more = f" and {len(few) - 10} more" if len(few) > 10 else ""
        have = "class has" if len(few) == 1 else "classes have"
        limits.append(
            f"{len(few)} {have} fewer than {FEW} {facts.tested_row}s ({names}{more}): "
            "their scores say almost nothing."
        )
    if gain.get("low") is not None and (gain["low"] <= 0 or (gain.get("p") or 0) >= LEVEL):
        over = told.baseline(facts, str(gain.get("over")))
        limits.append(f"It was not shown to be better than {plain(over)}.")
    weaker = [one for one in facts.scores.get("slices") or [] if one["worse"]]
    limits += [plain(f"It is weaker on {weak.named(one)}: {weak.reached(one)}.") for one in weaker]
    limits.append("Texts in other languages, from other sources or of later times were not tested.")
    own = [*answers.limits(facts), *prompts.limits(facts)]
    limits += [plain(one) for one in own] or (
        [] if facts.writes else _of_classes(facts, most_tokens)
    )
    return limits + [plain(one) for one in told.notes(facts)]


def _of_classes(facts: Facts, most_tokens: int) -> list[str]:
    known = "It always answers with one of its classes, also for a text that fits none."
    if facts.several:
        known = "It knows no labels but these, also for a text that another would fit better."
    limits = [known]
    if most_tokens:
        limits.append(f"Of a text, the first {most_tokens} tokens are read.")
    return limits
