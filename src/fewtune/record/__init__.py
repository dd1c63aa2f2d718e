"""Rank 8: run folders, their index, the environment."""
