"""What must be tried on folds of the training rows before the final fit."""
