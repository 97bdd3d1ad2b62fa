"""One option of the pipeline or of hand_node: its type, range, unit and default, and the check of a value."""

from __future__ import annotations

import difflib
import math
import numbers
import os
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

Value = bool | int | float | str | tuple[float, ...] | tuple[str, ...]

UNITS: dict[str, tuple[str, tuple[float, ...]]] = {
    'm': ('in metres', (0.01, 0.001)),
    's': ('in seconds', (0.001,)),
    'percent': ('in percent', (100.0,)),
    'probability': ('a probability', (0.01,)),
}
"""Unit: its text in messages, and conversion factors from other likely units (cm, mm, ms)."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def short(value: Any) -> str:
    """The repr of a value, shortened for a message."""
    return _SHORT.repr(value)


class OptionError(ValueError):
    """Invalid value of an Option. The message names the option, range and unit, and suggests the value
    that was probably meant."""


class ReadAt(Enum):
    """Time at which hand_node reads an option."""

    START = 'start'
    """Read-only after the start, because it names files or limits memory."""
    CONFIGURE = 'configure'
    ACTIVATE = 'activate'
    ALWAYS = 'always'


@dataclass(frozen=True)
class Option:
    """One option. Its type is that of `default`; `limits` (lowest, highest) or `choices` bound its value.

    A tuple stands for a list: of as many numbers as the default has, each within `limits`, or of texts.
    """

    name: str
    default: Value
    description: str
    limits: tuple[float, float] | None = None
    unit: str = ''
    choices: tuple[str, ...] = ()
    read_at: ReadAt = ReadAt.CONFIGURE

    @property
    def range_text(self) -> str:
        """The accepted values as text: '0 to 0.3 m', 'one of: cpu, cuda, tensorrt'."""
        if self.choices:
            return f'one of: {", ".join(self.choices)}'
        if isinstance(self.default, tuple):
            return (
                f'{len(self.default)} numbers, each {self._item.range_text}'
                if self.limits
                else 'a list of texts'
            )
        if isinstance(self.default, bool):
            return 'true or false'
        if self.limits is None:
            return 'a text, empty for the default'
        low, high = (f'{limit:g}' if isinstance(limit, float) else str(limit) for limit in self.limits)
        unit = '' if self.unit == 'probability' else f' {self.unit}'.rstrip()
        return f'{"a whole number, " if isinstance(self.default, int) else ""}{low} to {high}{unit}'

    def check(self, value: Any) -> Value:
        """`value` converted to the type of the option: a whole number to float, a path to str. Raises
        OptionError if it is of another type, out of range, or not finite."""
        converted = self._converted(value)
        if converted is None or not self._allows(converted):
            raise OptionError(self._refusal(value))
        return converted

    def parse(self, text: str) -> Value:
        """The value of a command-line argument `text`. Raises OptionError."""
        value: Any = text
        if isinstance(self.default, (int, float)):
            for kind in (int, float):
                try:
                    value = kind(text)
                    break
                except ValueError:
                    continue
        return self.check(value)

    @property
    def _item(self) -> Option:
        """The option that each item of a list is."""
        assert isinstance(self.default, tuple)
        return replace(self, default=self.default[0])

    def _converted_list(self, value: Any) -> Value | None:
        assert isinstance(self.default, tuple)
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            return None
        items: list[Any] = [self._item._converted(item) for item in value]
        fits = len(items) == len(self.default) if self.limits else len(items) > 0
        return tuple(items) if fits and None not in items else None

    def _converted(self, value: Any) -> Value | None:
        if isinstance(self.default, tuple):
            return self._converted_list(value)
        if isinstance(self.default, bool) or isinstance(value, bool):
            return value if isinstance(value, bool) and isinstance(self.default, bool) else None
        if isinstance(self.default, int):
            return int(value) if isinstance(value, numbers.Integral) else None
        if isinstance(self.default, float):
            return _float(value) if isinstance(value, numbers.Real) else None
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        return value if isinstance(value, str) else None

    def _allows(self, value: Value) -> bool:
        if isinstance(value, tuple):
            return all(self._item._allows(item) for item in value)
        if self.choices:
            return value in self.choices
        return self.limits is None or self.limits[0] <= value <= self.limits[1]  # type: ignore[operator]

    def _refusal(self, value: Any) -> str:
        said = f'{self.name} is {short(value)}; it must be {self.range_text}'
        guess = self._guess(value)
        if guess is not None:
            said += f'. Did you mean {guess}?'
        if self.unit in UNITS:
            said += f'{"" if guess is not None else "."} {self.name} is {UNITS[self.unit][0]}'
        return said

    def _guess(self, value: Any) -> str | None:
        """Probable intention of a refused `value`; None if there is no good guess."""
        if self.choices:
            if value is False and 'off' in self.choices:
                return "'off', with quotes (YAML reads off as false)"
            near = difflib.get_close_matches(str(value)[:60].lower(), self.choices, 1, 0.7) if value else []
            return near[0] if near else None
        if isinstance(self.default, tuple):
            return None
        number = _float(value) if isinstance(value, (str, numbers.Real)) else math.nan
        if self.limits is None or isinstance(value, bool) or not math.isfinite(number) or not number:
            return None
        for factor in (1.0, *UNITS.get(self.unit, ('', ()))[1]):
            near_number = float(f'{number * factor:.6g}')
            whole = not isinstance(self.default, int) or near_number.is_integer()
            if whole and self._allows(near_number):
                return f'{near_number:g}'
        return None


def _float(value: Any) -> float:
    """`value` as a float, NaN where it has none."""
    try:
        return float(value)
    except (OverflowError, ValueError):
        return math.nan
