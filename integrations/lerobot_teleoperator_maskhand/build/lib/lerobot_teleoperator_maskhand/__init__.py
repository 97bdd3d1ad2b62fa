"""LeRobot teleoperator `maskhand`: a hand before a camera moves a robot hand."""

from lerobot_teleoperator_maskhand.config_maskhand import MaskHandConfig
from lerobot_teleoperator_maskhand.maskhand import MaskHand

__all__ = ['MaskHand', 'MaskHandConfig']
