"""Rank 5: metrics, intervals, paired tests, the verdict."""
