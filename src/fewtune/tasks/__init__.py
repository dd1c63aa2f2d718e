"""Rank 4: one file per task; the file name is its key."""
