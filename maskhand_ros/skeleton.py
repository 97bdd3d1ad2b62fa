"""Hand skeleton: 16 joints in MANO's order, 21 keypoints in MediaPipe / OpenPose order, and maps between
them.

Joints (wrist and three per finger) rotate; keypoints (the joints and five tips) are published positions.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class NamedEnum(IntEnum):
    """An IntEnum that prints as its name in lower case."""

    def __str__(self) -> str:
        return self.name.lower()

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class Handedness(NamedEnum):
    """Left or right hand; values as in Hand.msg."""

    LEFT = 1
    RIGHT = 2

    @classmethod
    def named(cls, name: str | None) -> Handedness | None:
        """The member of the name 'left' or 'right'; None for None."""
        return None if name is None else cls[name.upper()]


LEFT, RIGHT = Handedness

FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')

JOINT_NAMES = (
    'wrist',
    'index_1',
    'index_2',
    'index_3',
    'middle_1',
    'middle_2',
    'middle_3',
    'little_1',
    'little_2',
    'little_3',
    'ring_1',
    'ring_2',
    'ring_3',
    'thumb_1',
    'thumb_2',
    'thumb_3',
)
"""16 joints in MANO's order (Romero et al. 2017): finger joint 1 is next to the palm."""

JOINT_PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14])
"""(16,) parent of each joint; -1 for the wrist."""

JOINT_LEVELS = (
    (slice(1, None, 3), slice(0, 1)),
    (slice(2, None, 3), slice(1, None, 3)),
    (slice(3, None, 3), slice(2, None, 3)),
)
"""Finger joints by level from the palm, each with the slice of their parents: three steps of forward
kinematics."""

KEYPOINT_NAMES = ('wrist', *(f'{finger}_{part}' for finger in FINGERS for part in ('1', '2', '3', 'tip')))
"""21 keypoints: wrist, then thumb, index, middle, ring, little from the palm to the tip."""

KEYPOINT_EDGES = np.array(
    [
        (0 if part == 0 else 4 * finger + part, 4 * finger + part + 1)
        for finger in range(5)
        for part in range(4)
    ]
)
"""(20, 2) bones of the skeleton as keypoint indices."""

TIP_KEYPOINTS = (4, 8, 12, 16, 20)

FINGER_CHAINS = [[0, *range(1 + 4 * finger, 5 + 4 * finger)] for finger in range(5)]
"""Keypoints of each of FINGERS, from the wrist to the tip."""
MIDDLE_CHAIN = FINGER_CHAINS[2]
"""Keypoints from the wrist to the tip of the middle finger, along which the length of a hand is measured."""

JOINT_TO_KEYPOINT = np.array([KEYPOINT_NAMES.index(name) for name in JOINT_NAMES])
"""(16,) keypoint of each joint."""

KEYPOINT_JOINT = np.array([JOINT_NAMES.index(name.replace('_tip', '_3')) for name in KEYPOINT_NAMES])
"""(21,) joint to which each keypoint is fixed; a tip to the last joint of its finger."""

CONVENTION_LIGHT = np.array(
    [k for k, name in enumerate(KEYPOINT_NAMES) if name != 'wrist' and not name.endswith('_1')]
)
"""(15,) keypoints whose definition is the same in all data sets: PIP, DIP and tips of the fingers, thumb 2
to 4."""

KEYPOINT_SETS = ('mano', 'anatomical', 'mediapipe')
"""Conventions for the positions of keypoints on the hand; the first is the default."""
