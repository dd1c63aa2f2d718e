"""Rank 1: options, events, names, errors, files. Standard library and pydantic only."""
