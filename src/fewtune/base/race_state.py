"""How a candidate of a race or a comparison stands."""

from enum import StrEnum


class RaceState(StrEnum):
    """As the record, the reports and the events of a race name it."""

    RUNS = "runs"
    #: Left before its last fold: behind beyond noise, for want of time, by an error.
    BEATEN = "beaten"
    LATE = "out of time"
    FAILED = "failed"
    #: Answered all folds: the winner; as good, but dearer; behind the best.
    CHOSEN = "chosen"
    TIED = "tied"
    BEHIND = "behind"
    #: Answered all folds, and is there to be compared with alone.
    BESIDE = "beside"
    #: A search's proposal: as good; ahead, but no more than the best of so many is by chance.
    NEAR = "near"
    UNPROVEN = "unproven"
    #: Of a comparison: on all folds and seeds.
    WHOLE = "whole"


NO_BASE = "nothing to compare with"  # said of changes to a method that failed
