"""What counts in an interval: rows, or groups of rows that are alike.

The rows of one machine, writer or day resemble each other, so fifty rows of five machines say less
of other machines' rows than fifty rows of fifty. Where the user names the group column, intervals
and tests take its values for the units: groups are drawn and swapped whole (the cluster bootstrap,
Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Units:
    """Groups of rows.

    Attributes:
        of: (n,) the number of every row's group, 0 .. count - 1.
    """

    of: NDArray[np.int64]

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return int(self.of.max()) + 1

    def take(self, rows: NDArray[np.bool_]) -> Units | None:
        """Those of some rows, (n,) of yes and no; None as of `units_of`."""
        return units_of(self.of[rows].tolist())

    @cached_property
    def reach(self) -> float:
        """How much wider few groups make a 95 % interval than the normal distribution knows.

        Student's t with count - 1 degrees of freedom, and the bootstrap's variance of few draws,
        which is (count - 1) / count of what it should be (Cameron and Miller, A Practitioner's
        Guide to Cluster-Robust Inference, J. Human Resources 50, 2015, section VI).
        """
        from scipy.stats import t

        wide = float(t.ppf(0.975, self.count - 1)) / NormalDist().inv_cdf(0.975)
        return wide * sqrt(self.count / (self.count - 1))


def units_of(groups: Sequence[object]) -> Units | None:
    """The units of rows by what their group column says.

    None where every row is one of its own, and where all are one: of that nothing follows for
    others.

    Args:
        groups: of every row; one that says nothing (None, "") is a group of its own.

    >>> units_of(["pump 1", "pump 2", "pump 1", None]).of.tolist()
    [0, 1, 0, 2]
    >>> units_of([None, "pump 1"]) is None
    True
    """
    named: dict[object, int] = {}
    of = [named.setdefault((k,) if one in (None, "") else str(one), len(named)) for k, one in
          enumerate(groups)]  # fmt: skip
    return Units(np.array(of)) if 1 < len(named) < len(of) else None


@dataclass(frozen=True)
class Worth:
    """What rows say compared with as many that are independent.

    Attributes:
        factor: how many times as far the ends of an interval lie from the value, 1 or more.
        most: rows that can stand behind a share on which all units agree.
    """

    factor: float = 1.0
    most: float = inf

    def rows(self, behind: float) -> float:
        """How many independent rows say as much as `behind` of these (Kish, Survey Sampling, 1965:
        the effective sample size)."""
        return max(min(behind / self.factor**2, self.most), 1e-9)


def worth(
    by_rows: NDArray[np.float64], by_units: NDArray[np.float64] | None, units: Units | None
) -> Worth:
    """How much rows in groups are worth, of what a number does on resamples of both.

    Never more than independent rows: groups that are alike by luck make nothing surer.

    Args:
        by_rows: (R,) the number on resamples of the rows.
        by_units: (R,) on resamples of the groups; None where rows are the units.
        units: the groups.
    """
    if by_units is None or units is None:
        return Worth()
    alone, together = float(np.nanstd(by_rows)), float(np.nanstd(by_units))
    if alone <= 1e-12:
        return Worth(most=float(units.count))
    return Worth(max(1.0, together / alone * units.reach))
