"""The report: one HTML file that needs nothing else, for the screen and for paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewtune.base.files import write_atomic
from fewtune.evaluate.verdict import NAMES
from fewtune.record.folder import RunFolder, State
from fewtune.record.index import AT_LENGTH
from fewtune.record.trouble import writing
from fewtune.report import (
    answers,
    certainty,
    charts,
    diagnosis,
    evidence,
    learned,
    pictures,
    prompts,
    tried,
    weak,
    words,
)
from fewtune.report import facts as told
from fewtune.report.facts import Facts, part
from fewtune.report.templates import rendered


def write_report(folder: RunFolder, state: State | None = None) -> Path:
    """Write `report.html` into a run folder, finished or not.

    Args:
        folder: the run's.
        state: the run's, where the folder does not tell it yet.

    Returns:
        The file's path.
    """
    path = folder.path / "report.html"
    page = report(told.gather(folder, state))  # what it reads is not there where it is written
    with writing(path):
        write_atomic(path, page)
    return path


def report(facts: Facts) -> str:
    """The report as HTML."""
    return rendered("template.html", _everything(facts))


def _everything(facts: Facts) -> dict[str, Any]:
    """All that the template names."""
    return {
        **_head(facts),
        **_evidence(facts),
        **answers.everything(facts),
        **prompts.everything(facts),
        **_errors(facts),
        **_certainty(facts),
        "weak": weak.weakest(facts),
        "learning": _learning(facts),
        "signs": diagnosis.diagnose(facts) if facts.finished else [],
        **_origins(facts),
    }


def _head(facts: Facts) -> dict[str, Any]:
    return {
        "name": facts.folder.name,
        "method": facts.method,
        "tuned": facts.method not in NAMES,
        "finished": facts.finished,
        "on_folds": facts.on_folds,
        "scored_on": facts.scored_on,
        "tested": facts.tested,
        "positive": evidence.positive_words(facts),
        "tested_row": facts.tested_row,
        "subtitle": told.subtitle(facts),
        "verdict": facts.scores.get("verdict") if facts.finished else told.progress(facts),
        "tone": _tone(facts),
        "key_numbers": told.key_numbers(facts),
        "warnings": told.notes(facts),
        "findings": told.findings(facts),
    }


def _tone(facts: Facts) -> str:
    """Good only where no baseline is better, by any metric."""
    tone = told.tone(facts)
    return "open" if tone == "good" and evidence.beaten(facts) else tone


def _evidence(facts: Facts) -> dict[str, Any]:
    from markupsafe import Markup

    dots = {metric: evidence.dots_of(facts, metric) for metric in evidence.drawn(facts)}
    drawn = {metric: pictures.dots(rows, metric) for metric, rows in dots.items() if rows}
    return {
        "primary": facts.primary,
        "dots": {metric: Markup(one) for metric, one in drawn.items()},
        "blocks": evidence.blocks(facts),
        "metrics": evidence.metrics_of(facts),
        "gain": evidence.gain_words(facts),
        "gains": evidence.gains(facts),
        "other_gains": evidence.other_gains(facts),
        "beaten": evidence.beaten(facts),
        "trials": tried.trials(facts),
        "trials_right": tried.right_name(facts),
        "race": tried.race(facts),
        "curves": [Markup(one) for one in _curves(facts) if one],
    }


def _curves(facts: Facts) -> list[str]:
    """Loss on the left, of training and validation; the primary metric on the right."""
    loss = evidence.training_loss(facts)
    lines = [
        pictures.Line("validation", evidence.validation(facts, "log_loss"), "valid", marked=True)
    ]
    if len(loss) > 60:
        lines.insert(0, pictures.Line("", pictures.thinned(loss), "raw"))
        lines.insert(
            1, pictures.Line("training loss", pictures.smoothed(pictures.thinned(loss)), "train")
        )
    else:
        lines.insert(0, pictures.Line("training loss", loss, "train"))
    key = facts.primary
    drawn = [pictures.curves(lines, "loss over the steps")]
    if key != "log_loss":
        name = f"{words.metric_name(key)} on the validation rows"
        line = pictures.Line(name, evidence.validation(facts, key), "valid", marked=True)
        drawn.append(pictures.curves([line], name, percent=words.is_share(key)))
    return drawn


def _errors(facts: Facts) -> dict[str, Any]:
    from markupsafe import Markup

    labels, matrix = evidence.matrix_of(facts)
    many = len(labels) > evidence.CLASSES_IN_TABLE
    draw = pictures.compact_confusion if many else pictures.confusion
    mistakes, wrong = evidence.mistakes(facts)
    return {
        "matrix": Markup(draw(labels, matrix)) if labels else "",
        "labels": len(labels),
        "many_classes": many,
        "pairs": evidence.confused_pairs(labels, matrix) if many else [],
        "classes": evidence.classes(facts),
        "classes_shown": evidence.CLASSES_IN_TABLE,
        "mistakes": mistakes,
        "some_sure": any(one["sure"] is not None for one in mistakes),
        "wrong": wrong,
        "predicted": len(evidence.classified(facts)),
    }


def _learning(facts: Facts) -> dict[str, Any]:
    from markupsafe import Markup

    found = learned.learning_curve(facts)
    return found and {**found, "picture": Markup(found["picture"])}


def _certainty(facts: Facts) -> dict[str, Any]:
    from markupsafe import Markup

    calibrated = certainty.calibrated_words(facts)
    groups, of_labels = certainty.bins(certainty.decisions(facts)), certainty.has_sets(facts)
    drawn = [charts.reliability(groups, of_labels)] if calibrated else []
    drawn.append(charts.rejection(certainty.rejection(certainty.answers(facts))))
    return {
        "calibrated": calibrated,
        "handed_over": certainty.rejection_words(facts),
        "several_labels": of_labels,
        "certainty": [Markup(one) for one in drawn if one],
    }


def _origins(facts: Facts) -> dict[str, Any]:
    changed, every = told.options(facts)
    quarantined = part(facts.data, "ledger").get("quarantined") or []
    return {
        "counts": told.counts(facts),
        "quarantined": quarantined[: told.QUARANTINED],
        "quarantined_more": max(0, len(quarantined) - told.QUARANTINED),
        "reasons_for": {kind: told.reasons_for(kind, facts) for kind in ("fixed", "truncated")},
        "files": told.files(facts),
        "split": part(facts.data, "split"),
        "columns": part(facts.data, "columns"),
        "notes": told.remarks(facts),
        "changed": changed,
        "every": every,
        "chosen": {k: v for k, v in part(facts.plan, "chosen").items() if k not in AT_LENGTH},
        "reasons": facts.plan.get("reasons") or [],
        "environment": facts.environment,
        "seconds": part(facts.scores, "seconds"),
        "memory": facts.scores.get("peak_memory_bytes"),
        "fit_memory": part(facts.scores, "memory"),
        "trained": facts.scores.get("trainable_parameters"),
        "parameters": facts.scores.get("total_parameters"),
        "command": facts.plan.get("command") or "",
        "fingerprint": facts.plan.get("fingerprint") or "",
        "version": facts.plan.get("fewtune") or "",
    }
