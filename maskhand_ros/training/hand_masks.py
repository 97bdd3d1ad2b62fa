"""Masks of photographed hands from their keypoints. Images are (S, S, 3) uint8 RGB, keypoints (21, 2) px."""

from __future__ import annotations

import cv2
import numpy as np

from maskhand_ros.skeleton import FINGER_CHAINS

_PALM = (0, 1, 2, 5, 9, 13, 17)
_FINGER_WIDTH, _TIP_WIDTH = 0.2, 0.15
"""Width of a finger at its base and its tip over the length of the palm (wrist to middle MCP)."""
_SURE = 0.45
"""Share of the fingers' width that is hand for certain."""
_CUT_SIZE, _CUT_STEPS = 160, 2
"""Edge length and iterations of GrabCut: it starts from the keypoints and follows the colours."""


def palm_length(keypoints: np.ndarray) -> float:
    """Distance of wrist and middle MCP, or of the outer MCPs times 1.4 where the palm is seen from its edge;
    px."""
    across = 1.4 * float(np.linalg.norm(keypoints[5] - keypoints[17]))
    return max(float(np.linalg.norm(keypoints[9] - keypoints[0])), across, 4.0)


def keypoint_mask(keypoints: np.ndarray, size: int, share: float = 1.0, first: int = 0) -> np.ndarray:
    """Mask (size, size) uint8, 1 where the keypoints say that the hand is: fingers as bones of `share` of
    their width, from the bone `first` of each finger on (0: with the palm)."""
    mask = np.zeros((size, size), np.uint8)
    length = palm_length(keypoints)
    points = np.round(16 * keypoints).astype(int)  # cv2 takes 4 fractional bits
    for chain in FINGER_CHAINS:
        for k in range(first, 4):
            width = length * (_FINGER_WIDTH + (_TIP_WIDTH - _FINGER_WIDTH) * k / 3)
            thick = max(1, round(share * width))
            cv2.line(mask, points[chain[k]], points[chain[k + 1]], 1, thick, shift=4)
    if first == 0:
        cv2.fillConvexPoly(mask, cv2.convexHull(points[list(_PALM)]), 1, shift=4)
    return mask


def hand_mask(image: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Mask of the hand in a photograph: GrabCut from the keypoints. A result that is much smaller or larger
    than the keypoints' own mask is replaced by it."""
    size = len(image)
    scale = _CUT_SIZE / size
    small = cv2.resize(image, (_CUT_SIZE, _CUT_SIZE), interpolation=cv2.INTER_AREA)
    points = keypoints * scale
    around = keypoint_mask(points, _CUT_SIZE)
    reach = max(3, round(0.24 * palm_length(points)))
    wide = cv2.dilate(around, np.ones((reach, reach), np.uint8))
    cut = np.full((_CUT_SIZE, _CUT_SIZE), cv2.GC_BGD, np.uint8)
    cut[wide > 0] = cv2.GC_PR_BGD
    cut[around > 0] = cv2.GC_PR_FGD
    cut[keypoint_mask(points, _CUT_SIZE, _SURE) > 0] = cv2.GC_FGD
    models = np.zeros((2, 1, 65))
    try:
        cv2.grabCut(small, cut, None, models[0], models[1], _CUT_STEPS, cv2.GC_INIT_WITH_MASK)
        found = np.isin(cut, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    except cv2.error:  # no background in the picture
        found = around
    if not 0.6 < found.sum() / max(around.sum(), 1) < 1.6:
        found = around
    smooth = cv2.GaussianBlur(found.astype(np.float32), (0, 0), 1.0)
    return np.clip(cv2.resize(smooth, (size, size), interpolation=cv2.INTER_LINEAR), 0, 1)
