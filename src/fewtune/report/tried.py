"""What was tried on folds of the training rows: the race between methods, and other trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewtune.base.race_state import RaceState
from fewtune.report import words
from fewtune.report.facts import Facts, part

#: How a candidate of the race ended, in a reader's words.
STATES: dict[str, str] = {
    RaceState.CHOSEN: "chosen",
    RaceState.TIED: "as good, dearer",
    RaceState.BEHIND: "behind the best",
    RaceState.BESIDE: "to compare with",
    RaceState.BEATEN: "beaten beyond noise",
    RaceState.LATE: "no time left to go on",
    RaceState.NEAR: "as good",
    RaceState.UNPROVEN: "ahead, but no more than the best of so many is by chance",
    RaceState.FAILED: "could not be fitted",
}
WHOLE = (
    RaceState.TIED,
    RaceState.NEAR,
    RaceState.UNPROVEN,
    RaceState.BEHIND,
    RaceState.BESIDE,
)  # with all folds
LEFT = (RaceState.BEATEN, RaceState.LATE, RaceState.FAILED)
RACE = "methods"
OWN_PLACE = (RACE, "prompts")  # trials that have a part of the page to themselves


def trials(facts: Facts) -> list[dict[str, Any]]:
    """Trials beside the race: `what`, `kept`, and a table ready to print."""
    return [
        {"what": one.get("what"), "kept": one.get("kept"), "rows": [*map(_tried, one["table"])]}
        for one in _all(facts)
        if one.get("what") not in OWN_PLACE
    ]


def race(facts: Facts) -> dict[str, Any]:
    """The race, or nothing: `lines` ready to print, the chosen one first, `why` it was chosen,
    whether the lines tell what was `hoped` of the candidates, and `late`, the names of those that
    no time was left for, and `enough`, what would have been. `decides`, `loss`, `right` and `unit`
    say what the lines' numbers are, see `_numbers`.

    A line is the name, how it ended, folds, loss, share that is right, the gain over `first` with
    its interval, p, what was expected, seconds a fold, and whether it is the one that was chosen.
    """
    table: list[Mapping[str, Any]] = next(
        (one["table"] for one in _all(facts) if one.get("what") == RACE), []
    )
    if not table:
        return {}
    raced = part(part(facts.plan, "chosen"), "race")
    first, winner = table[0]["name"], raced.get("winner")
    said = (one for one in facts.plan.get("reasons") or () if one.startswith(f"`{winner}`: "))
    return {
        **_numbers(facts, table),
        "first": first,
        "why": next(said, ""),
        "hoped": any("expected" in one for one in table),
        "lines": [_raced(one, first) for one in sorted(table, key=_place) if one.get("folds")],
        "late": [
            str(one["name"])
            for one in table
            if one.get("state") == RaceState.LATE and not one.get("folds")
        ],
        "enough": words.enough(raced.get("enough")),
    }


def _numbers(facts: Facts, table: list[Mapping[str, Any]]) -> dict[str, str]:
    """What `decides`, the names of the columns `loss` and `right`, and the `unit` of gains.

    Of answers in words their tokens are judged, as `AnswerJudge` does; else calibrated labels.
    """
    if any("loss" in one for one in table):
        return {
            "decides": "The loss per token of the reference answers decides",
            "loss": words.metric_name("loss"),
            "right": words.metric_name("token_accuracy"),
            "unit": "nats a token",
        }
    return {
        "decides": "Log loss decides, after calibration",
        "loss": words.metric_name("log_loss"),
        "right": right_name(facts),
        "unit": "log-loss",
    }


def right_name(facts: Facts) -> str:
    """What the share of right rows is called."""
    return words.metric_name("subset_accuracy" if facts.several else "accuracy")


def _all(facts: Facts) -> list[Mapping[str, Any]]:
    found = part(facts.plan, "chosen").get("trials") or ()
    return [one for one in found if isinstance(one, Mapping) and isinstance(one.get("table"), list)]


def _place(line: Mapping[str, Any]) -> tuple[int, float]:
    """The chosen one first; then those that saw all folds, the best first; then who left."""
    state = str(line.get("state"))
    place = 1 if state in WHOLE else LEFT.index(state) + 2 if state in LEFT else len(LEFT) + 2
    loss = line.get("log_loss", line.get("loss", float("inf")))
    return 0 if state == RaceState.CHOSEN else place, loss


def _raced(line: Mapping[str, Any], first: str) -> dict[str, Any]:
    state, searched = str(line.get("state")), bool(line.get("proposed"))
    gain = interval = ""
    if line["name"] == first:
        interval = "what gains are over"
    elif line.get("gain") is not None:
        gain, interval = _gain(line), words.p_value(line.get("p"))
    return {
        "name": str(line["name"]),
        "state": STATES.get(state, state) + ("; proposed by the search" if searched else ""),
        "folds": words.count(line.get("folds")),
        "loss": words.number("loss", line.get("log_loss", line.get("loss"))),
        "right": words.number("accuracy", line.get("accuracy", line.get("token_accuracy"))),
        "gain": gain or words.NONE,
        "p": interval,
        "expected": words.change(line.get("expected")),
        "seconds": words.duration(line.get("seconds")),
        "ours": state == RaceState.CHOSEN,
    }


def _tried(line: Mapping[str, Any]) -> tuple[str, ...]:
    """Name, more rows learned, accuracy, log-loss, gain with interval, p."""
    shown = (
        str(line.get("name")),
        words.count(line.get("rows")),
        words.number("accuracy", line.get("accuracy")),
        words.number("log_loss", line.get("log_loss")),
    )
    if "gain" not in line:
        return (*shown, words.NONE, words.NONE)
    return (*shown, _gain(line), words.p_value(line.get("p")))


def _gain(line: Mapping[str, Any]) -> str:
    ends = f"{line['gain']:+.3f} ({line['low']:+.3f} to {line['high']:+.3f})"
    return ends.replace("-", "−")
