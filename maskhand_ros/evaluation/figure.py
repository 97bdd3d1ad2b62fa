"""Figure: a measured value and the range that it has to be in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Figure:
    """A measured value and the range that it has to be in."""

    name: str
    value: float
    low: float
    high: float
    unit: str = ''

    @property
    def held(self) -> bool:
        """Whether the value is within its range."""
        return self.low <= self.value <= self.high

    @property
    def limit(self) -> str:
        """The range in words."""
        return f'at most {self.high:g}' if self.low in (0, -np.inf) else f'{self.low:g} to {self.high:g}'

    def row(self) -> str:
        """One line of the printed table."""
        missed = '' if self.held else 'MISSED'
        return f'{self.name:52}{self.value:10.3g} {self.unit:5}{self.limit:>16}  {missed}'

    def to_json(self) -> dict[str, float | str]:
        """Value, unit and range, for --json."""
        return {'value': float(self.value), 'unit': self.unit, 'limit': self.limit}
