"""Checked reading of the keys of a retargeting configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskhand_ros.errors import ModelError

CONFIG_FIX = 'see docs/teleoperation.md, "Configuration of a hand"'

_UNUSED = {
    'low_pass_alpha': 'the keypoints are smoothed already, and a low pass of 0.2 delays by 0.1 s at 30 Hz',
    'normal_delta': 'the solver damps by its own constants',
    'huber_delta': 'the solver weights by the uncertainty of the keypoints',
    'has_joint_limits': 'joint limits are always held',
    'ignore_mimic_joint': 'mimic joints always follow their joint',
}
"""Keys of dex-retargeting that are read and not used: reason."""


class Keys:
    """The keys of one configuration; each is taken out as it is read, so that the rest is unknown."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self._warnings: list[str] = []

    @classmethod
    def read(cls, source: str | Path | Mapping[str, Any]) -> Keys:
        """The keys in a YAML file or a mapping, below `retargeting` or at the top."""
        values: Any = source
        if not isinstance(source, Mapping):
            import yaml

            try:
                values = yaml.safe_load(Path(source).read_text())
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                text = ' '.join(str(error).split())[:200]
                raise ModelError(f'{source} cannot be read as YAML ({text})', CONFIG_FIX) from error
        values = values.get('retargeting', values) if isinstance(values, Mapping) else values
        if not isinstance(values, Mapping):
            raise ModelError('the configuration is no mapping of keys to values', CONFIG_FIX)
        return cls(values)

    def _take(self, key: str) -> Any:
        return self._values.pop(key, None)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of `choices`, in any case."""
        value = str(self._take(key) or '').lower()
        if value not in choices:
            raise ModelError(f'{key} is {value!r}', f'give one of {", ".join(choices)}')
        return value

    def text(self, key: str) -> str | None:
        """A text; None where it is missing or null."""
        value = self._take(key)
        if value is not None and not isinstance(value, str):
            raise ModelError(f'{key} is {value!r}, not a text', CONFIG_FIX)
        return value

    def names(self, key: str) -> list[str]:
        """A list of names; empty where it is missing or null."""
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ModelError(f'{key} is no list of names', CONFIG_FIX)
        return value

    def needed_names(self, key: str) -> list[str]:
        """A list of names. ModelError where it is missing or empty."""
        names = self.names(key)
        if not names:
            raise ModelError(f'{key} is missing', 'this type of retargeting needs it: ' + CONFIG_FIX)
        return names

    def numbers(self, key: str, count: int, default: float) -> list[float]:
        """`count` numbers; one number, or `default`, stands for all."""
        value = self._take(key)
        try:
            values = [float(x) for x in value] if isinstance(value, list) else [float(value)] * count
        except (TypeError, ValueError) as error:
            if value is None:
                return [default] * count
            raise ModelError(f'{key} is {value!r}, not a number or a list of numbers', CONFIG_FIX) from error
        if len(values) != count:
            raise ModelError(f'{key} has {len(values)} numbers', f'give one, or {count}')
        return values

    def indices(self, rows: int, count: int) -> list[list[int]]:
        """`target_link_human_indices`, also with the suffix of a type: `rows` x `count` of 0 to 20."""
        key = next((k for k in self._values if k.startswith('target_link_human_indices')), None)
        value = self._take(key) if key else None
        if value is None:
            raise ModelError('target_link_human_indices is missing', CONFIG_FIX)
        lists = [value] if rows == 1 and value and not isinstance(value[0], list) else value
        try:
            found = [[int(k) for k in row] for row in lists]
        except (TypeError, ValueError) as error:
            raise ModelError(f'{key} holds what is no index', 'give keypoints, 0 to 20') from error
        if len(found) != rows or any(len(row) != count or min(row) < 0 or max(row) > 20 for row in found):
            raise ModelError(f'{key} is not {rows} x {count} keypoints', 'give one for each link, 0 to 20')
        return found

    def ignore(self, prefix: str, reason: str) -> None:
        """Take out every key that starts with `prefix`, with a warning."""
        for key in [key for key in self._values if key.startswith(prefix)]:
            self._take(key)
            self._warnings.append(f'{key} is not used: {reason}')

    def finish(self) -> tuple[str, ...]:
        """Warnings about keys that are not used. ModelError for an unknown one."""
        for key, reason in _UNUSED.items():
            self.ignore(key, reason)
        if self._take('add_dummy_free_joint'):
            raise ModelError(
                'add_dummy_free_joint is true', 'leave it out: the wrist moves the arm, not the hand'
            )
        self.ignore('target_', 'another type of retargeting reads it')
        if self._values:
            names = ', '.join(sorted(self._values))
            raise ModelError(
                f'unknown key {names} in the configuration', f'remove it or correct its name; {CONFIG_FIX}'
            )
        return tuple(self._warnings)
