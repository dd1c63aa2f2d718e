"""Rank 10: the report, a function of a run folder."""
