"""Configuration of the teleoperator `maskhand`, from LeRobot's command line: `--teleop.type=maskhand`."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.teleoperators.config import TeleoperatorConfig


@TeleoperatorConfig.register_subclass('maskhand')
@dataclass(kw_only=True)
class MaskHandConfig(TeleoperatorConfig):
    """Where the hand is seen, and what it moves."""

    source: str = '0'
    """Number of a camera (/dev/videoN), or a video file."""
    side: str = 'right'
    """Side of the operator's hand: right or left."""
    retargeting: str = ''
    """Retargeting configuration (YAML, keys of dex-retargeting) whose urdf_path names the robot hand; empty:
    the Allegro hand of that side."""
    joint_speed: float = 6.0
    """Highest speed of a joint, rad/s; a lower limit of the robot's model holds too."""
    arm: bool = False
    """Add `arm.x`, `arm.y`, `arm.z` (m) and `arm.rx`, `arm.ry`, `arm.rz` (rotation vector, rad) to the
    actions: motion of the wrist since following began, x forward, y left, z up from the operator."""

    def __post_init__(self) -> None:
        if self.side not in ('right', 'left'):
            raise ValueError(f'side is {self.side!r}. Fix: give right or left')
