"""The model of the robot's hand for teleop_node, and what is wrong where it cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskhand_ros.errors import ModelError
from maskhand_ros.option import OptionError

if TYPE_CHECKING:
    from maskhand_ros.retargeting import Retargeter


def load_retargeter(source: str, config: str, side: str) -> tuple[Retargeter, tuple[str, ...]]:
    """The Retargeter of a robot's hand (file, or text of a model), and what of the configuration is not used.
    `config`: file; empty: that of the shipped hand of the `side`. ModelError, or ModuleNotFoundError."""
    from maskhand_ros.retargeting import Retargeter, RetargetingConfig, RobotHand  # the extra teleop

    read = RetargetingConfig.load(config) if config else RetargetingConfig.shipped(f'allegro_{side}')
    return Retargeter(RobotHand.load(source, read.joint_names), read), read.warnings


def failure(error: Exception) -> tuple[str, str] | None:
    """What is wrong and the fix, of an error that the user can correct; None for others."""
    if isinstance(error, ModelError):
        return error.what, error.fix
    if isinstance(error, ModuleNotFoundError):
        return f'the Python package {error.name!r} is missing', "pip install 'maskhand_ros[teleop]'"
    if isinstance(error, OptionError):
        return str(error), 'set another value'
    return None
