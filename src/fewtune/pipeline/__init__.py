"""Rank 11: the order of the stages, in one place."""
