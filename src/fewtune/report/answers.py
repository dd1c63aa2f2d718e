"""What a run leaves to show that writes texts: what it learned, its answers, what it forgot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any

from fewtune.evaluate.change import NOTABLE, forgets
from fewtune.record.index import overlap
from fewtune.report import evidence, pictures, words
from fewtune.report import facts as told
from fewtune.report.facts import Facts, happened, part

EACH = 4  # rows shown of each group
LONGEST = 400  # letters of a text shown; Chinese characters are twice as wide
OFTEN = 0.2  # share of rows with one answer, and twice that of any reference: it stands for many
LOOPS = 0.1  # share of repeated phrases that a card tells
BRIEF, LENGTHY = 0.67, 1.5  # times the reference: lengths that a card tells

TRAINED_ON = {
    "answers": "every answer of a dialogue",
    "last": "the last answer of a dialogue",
    "all": "everything, prompts included",
}
CUTS = {
    "turns": "without their oldest turns",
    "prompt": "without the middle of their prompt",
    "answer": "without the end of their answer",
}
DRIFTED = ("text", "before", "prediction")
TEMPLATES = {"own": "the model's own chat template"}

Row = dict[str, Any]


def everything(facts: Facts) -> dict[str, Any]:
    """All that the page's part on answers names; empty where a run has no such thing."""
    return {
        "shown": shown(facts),
        "recall": recall(facts),
        "learned": learned(facts),
        "untouched": untouched(facts),
        "virtual": virtual(facts),
    }


# ---- what is learned


def learned(facts: Facts) -> dict[str, Any]:
    """How much of the training rows is learned, and rows as the model saw them."""
    event = _last(facts, "encoded")
    if not event or not event.get("tokens"):
        return {}
    ends = event.get("ends")
    return {
        "rows": words.count(event.get("rows")),
        "tokens": words.count(event["tokens"]),
        "share": words.number("token_accuracy", (event.get("learned") or 0) / event["tokens"]),
        "learned": words.count(event.get("learned")),
        "on": TRAINED_ON.get(part(facts.plan, "generate").get("train_on") or "answers", ""),
        "ends": words.number("stops", ends),
        "all_end": ends is None or ends >= 1,
        "cut": [(n, CUTS.get(kind, kind)) for kind, n in _items(event, "cut")],
        "template": template(event.get("template")),
        "sample": [one for one in event.get("sample") or () if one],
    }


def template(name: Any) -> str:
    """A chat template in a sentence."""
    return TEMPLATES.get(str(name), f"the chat template “{name}”") if name else ""


def untouched(facts: Facts) -> dict[str, Any]:
    """The model before training, on a few training rows: loss, and answers with their questions."""
    event = _last(facts, "asked")
    if not event:
        return {}
    answers = [str(one) for one in event.get("answers") or ()]
    # a run of before the questions were written down has answers alone
    asked = [str(one) for one in event.get("questions") or ()] or [""] * len(answers)
    return {
        "loss": words.number("loss", event.get("loss")),
        "rows": words.several(event.get("rows") or 0, "training row"),
        "stops": words.number("stops", event.get("stops")),
        "answers": [(_short(one), _short(two)) for one, two in zip(asked, answers, strict=False)],
    }


def virtual(facts: Facts) -> list[list[tuple[str, str]]]:
    """Of a learned prompt, for each vector the words nearest to it, with their cosines."""
    return [
        [(str(one.get("word")), f"{one.get('cosine') or 0:.2f}") for one in nearest]
        for nearest in facts.folder.virtual_tokens
    ]


# ---- before and after


def answered(facts: Facts) -> list[Row]:
    """The test rows that were answered with a text, as predictions.jsonl holds them."""
    return [one for one in facts.predictions if "stopped" in one]


def shown(facts: Facts) -> dict[str, Any]:
    """Answers before and after: how many came closer to the reference, and rows of three kinds."""
    rows = [_measured(one) for one in answered(facts)]
    if not rows:
        return {}
    changes = [one["now"] - one["then"] for one in rows]
    said, much = monotony(rows)
    opening = shared_opening([str(one.get("text") or "") for one in rows])
    return {
        "rows": words.several(len(rows), "test row"),
        "closer": words.count(sum(one > 0 for one in changes)),
        "farther": words.count(sum(one < 0 for one in changes)),
        "opening": _short(opening),
        "said": said,
        "monotonous": much,
        "groups": [
            (title, [_clipped(one, opening) for one in few]) for title, few in grouped(rows)
        ],
    }


def monotony(rows: Sequence[Row]) -> tuple[str, bool]:
    """How many answers are different ones, in a sentence, and whether one stands for too many."""
    answers = Counter(str(one.get("prediction") or "") for one in rows)
    references = Counter(str(one.get("label") or "") for one in rows)
    (most, times), (_, usual) = answers.most_common(1)[0], references.most_common(1)[0]
    if times == 1:
        return "", False
    sentence = (
        f"{words.several(len(answers), 'different answer')} to {len(rows):,} questions; the "
        f"references are {len(references):,} different ones. Said most often, {times:,} times: "
        f"{words.clip(most, 80) or '(nothing)'}"
    )
    return sentence, times >= max(OFTEN * len(rows), 2 * usual, 3)


def grouped(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows that gained most, least, and some of the others, drawn by a fixed seed."""
    ranked = sorted(rows, key=lambda one: (one["then"] - one["now"], -one["now"]))  # stable
    most, others = ranked[:EACH], ranked[EACH:]
    least, others = others[-EACH:][::-1], others[:-EACH]
    drawn = Random(0).sample(others, min(EACH, len(others)))
    groups = [
        ("Where most was gained", most),
        ("Where least was gained, or most lost", least),
        ("Drawn at random from the others", drawn),
    ]
    return [(title, few) for title, few in groups if few]


def _measured(row: Row) -> Row:
    """The row with its overlap with the reference, now and then."""
    reference = str(row.get("label") or "")
    now, then = (overlap(str(row.get(key) or ""), reference) for key in ("prediction", "before"))
    return {**row, "now": now, "then": then}


def _clipped(row: Row, opening: str) -> Row:
    texts = {key: _short(str(row.get(key) or "")) for key in ("label", "before", "prediction")}
    return {**row, **texts, "text": _short(str(row.get("text") or "").removeprefix(opening))}


def _short(text: str) -> str:
    return words.shortened(text, LONGEST // 2 if words.language(text) else LONGEST)


def shared_opening(texts: Sequence[str]) -> str:
    """The whole lines that all texts begin with, such as one instruction for all rows.

    >>> shared_opening(["Repair:\\npump leaks", "Repair:\\nno power"])
    'Repair:\\n'
    """
    if len(texts) < 2:
        return ""
    places = zip(*(text.splitlines(keepends=True)[:-1] for text in texts), strict=False)
    return "".join(lines[0] for lines in takewhile(lambda lines: len({*lines}) == 1, places))


# ---- forgetting


def recall(facts: Facts) -> dict[str, Any]:
    """The loss on general texts before and after, in a picture and in words."""
    from markupsafe import Markup

    found = part(facts.scores, "recall") or _last(facts, "recalled")
    if found.get("known") is False:
        return {"unknown": _unknown(found.get("passages")), **_drift(found)}
    change = part(found, "change")
    if change.get("value") is None:
        return {}
    rows = [
        _dot(facts, name, part(found, key)) for name, key in (("before",) * 2, ("test", "loss"))
    ]
    ends = words.points_between("loss", change.get("low"), change.get("high"))
    p = words.p_value(found.get("p"))
    return {
        "unknown": "",
        "sentence": f"{judged(change)} {_moved(change)}",
        "more": f"The 95 % interval of the change is {ends}{f' ({p})' if p else ''}.",
        "texts": _general(facts, found),
        "notable": f"{NOTABLE:g}",
        "picture": Markup(pictures.dots([one for one in rows if one], "loss")),
        "tone": "bad" if forgets(change) else "good" if (change.get("high") or 0) < 0 else "open",
        "scales": _scales(facts, found),
        **_drift(found),
    }


def _drift(found: Mapping[str, Any]) -> dict[str, Any]:
    """How far the model's next tokens and its answers to general questions moved, where known."""
    divergence, shared = found.get("divergence"), found.get("overlap")
    said, shown = [], list(found.get("answers") or ())[:EACH]
    if divergence is not None:
        by = words.number("loss", divergence)
        said.append(
            f"On general texts its next tokens diverge from before by {by} nats a token (KL)."
        )
    if shared is not None:
        percent = words.number("rougeL", shared)
        said.append(
            f"Its answers to general questions share {percent} with those before (ROUGE-L)."
        )
    rows = [{key: _short(str(one.get(key) or "")) for key in DRIFTED} for one in shown]
    return {"drift": " ".join(said), "answers": rows}


def _unknown(passages: Any) -> str:
    count = words.several(passages or 0, "general text")
    return (
        f"The untouched model finds {count} likelier than guessing does: too few to say what was "
        "forgotten. Texts of a kind that it knows can be given (`--general FILE`)."
    )


def _moved(change: Mapping[str, Any]) -> str:
    by = words.points("loss", change["value"], signed=False)
    return f"The loss {'rose' if change['value'] > 0 else 'fell'} by {by} nats a token."


def _scales(facts: Facts, found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """With how much of what was learned: the loss on the test rows and on the general texts."""
    curve = [one for one in found.get("curve") or () if one.get("scale") is not None]
    if not curve:
        return []
    losses = part(part(facts.scores, "baselines"), "before"), part(facts.scores, "test")
    none, whole = (part(one, "loss").get("value") for one in losses)
    lines = [
        (0.0, none, part(found, "before").get("value")),
        *[(one["scale"], one.get("loss"), one.get("general")) for one in curve],
        (1.0, whole, part(found, "loss").get("value")),
    ]
    number = words.number
    return [(f"{by:g}", number("loss", own), number("loss", other)) for by, own, other in lines]


def judged(change: Mapping[str, Any]) -> str:
    """What a change of the loss on general texts says."""
    low, high = change.get("low"), change.get("high")
    if forgets(change):
        return "The model forgets what it knew."
    if low is not None and low > 0:
        return "Little is forgotten."
    if high is not None and high < 0:
        return "Nothing is forgotten: the model reads general texts better than before."
    return "No forgetting is seen beyond noise."


def _dot(facts: Facts, system: str, score: Mapping[str, Any]) -> pictures.Dot | None:
    value = score.get("value")
    if value is None:
        return None
    low, high = score.get("low"), score.get("high")
    ours = system == "test"
    name = f"{facts.method} (this run)" if ours else told.baseline(facts, system)
    ends = value if low is None else low, value if high is None else high
    return pictures.Dot(name, value, *ends, ours)


def _general(facts: Facts, found: Mapping[str, Any]) -> str:
    own = part(facts.plan, "generate").get("general")
    source = f"from {Path(str(own)).name}" if own else "of fewtune's own"
    known = " that the untouched model knew" if found.get("known") else ""
    return f"{words.several(found.get('passages') or 0, 'general text')} {source}{known}"


# ---- for the card


def described(facts: Facts) -> str:
    """What a model is that writes; nothing for another."""
    chat = part(facts.plan, "chosen").get("chat_template")
    if not chat:
        return ""
    rows = told.counts(facts).get("train")
    of = f"its {rows:,} training rows" if rows else "its training rows"
    return f"A language model that learned to answer as {of} do. It is asked with {template(chat)}"


def decoded(facts: Facts) -> str:
    """How the answers that were scored were written."""
    decoding, rows = part(facts.plan, "decoding"), told.counts(facts).get("answered")
    if not rows or not decoding:
        return ""
    heat = decoding.get("temperature")
    how = "the likeliest token each time" if not heat else f"temperature {heat:g}"
    were = "was" if rows == 1 else "were"
    if "loss" not in part(facts.scores, "test"):
        return f"{words.several(rows, 'test row')} {were} answered ({how})."
    return f"The loss is of all test rows; {rows:,} of them {were} answered ({how})."


def limits(facts: Facts) -> list[str]:
    """What follows from the numbers of a model that writes; nothing for another."""
    if not facts.writes:
        return []
    scores, rows = part(facts.scores, "test"), told.counts(facts).get("answered")
    values = {name: part(scores, name).get("value") for name in scores}
    found = evidence.beaten(facts)
    if rows and values.get("exact_match") is not None:
        exact = words.number("exact_match", values["exact_match"])
        found.append(
            f"{exact} of {words.several(rows, 'answer')} say what the reference says, but for case "
            "and outer punctuation; whether the others are right was not judged: a wrong answer "
            "may read as well."
        )
    if (stops := values.get("stops")) is not None and stops < 1:
        share = words.number("stops", 1 - stops)
        found.append(f"{share} of its answers did not end by themselves: limit their length.")
    if (again := values.get("repetition")) is not None and again >= LOOPS:
        share = words.number("repetition", again)
        found.append(f"{share} of the phrases in its answers are repeated: it falls into loops.")
    length = values.get("length_ratio")
    if length is not None and not BRIEF <= length <= LENGTHY:
        times = words.number("length_ratio", length)
        found.append(f"Its answers are {times} times as long as the references.")
    if length := part(facts.plan, "model").get("max_length"):
        found.append(f"Question and answer together, {words.count(length)} tokens are read.")
    change = part(part(facts.scores, "recall"), "change")
    if (change.get("low") or 0) > 0 and not forgets(change):  # of more than that the run warns
        by = words.points("loss", change["value"], signed=False)
        found.append(f"{judged(change)} The loss on general texts rose by {by} nats a token.")
    return found


# ---- small pieces


def _last(facts: Facts, name: str) -> dict[str, Any]:
    """What the last event of a name tells: a resumed run tells some of them twice."""
    fields: dict[str, Any] = {}
    for event in happened(facts, name):
        fields = dict(event.fields)
    return fields


def _items(event: Mapping[str, Any], name: str) -> list[tuple[str, int]]:
    return [(str(kind), n) for kind, n in part(event, name).items() if n]
