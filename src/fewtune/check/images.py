"""Image files that cannot be opened, and pictures unlike the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fewtune.check.finding import Finding, share
from fewtune.check.look import Look
from fewtune.data.images import Picture
from fewtune.data.row import Row

FAR_SMALLER = 4.0  # times smaller than the usual side: little is left after enlarging
FAR_SHAPE = 2.0  # times wider or narrower than the usual shape: a resize distorts it so much
GREY = ("1", "L", "LA", "La", "I", "F")  # Pillow's modes without colour; I;16 and its kin too


def broken(look: Look) -> Iterator[Finding]:
    """Images that are not there, or that cannot be read to their end."""
    seen = [(row, path) for row, path in look.images if look.pictures[path].trouble]
    empty = [entry for entry in look.ledger.quarantined if entry.code == "empty-image"]
    rows = dict.fromkeys([row.origin for row, _ in seen] + [entry.origin for entry in empty])
    if not rows:
        return
    total = len({row.origin for row, _ in look.images} | rows.keys())
    if seen:
        path = seen[0][1]
        first = f"{path!r} {look.pictures[path].trouble}"
    else:
        first = empty[0].reason
    yield Finding(
        "format-image",
        "error",
        f"{share(len(rows), total)} of the rows name an image that cannot be read; the first "
        f"({next(iter(rows))}): {first}.",
        "Bring the files back or mend their paths (a path in a table starts from the table's "
        "folder), or leave the rows out.",
        tuple(rows),
    )


def unlike(look: Look) -> Iterator[Finding]:
    """Pictures far smaller than the usual one, of another shape, or with colour where few have."""
    seen = [(row, look.pictures[path]) for row, path in look.images]
    seen = [(row, one) for row, one in seen if not one.trouble]
    if seen:
        yield from _small(seen)
        yield from _shapes(seen)
        yield from _colours(seen)


Seen = Sequence[tuple[Row, Picture]]


def _small(seen: Seen) -> Iterator[Finding]:
    sides = np.array([min(one.width, one.height) for _, one in seen])
    usual = float(np.median(sides))
    small = [row for (row, _), n in zip(seen, sides, strict=True) if n * FAR_SMALLER < usual]
    if small:
        yield _note(
            f"{share(len(small), len(seen))} of the images are more than {FAR_SMALLER:g} times "
            f"smaller than the usual {usual:,.0f} pixels (the smallest has {sides.min()}).",
            "Look whether thumbnails came in by mistake; enlarged, they show little.",
            small,
        )


def _shapes(seen: Seen) -> Iterator[Finding]:
    shapes = np.log([one.width / one.height for _, one in seen])
    usual = float(np.median(shapes))
    off = np.abs(shapes - usual)
    odd = [row for (row, _), by in zip(seen, off, strict=True) if by > np.log(FAR_SHAPE)]
    if odd:
        worst = seen[int(off.argmax())][1]
        yield _note(
            f"{share(len(odd), len(seen))} of the images have quite another shape than the usual "
            f"{np.exp(usual):.2f} wide to 1 high, such as {worst.width} x {worst.height} pixels.",
            "Crop them, or add edges: brought to one size, they would be squeezed.",
            odd,
        )


def _colours(seen: Seen) -> Iterator[Finding]:
    grey = [row for row, one in seen if _is_grey(one)]
    colour = [row for row, one in seen if not _is_grey(one)]
    if grey and colour:
        fewer, _ = sorted((grey, colour), key=len)
        what, other = ("grey", "in colour") if fewer is grey else ("in colour", "grey")
        yield _note(
            f"{share(len(fewer), len(seen))} of the images are {what} where the others are "
            f"{other}.",
            "Make them all grey or all coloured, lest a model learns which camera took them.",
            fewer,
        )


def _is_grey(one: Picture) -> bool:
    return one.mode in GREY or one.mode.startswith("I;")


def _note(message: str, do: str, rows: Sequence[Row]) -> Finding:
    origins = tuple(dict.fromkeys(row.origin for row in rows))
    return Finding("format-image-size", "note", message, do, origins)
