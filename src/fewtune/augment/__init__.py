"""Rank 5: new training rows out of given ones. The registry is in `recipes`: this room is light
to import, for `fewtune` itself does."""
