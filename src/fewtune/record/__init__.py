"""Rank 8: run folders, their index, the environment."""

from fewtune.record.environment import environment
from fewtune.record.folder import RunFolder
from fewtune.record.index import Difference, Paired, Summary, diff, list_runs, paired, remove_run
from fewtune.record.names import default_name
from fewtune.record.trouble import writing

__all__ = [
    "Difference",
    "Paired",
    "RunFolder",
    "Summary",
    "default_name",
    "diff",
    "environment",
    "list_runs",
    "paired",
    "remove_run",
    "writing",
]
