"""Indented JSON text with each list of numbers on one line."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

_MOST_ROWS = 64
"""Maximum rows of a table that gets a line for each row; a longer one (a mesh) is on one line."""


def to_json(value: Any) -> str:
    """Strict JSON text (RFC 8259) of dicts, lists, tuples, strings, numbers and numpy scalars; null for None,
    NaN and infinity."""
    return _text(plain(value), '')


def plain(value: Any) -> Any:
    """The same with Python's types only, and None for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any, margin: str) -> str:
    inner = margin + '  '
    if isinstance(value, dict) and value:
        rows = [f'{inner}{json.dumps(key)}: {_text(item, inner)}' for key, item in value.items()]
        return '{\n' + ',\n'.join(rows) + f'\n{margin}}}'
    if isinstance(value, list) and _is_nested(value):
        rows = [inner + _text(item, inner) for item in value]
        return '[\n' + ',\n'.join(rows) + f'\n{margin}]'
    return json.dumps(value, allow_nan=False)


def _is_nested(items: list[Any]) -> bool:
    """Whether the items of a list get a line each: dicts and lists do, scalars and long tables do not."""
    if any(isinstance(item, dict) for item in items):
        return True
    return any(isinstance(item, list) for item in items) and len(items) <= _MOST_ROWS
