"""Rank 3: the pretrained side, nothing about tasks."""
