"""The linter of training data: rules that find, and say what to do."""
