"""Calls to a server, a few side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

AT_ONCE = 4

Asked = TypeVar("Asked")
Told = TypeVar("Told")


def side_by_side(
    call: Callable[[Asked], Told], asked: Iterable[Asked]
) -> Iterator[tuple[Asked, Told]]:
    """What every call brings, as they come.

    The next call is made when what one brought has been dealt with, so that a process that is
    killed loses no more than AT_ONCE answers, however slowly they are written down.

    >>> sorted(side_by_side(abs, [-3, 1, -2]))
    [(-3, 3), (-2, 2), (1, 1)]
    """
    waiting = iter(asked)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        running = {pool.submit(call, one): one for one in islice(waiting, AT_ONCE)}
        while running:
            done = wait(running, return_when=FIRST_COMPLETED).done
            for answer in done:
                yield running.pop(answer), answer.result()
                running |= {pool.submit(call, one): one for one in islice(waiting, 1)}
    finally:
        pool.shutdown(cancel_futures=True)
