"""Rank 5: one file per tuning method."""
