"""The keypoint set `anatomical`: joints where people's bones meet, rather than where a mesh model pivots.

MANO and MakeHuman pivot the fingers 11 to 16 mm beyond the knuckles: their proximal phalanges are too short
for a hand of their length. Labels made by people follow the anatomy.
"""

from __future__ import annotations

import numpy as np

from maskhand_ros.skeleton import FINGERS, JOINT_NAMES

PHALANGES_MM = {
    'thumb': (31.57, 21.67 + 5.67),
    'index': (39.78, 22.38, 15.82 + 3.84),
    'middle': (44.63, 26.33, 17.40 + 3.95),
    'ring': (41.37, 25.65, 17.30 + 3.95),
    'little': (32.57, 18.11, 15.96 + 3.73),
}
"""Mean lengths of an adult's phalanges from the palm to the tip, the last with its soft tissue (Buryanov and
Kotiuk, "Proportions of Hand Segments", Int. J. Morphol. 28(3), 2010). Only their ratios are used."""


def anatomical_rule(mano_rule: np.ndarray, joints: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Rule (21, 16 + V) from [posed joints; posed vertices] to keypoints, with PHALANGES_MM's proportions.

    `mano_rule` (21, 16 + V), `joints` (16, 3) and `keypoints` (21, 3) are those of the set `mano` on the rest
    hand, wrist at the origin. Tips, PIP joints and the thumb's MCP joint stay, and set the scale of their
    finger; DIP joints and the thumb's IP joint slide along the bone they end, and MCP joints towards the
    wrist. The thumb's CMC joint stays: labels put it near MANO's place, 15 mm beyond the bone's end.
    """
    rule = mano_rule.copy()
    for number, finger in enumerate(FINGERS):
        thumb = finger == 'thumb'
        *proximal, middle, distal = PHALANGES_MM[finger]
        pivot, first = JOINT_NAMES.index(f'{finger}_1'), 4 * number + 1
        fixed, end, tip = keypoints[first + 1 : first + 4]
        bone, last = np.linalg.norm(end - fixed), np.linalg.norm(tip - end)
        scale = (bone + last) / (middle + distal)
        rule[first + 2] = _between(rule, pivot + 1, pivot + 2, scale * middle / bone)
        if not thumb:
            share = _reach(keypoints[first], joints[0], fixed, scale * proximal[0])
            rule[first] = _between(rule, pivot, 0, share)
    return rule


def _between(rule: np.ndarray, start: int, end: int, share: float) -> np.ndarray:
    """The row of a point that lies at `share` of the way from joint `start` to joint `end`."""
    row = np.zeros_like(rule[0])
    row[start], row[end] = 1 - share, share
    return row


def _reach(start: np.ndarray, end: np.ndarray, centre: np.ndarray, distance: float) -> float:
    """Share of the way from `start` to `end` (3,) at which the line leaves the sphere around `centre`."""
    along, off = end - start, start - centre
    a, b, c = along @ along, along @ off, off @ off - distance**2
    return (-b + np.sqrt(b * b - a * c)) / a
