"""Errors whose message is meant for the user."""

from __future__ import annotations

MAX_TEXT = 200
"""Characters of a message's own words that go into logs and diagnostics."""


class CommandError(Exception):
    """Something that the user can put right: `what` is wrong, and the `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f'{what}. Fix: {fix}')


class ModelError(RuntimeError):
    """Models that cannot run as asked: `what` is wrong, and the `fix` to type or to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f'{what}. Fix: {fix}')
        self.what, self.fix = what, fix


class BadInput(ValueError):
    """A message that cannot be used: `reason` (a short key, counted in diagnostics), what was seen, and the
    `remedy`."""

    def __init__(self, reason: str, seen: str, remedy: str) -> None:
        seen, self.reason, self.remedy = seen[:MAX_TEXT], reason, remedy[: 2 * MAX_TEXT]
        self.seen = seen
        super().__init__(f'{reason}: {seen}. {self.remedy}')
