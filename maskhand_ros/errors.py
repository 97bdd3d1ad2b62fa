"""Errors whose message is meant for the user."""

from __future__ import annotations

MAX_TEXT = 200
"""Maximum characters of the content of a message in logs and diagnostics."""


class CommandError(Exception):
    """Error that the user can correct: `what` is wrong, and the `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f'{what}. Fix: {fix}')
        self.what, self.fix = what, fix


class ModelError(RuntimeError):
    """Models that cannot run as configured: `what` is wrong, and the `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f'{what}. Fix: {fix}')
        self.what, self.fix = what, fix


class FieldError(ValueError):
    """Invalid argument of a public class: `what` is wrong with which field, and the `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f'{what}. Fix: {fix}')


class BadInput(ValueError):
    """Message that cannot be used: `reason` (a short key that diagnostics count), `seen` (what the message
    contains) and `remedy`."""

    def __init__(self, reason: str, seen: str, remedy: str) -> None:
        seen, self.reason, self.remedy = seen[:MAX_TEXT], reason, remedy[: 2 * MAX_TEXT]
        self.seen = seen
        super().__init__(f'{reason}: {seen}. {self.remedy}')
