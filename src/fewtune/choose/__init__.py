"""Rank 7: the plan and its reasons."""
