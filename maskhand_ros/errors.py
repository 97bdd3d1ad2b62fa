"""Errors whose message is meant for the user."""

from __future__ import annotations


class CommandError(Exception):
    """Something that the user can put right: `what` is wrong, and the `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f'{what}. Fix: {fix}')
