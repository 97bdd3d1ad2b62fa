"""Retargeting: 21 keypoints of a hand to the joint angles of a robot hand. Needs the extra `teleop`."""

from maskhand_ros.retargeting.config import RetargetingConfig
from maskhand_ros.retargeting.retargeter import RetargetedHand, Retargeter
from maskhand_ros.retargeting.robot_hand import RobotHand

__all__ = ['RetargetedHand', 'Retargeter', 'RetargetingConfig', 'RobotHand']
