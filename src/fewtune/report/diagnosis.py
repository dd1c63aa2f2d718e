"""What a finished run's record says went wrong, with the numbers, and what to do next.

Each sign is a small function of what was recorded; RULES is all of them. Thresholds are coarse on
purpose: a sign is worth a sentence only where it is plain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fewtune.record.folder import RunFolder
from fewtune.report.facts import Facts, gather
from fewtune.report.signs import Rule, Sign, Told
from fewtune.report.signs_of_answers import of_other_length, repeats, writes_worse
from fewtune.report.signs_of_change import forgot, out_of_time, took_away
from fewtune.report.signs_of_curve import (
    frozen,
    overfitting,
    past_the_best,
    rate_too_high,
    too_few_steps,
    underfitting,
)
from fewtune.report.signs_of_rows import format_suspect, label_noise, one_answer, unstable


def diagnose(facts: Facts) -> list[Sign]:
    """Every sign of trouble in a run's record, the gravest first; none is good news."""
    told = Told(facts)
    return [sign for rule in RULES for sign in rule(told)]


RULES: tuple[Rule, ...] = (
    frozen,
    rate_too_high,
    one_answer,
    out_of_time,
    took_away,
    writes_worse,
    repeats,
    of_other_length,
    format_suspect,
    underfitting,
    too_few_steps,
    past_the_best,
    overfitting,
    forgot,
    unstable,
    label_noise,
)


def told_of(folder: RunFolder, scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The signs in a run's record, for scores that are not written yet."""
    return as_json(diagnose(replace(gather(folder), scores=dict(scores))))


def as_json(signs: list[Sign]) -> list[dict[str, Any]]:
    """For `scores.json`."""
    return [{"code": one.code, "message": one.said, "do": one.do} for one in signs]
