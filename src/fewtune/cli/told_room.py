"""What a plan says of memory in a few lines: what was changed to fit, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fewtune.base.amounts import told_bytes
from fewtune.choose.rungs import told_slower

Method = Mapping[str, Any]  # of a plan, as `plan --json` prints it


def told_room(methods: Sequence[Method], room: int) -> Iterator[str]:
    """A line for each way in which methods were changed, and one or two for those without room.

    Args:
        methods: those that are not refused.
        room: bytes that may be used.
    """
    yield from _changed([one for one in methods if one["fits"] and one["room"]])
    large = [one for one in methods if not one["fits"]]
    # what helps `full` are fewer blocks, and that helps nobody else
    for group in (
        [one for one in large if one["method"] == "full"],
        [one for one in large if one["method"] != "full"],
    ):
        if group:
            yield _too_large(group, room)


def _changed(methods: Sequence[Method]) -> Iterator[str]:
    """Who was changed alike is told together, with what it costs from the least to the most."""
    alike: dict[str, list[Method]] = {}
    for one in methods:
        said = one["room"][:-1] if one["slower"] else one["room"]
        alike.setdefault(" ".join(said), []).append(one)
    for change, group in alike.items():
        times = [one["slower"] for one in group if one["slower"]]
        cost = f" {told_slower(min(times), max(times))}" if times else ""
        yield f"{_names(group)}: {change}{cost}"


def _too_large(group: Sequence[Method], room: int) -> str:
    """What they take from the least to the most, and what would make the least of them fit."""
    least, most = (end(group, key=_bytes) for end in (min, max))
    if len(group) == 1:
        return f"{least['method']}: {' '.join(least['room'])}"
    span = " to ".join(f"{told_bytes(_bytes(one))} (`{one['method']}`)" for one in (least, most))
    would = " ".join(least["room"][1:])
    return (
        f"{_names(group)}: {span} at the least and {told_bytes(room)} may be used. The smallest "
        f"of them: {would[:1].lower()}{would[1:]}"
    )


def _bytes(one: Method) -> int:
    return int(one["memory"]["predicted"])


def _names(group: Sequence[Method]) -> str:
    return ", ".join(one["method"] for one in group)
