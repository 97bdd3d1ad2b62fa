"""Maintainers' programs that made the shipped files or check the model against the paper."""
