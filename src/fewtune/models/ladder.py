"""What happens when memory runs out: the same work in smaller pieces, step by step down a ladder.

On a GPU the allocator says so. On a CPU nobody does before the system ends the process; so where
the user gave a budget, the process's resident bytes are looked at behind every block.

Training sums losses and weights over its rows, so a pass may be cut anywhere and the step stays
the same. Evaluation and generation treat every row as if it were alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import Event, tell
from fewtune.models.footprint import on_gpu, resident

if TYPE_CHECKING:
    import numpy as np

    from fewtune.models.tunable import Tunable

Found = TypeVar("Found")
#: What errors of memory say that have no class of their own.
SAYINGS = ("DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class OverBudget(MemoryError):
    """The process holds more than the user allows it."""


class RanOut(FewtuneError):
    """Memory ran out, and there is no smaller way to do it."""


@dataclass
class _Process:
    """What this process may use, and what has been learned of it.

    Attributes:
        budget: resident bytes on a CPU; None without a limit.
        allowed: bytes, on whatever device; None without a limit.
        limits: most rows at once, by what is done with them.
        who: is at work, a candidate's name; empty where there is only one.
        news: sentences that nobody has told yet.
        known: all of them, told or not.
        device: that `begin` was told of; empty once the job is over.
    """

    device: str = ""
    budget: int | None = None
    allowed: int | None = None
    limits: dict[str, int] = field(default_factory=dict)
    who: str = ""
    news: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)


_process = _Process()


def begin(budget: int | None, device: str) -> None:
    """Set what may be used from here on, and forget what was learned of another model.

    Args:
        budget: bytes; resident ones on a CPU, allocated ones on a GPU. None is no limit.
    """
    import torch

    from fewtune.models.device import give_freed_memory_back, keep_freed_memory

    _process.device = device
    _process.budget = budget if device == "cpu" else None
    _process.allowed = budget
    _process.limits.clear()
    _process.news.clear()
    _process.known.clear()
    if device == "cuda":
        whole = torch.cuda.get_device_properties(0).total_memory
        share = min(1.0, budget / whole) if budget else 1.0
        torch.cuda.set_per_process_memory_fraction(share)
    (give_freed_memory_back if budget else keep_freed_memory)()


def end() -> None:
    """Take back what a job's `begin` set: in a notebook, others follow it in this process."""
    if _process.device:
        begin(None, _process.device)
        _process.device = ""


def news() -> list[str]:
    """Sentences that are to be told, each once."""
    told, _process.news = _process.news, []
    return told


def with_news(events: Iterable[Event]) -> Iterator[Event]:
    """A job's events, and between them what was done beside them because memory ran out.

    When they end, however that comes, what the job was allowed is no limit for the next one.
    """
    try:
        for event in events:
            yield event
            for message in news():
                yield tell("warned", message=message)
    finally:
        end()


@contextmanager
def called(who: str) -> Iterator[None]:
    """Within, news are about a candidate, whose name they begin with."""
    before, _process.who = _process.who, who
    try:
        yield
    finally:
        _process.who = before


def unheard(events: Iterable[Event]) -> None:
    """Carry out a fit whose events nobody hears; what it warns of becomes news."""
    for event in events:
        if event.name == "warned":
            _later(event["message"])


def _later(message: str) -> None:
    """Have a sentence told when there is somebody to tell it; the same one only once."""
    said = f"{_process.who}: {message}" if _process.who else message
    if said not in _process.known:
        _process.known.add(said)
        _process.news.append(said)


def look() -> None:
    """Compare what is held with what is allowed.

    Raises:
        OverBudget: it is more.
    """
    if _process.budget is not None and (held := resident()) > _process.budget:
        raise OverBudget(f"{held} bytes are held, {_process.budget} are allowed")


@contextmanager
def watched(model: Tunable) -> Iterator[None]:
    """Within, every block of the model looks at the budget; without a budget nothing happens."""
    if _process.budget is None:
        yield
        return
    from fewtune.models.parts import blocks_of

    def after(_module: Any, _inputs: Any, _output: Any) -> None:
        look()

    hooks = [block.register_forward_hook(after) for block in blocks_of(model.backbone)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on whatever device."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(one in str(error) for one in SAYINGS)


def attempt(work: Callable[[], Found]) -> tuple[Found] | None:
    """The work's result in a tuple, or None where memory ran out."""
    try:
        return (work(),)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    _let_go()  # not above: there the error's traceback still holds the tensors
    return None


def needed(work: Callable[[], Found], what: str) -> Found:
    """The work's result, where there is no smaller way to do it.

    Args:
        what: needs the memory, for the sentence: `the optimiser`.

    Raises:
        RanOut: memory ran out.
    """
    found = attempt(work)
    if found is None:
        raise RanOut(f"memory ran out for {what}: {_held()}; {_ways_out()}.")
    return found[0]


def _let_go() -> None:
    import torch

    from fewtune.models.device import give_freed_memory_back

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    give_freed_memory_back()


@dataclass
class Ladder:
    """How far down a fit has gone.

    Attributes:
        pieces: that the rows of a pass are cut into.
        recompute: whether activations are computed again for the gradients.
        asked: whether they are because the user asked for it, so that this is no rung.
    """

    pieces: int = 1
    recompute: bool = False
    asked: bool = False

    @classmethod
    def at(cls, rung: dict[str, Any] | None, asked: bool = False) -> Ladder:
        """The rung that a plan has written down."""
        return cls(**(rung or {}), asked=asked)

    @property
    def rung(self) -> dict[str, Any]:
        """Where it stands, for the plan."""
        return {"pieces": self.pieces, "recompute": self.recompute}

    def inherited(self) -> Iterator[Event]:
        """A warning where a fit does not begin at the top."""
        ways = [f"passes go through in {self.pieces} pieces"] if self.pieces > 1 else []
        ways += ["activations are computed twice"] if self.recompute else []
        if ways:
            said = "memory ran out in an earlier fit of this method: from the first step on "
            said += f"{' and '.join(ways)}, and the batch stays as it was."
            yield tell("warned", message=said)

    def start(self, model: Tunable) -> None:
        """Put a fresh model onto the rung."""
        if self.recompute:
            from fewtune.models.modes import recompute_activations

            recompute_activations(model)

    def cut(self, passes: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The rows of every pass, piece by piece."""
        import numpy as np

        for rows in passes:
            yield from np.array_split(rows, min(self.pieces, len(rows)))

    def down(self, model: Tunable, passes: Sequence[np.ndarray], step: int) -> Iterator[Event]:
        """One rung further: half the rows in a piece; at one row, activations computed twice.

        Args:
            passes: the rows of the step that did not fit.
            step: its number, from 1.

        Raises:
            RanOut: there is no further rung.
        """
        most = max(len(rows) for rows in passes)
        if self.pieces < most:
            self.pieces = min(2 * self.pieces, most)
        elif not (self.recompute or self.asked):
            self.recompute = True
            try:
                self.start(model)
            except UsageError as error:
                raise RanOut(f"{_nothing_left(step)} ({error})") from error
        else:
            raise RanOut(_nothing_left(step))
        rows = -(-most // self.pieces)
        count = sum(min(self.pieces, len(one)) for one in passes)
        whole = sum(len(one) for one in passes)
        yield tell("laddered", step=step, rows=rows, passes=count, **self.rung)
        said = f"memory ran out at step {step}: from here on {_rows(rows)} at once and {count} "
        said += f"passes a step, so that the batch of {whole} stays as it was"
        said += "; activations are computed twice." if self.recompute else "."
        yield tell("warned", message=said)


def in_halves(
    batches: Iterable[np.ndarray], work: Callable[[np.ndarray], Found], what: str
) -> Iterator[tuple[np.ndarray, Found]]:
    """Each batch with what `work` makes of it; where memory runs out, its halves instead.

    Args:
        batches: row numbers.
        work: of rows that do not depend on one another; it is done again after a failure.
        what: is done, for the sentence: `evaluation`.

    Raises:
        RanOut: a single row does not fit.
    """
    for batch in batches:
        waiting = [batch]
        while waiting:
            rows = waiting.pop(0)
            most = _process.limits.get(what, len(rows))
            if len(rows) > most:
                waiting[:0] = [rows[i : i + most] for i in range(0, len(rows), most)]
                continue
            if found := attempt(partial(work, rows)):
                yield rows, found[0]
                continue
            if len(rows) == 1:
                raise RanOut(
                    f"memory ran out in {what} with a single row at once: {_held()}; {_ways_out()}."
                )
            _process.limits[what] = half = (len(rows) + 1) // 2
            _later(
                f"memory ran out in {what}: from here on {_rows(half)} at once, with the same "
                "result."
            )
            waiting.insert(0, rows)


def _nothing_left(step: int) -> str:
    return (
        f"memory ran out at step {step} with one row at once and activations computed twice: "
        f"{_held()}; {_ways_out()}."
    )


def _held() -> str:
    bytes_on_gpu = on_gpu()
    where = " on the GPU" if bytes_on_gpu else ""
    held = f"{(bytes_on_gpu or resident()) / 1e6:,.0f} MB are held{where}"
    if _process.allowed is not None:
        held += f" and --memory allows {_process.allowed / 1e6:,.0f}"
    return held


def _ways_out() -> str:
    return (
        "give more memory, a smaller --max_length or a smaller model, or train less of it "
        "(`lora`, `freeze`)"
    )


def _rows(count: int) -> str:
    return "1 row goes through" if count == 1 else f"{count:,} rows go through"
