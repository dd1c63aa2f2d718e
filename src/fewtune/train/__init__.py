"""Rank 6: one fit: loop, batches, optimiser, checkpoint."""
