"""Rank 2: rows with their origin, formats, splits, the row ledger."""
