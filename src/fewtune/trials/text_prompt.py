"""The search for a prompt: which demonstrations, then which instruction.

A model that cannot be changed can be asked better. Candidates are scored on the training rows, each
row with demonstrations from the other folds alone, and halved: all on few rows, the better half on
more (successive halving; Jamieson and Talwalkar 2016, arXiv:1502.07943). Instructions proposed by
the model itself are those of Zhou et al. 2023 (APE, arXiv:2211.01910); demonstrations nearest to
the question those of Liu et al. 2022 (arXiv:2101.06804).

First the demonstrations are chosen under the first instruction, then the instruction under them: 5
ways and 5 instructions are 9 candidates in place of 25, so that 300 calls give each 33 rows and
not 12.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.evaluate.paired import compare_means, holm
from fewtune.evaluate.verdict import LEVEL
from fewtune.models.nearest import Nearest
from fewtune.trials.prompt import Example, How, Prompt

FEWEST = 4  # rows that a candidate is asked at the least; what the budget is too small for is left
PROPOSED_FROM = 6  # rows that the model sees when it proposes an instruction
SHARE_SHOWN = 0.2  # of the rows, at most, that it sees at all; they are not scored
APART = 104729  # between the seeds of what is drawn here

Line = dict[str, Any]
#: Prompts -> the answer to each; None where there is none.
Ask = Callable[[Sequence[str]], Sequence[str | None]]
#: What an answer said, and the row's number -> how good it is, 0..1.
Grade = Callable[[str | None, int], float]


@dataclass
class Pool:
    """Training rows that can be shown.

    Attributes:
        examples: the rows.
        groups: of each its label, or whatever demonstrations should differ in.
        folds: positions of the rows of each fold; a row is not shown to one of its own fold.
    """

    examples: Sequence[Example]
    groups: Sequence[str]
    folds: Sequence[np.ndarray]
    _kept: dict[tuple[How, int], dict[int, list[int]]] = field(default_factory=dict)
    _others: list[tuple[np.ndarray, Nearest]] = field(default_factory=list)

    def shown(self, row: int, how: How, count: int) -> list[Example]:
        """What is shown before a row's question, the nearest last."""
        if how == "none" or not count:
            return []
        if (how, count) not in self._kept:
            self._kept[how, count] = self._chosen(how, count)
        return [self.examples[k] for k in self._kept[how, count][row]]

    def _chosen(self, how: How, count: int) -> dict[int, list[int]]:
        """For each row the positions of those shown before it."""
        found: dict[int, list[int]] = {}
        for held, (others, near) in zip(self.folds, self._outside(), strict=True):
            if how == "diverse":
                same = near.diverse([self.groups[k] for k in others], count)
                each = [same] * len(held)
            else:
                near_first = near([self.examples[k].asked for k in held], count)
                each = [one[::-1] for one in near_first]
            found |= {
                int(row): [int(others[k]) for k in chosen]
                for row, chosen in zip(held, each, strict=True)
            }
        return found

    def _outside(self) -> list[tuple[np.ndarray, Nearest]]:
        """Of each fold the rows outside, and what finds the nearest of them."""
        for held in self.folds[len(self._others) :]:
            others = np.setdiff1d(np.arange(len(self.examples)), held)
            near = Nearest([self.examples[k].asked for k in others])
            self._others.append((others, near))
        return self._others


@dataclass
class Tried:
    """A candidate and its grades on the first rows of the order."""

    prompt: Prompt
    grades: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Its mean grade."""
        return float(np.mean(self.grades)) if self.grades else 0.0


@dataclass(frozen=True)
class Outcome:
    """What the search came to.

    Attributes:
        best: the prompt; `line` its line in the table.
        table: a line a candidate: `name`, `rows`, the metric, and but for the first the gain over
            it on the rows that both answered, as `folds.compared` has it.
        calls: questions that were put.
    """

    best: Prompt
    line: Line
    table: list[Line]
    calls: int


@dataclass
class Search:
    """Candidates, rows and a budget.

    What was asked once is not asked again. Every different question counts against the budget,
    also where a cache answers it: a search that was interrupted ends as if it had not been.

    Attributes:
        pool: the rows.
        order: positions of the rows to score, the first first.
        ask, grade: the model, and how good an answer is.
        calls: most questions.
        metric: what a grade is called in the table.
    """

    pool: Pool
    order: Sequence[int]
    ask: Ask
    grade: Grade
    calls: int
    metric: str = "score"
    tried: dict[Prompt, Tried] = field(default_factory=dict)
    answers: dict[str, str | None] = field(default_factory=dict)

    def run(
        self, instructions: Sequence[str], first: Prompt, ways: Sequence[tuple[How, int]]
    ) -> Generator[Event, None, Outcome]:
        """Demonstrations first, then instructions.

        Args:
            instructions: the first is what all others must beat.
            first: labels and language.
            ways: how demonstrations are chosen, and how many; the first is none.
        """
        first = replace(first, instruction=instructions[0], how="none", shown=0)
        shown = [replace(first, how=how, shown=count) for how, count in ways]
        half = self.calls if len(instructions) == 1 else self.calls // 2
        best = yield from self._halve("demonstrations", shown, half)
        if len(instructions) > 1:
            told = [replace(best.prompt, instruction=one) for one in instructions]
            best = yield from self._halve("instructions", told, self.calls - self.spent)
        # what is left shows the gain over the first on as many rows as there are
        start = self.tried[first]
        rows = self._affordable([start], self.calls - self.spent)
        self._extend([start], min(rows, len(best.grades)))
        asked = [one for one in self.tried.values() if one.grades]
        table = compared(asked, self.metric)
        yield tell("tried", what="prompts", table=table, kept=[best.prompt.name])
        return Outcome(best.prompt, table[asked.index(best)], table, self.spent)

    @property
    def spent(self) -> int:
        """Different questions so far."""
        return len(self.answers)

    def _halve(
        self, what: str, prompts: Sequence[Prompt], calls: int
    ) -> Generator[Event, None, Tried]:
        """All on few rows, the better half on more, until one is left or all rows are answered."""
        last = self.spent + calls
        alive = [self.tried.setdefault(one, Tried(one)) for one in prompts]
        alive = alive[: max(1, calls // FEWEST)]
        if left := len(prompts) - len(alive):
            yield tell(
                "warned",
                message=f"{left} of {len(prompts)} candidates for the {what} are not tried: the "
                f"budget gives fewer than {FEWEST} calls for each; --calls sets it.",
            )
        rounds = max(1, ceil(log2(len(alive))))
        for number in range(1, rounds + 1):
            rows = self._affordable(alive, (last - self.spent) // (rounds - number + 1))
            self._extend(alive, rows)
            yield tell("trial", trial=what, fold=number, folds=rounds, rows=rows, asked=len(alive))
            if number < rounds:
                alive = ranked(alive)[: ceil(len(alive) / 2)]
        return ranked(alive)[0]

    def _affordable(self, alive: Sequence[Tried], calls: int) -> int:
        """How many rows all candidates can have answered for so many calls."""
        needed = [sum(max(0, rows - len(one.grades)) for one in alive)
                  for rows in range(len(self.order) + 1)]  # fmt: skip
        return max(rows for rows, cost in enumerate(needed) if cost <= calls)

    def _extend(self, alive: Sequence[Tried], rows: int) -> None:
        """Grade candidates on more of the order.

        All are asked together: where one's questions are too long for the model they fail among
        others that do not, and it loses.
        """
        asked = [
            (one, row, self._question(one.prompt, row))
            for one in alive
            for row in self.order[len(one.grades) : rows]
        ]
        fresh = [text for text in dict.fromkeys(text for *_, text in asked)
                 if text not in self.answers]  # fmt: skip
        self.answers |= zip(fresh, self.ask(fresh) if fresh else (), strict=True)
        for one, row, text in asked:
            one.grades.append(self.grade(one.prompt.read(self.answers[text]), row))

    def _question(self, prompt: Prompt, row: int) -> str:
        shown = self.pool.shown(row, prompt.how, prompt.shown)
        return prompt.write(self.pool.examples[row].asked, shown)


def compared(tried: Sequence[Tried], metric: str) -> list[Line]:
    """A line a candidate, with its gain over the first."""
    first, *others = tried
    table = [_line(one, metric) for one in tried]
    found = [_over(one, first) for one in others]
    for line, seen, p in zip(table[1:], found, holm([one["p"] for one in found]), strict=True):
        line |= {"gain": seen["value"], "low": seen["low"], "high": seen["high"], "p": p}
        line["better"] = seen["value"] > 0 and p < LEVEL
    return table


def ranked(tried: Sequence[Tried]) -> list[Tried]:
    """The best mean first, on the rows that all have answered; of equals the one that was named
    first, which is the cheaper.
    """
    both = min(len(one.grades) for one in tried)
    return sorted(tried, key=lambda one: -float(np.mean(one.grades[:both] or 0)))


def _line(one: Tried, metric: str) -> Line:
    return {
        "name": one.prompt.name,
        "rows": len(one.grades),
        metric: one.mean,
        "better": False,
    }


def _over(one: Tried, first: Tried) -> dict[str, float]:
    """The difference on the rows that both answered, paired."""
    both = min(len(one.grades), len(first.grades))
    return compare_means(one.grades[:both], first.grades[:both], share=True)


def ways_of(most: int, rows: int) -> list[tuple[How, int]]:
    """How demonstrations may be chosen, the cheapest first.

    >>> ways_of(8, 60)
    [('none', 0), ('nearest', 2), ('diverse', 4), ('nearest', 8), ('diverse', 8)]
    >>> ways_of(1, 60)
    [('none', 0), ('nearest', 1), ('diverse', 1)]
    """
    most = min(most, rows // 2)
    asked: list[tuple[How, int]] = [
        ("nearest", min(2, most)),
        ("diverse", (most + 1) // 2),
        ("nearest", most),
        ("diverse", most),
    ]
    few: list[tuple[How, int]] = [("none", 0)]
    return few + [one for one in dict.fromkeys(asked) if one[1]]


def in_turn(groups: Sequence[str], seed: int) -> list[int]:
    """Positions in an order whose every beginning holds the groups in proportion.

    >>> sorted(k // 4 for k in in_turn([*"aaaabbbb"], seed=0)[:4])
    [0, 0, 1, 1]
    """
    draw = np.random.default_rng([seed, APART])
    place = np.zeros(len(groups))
    for group in dict.fromkeys(groups):
        own = np.flatnonzero([one == group for one in groups])
        draw.shuffle(own)
        place[own] = (np.arange(len(own)) + draw.random(len(own))) / len(own)
    return np.argsort(place, kind="stable").tolist()


def questions_for_instructions(
    first: Prompt, examples: Sequence[Example], count: int, seed: int
) -> list[str]:
    """What a model is asked that is to propose instructions, each time from other rows.

    Args:
        examples: rows that may be shown.
        count: how many questions.
    """
    draw = np.random.default_rng([seed, APART, 1])
    few = min(PROPOSED_FROM, len(examples))
    drawn = [draw.choice(len(examples), few, replace=False) for _ in range(count)]
    return list(dict.fromkeys(first.propose([examples[k] for k in some]) for some in drawn))


def proposed(answers: Sequence[str | None], first: Prompt) -> list[str]:
    """The instructions in what a model answered, each once: its first line, without quotes.

    >>> proposed(["Instruction: \\"Say hot or cold.\\"\\nOK?", None, ""], Prompt("x"))
    ['Say hot or cold.']
    """
    head = first.wording.instruction.strip()
    lines = [(answer or "").strip().removeprefix(head).strip() for answer in answers]
    clean = [line.partition("\n")[0].strip().strip('"“”*`').strip() for line in lines]
    return list(dict.fromkeys(line for line in clean if line))
