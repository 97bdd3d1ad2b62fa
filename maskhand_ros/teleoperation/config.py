"""TeleopConfig: what a TeleopSession needs of the options of teleoperation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskhand_ros.option import OptionError
from maskhand_ros.teleoperation.options import TELEOP_OPTIONS, default


@dataclass(frozen=True)
class TeleopConfig:
    """Options of a TeleopSession, documented in `maskhand_ros.teleoperation.options`. OptionError for a value
    out of range or of another type."""

    arm_scale: float = default('arm_scale')
    workspace: tuple[float, ...] = default('workspace')
    rate: float = default('rate')
    joint_speed: float = default('joint_speed')
    joint_acceleration: float = default('joint_acceleration')
    arm_speed: float = default('arm_speed')
    arm_acceleration: float = default('arm_acceleration')
    turn_speed: float = default('turn_speed')
    turn_acceleration: float = default('turn_acceleration')
    ramp: float = default('ramp')
    dead_man: bool = default('dead_man')
    enable_timeout: float = default('enable_timeout')
    max_age: float = default('max_age')
    state_timeout: float = default('state_timeout')
    min_confidence: float = default('min_confidence')
    on_lost: str = default('on_lost')

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, TELEOP_OPTIONS[field.name].check(getattr(self, field.name)))
        if any(low >= high for low, high in zip(self.workspace[:3], self.workspace[3:], strict=True)):
            said = f'workspace is {self.workspace}: each lowest x, y, z must be below the highest'
            raise OptionError(f'{said}; all in metres')

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TeleopConfig:
        """The configuration with the values {name: value} of all options."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})
