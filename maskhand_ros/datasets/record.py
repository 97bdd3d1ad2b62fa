"""Record that the readers of public data sets yield: one labelled hand in our order, frame and units."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import tight_box
from maskhand_ros.skeleton import JOINT_TO_KEYPOINT, TIP_KEYPOINTS

FROM_MANO_21 = np.argsort([*JOINT_TO_KEYPOINT, *TIP_KEYPOINTS])
"""(21,) places of our keypoints among MANO's 16 joints followed by the tips of thumb to little finger."""

OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0])
"""(3, 3) from a camera that looks along -z with y up to one that looks along z with y down."""


@dataclass
class ManoLabel:
    """A hand as parameters of MANO (of MANO_LEFT for a left hand)."""

    pose: np.ndarray
    """(48,): axis-angle of the global orientation in the camera frame, then 45 numbers as `space` says."""
    betas: np.ndarray
    """(10,)"""
    space: str
    """'flat': the 45 are axis-angles from the flat hand; 'mean': they are from MANO's `hands_mean`; 'pca':
    coefficients of `hands_components`, whose sum is from `hands_mean`."""
    wrist: np.ndarray | None = None
    """(3,) MANO's wrist joint, metres, camera frame; None where only MANO itself could tell."""


@dataclass
class LabelledHand:
    """One hand in one image. Camera frame: x right, y down, z forward (OpenCV); a left hand stays left."""

    image: Path
    source: str
    """The data set's short name."""
    sequence: str | None
    """Images of one motion by one camera share it and come in its order; None for single images."""
    side: str
    """'left' or 'right'."""
    keypoints_px: np.ndarray
    """(21, 2) in the order of skeleton.KEYPOINT_NAMES; NaN where not labelled."""
    K: np.ndarray | None = None
    """(3, 3) pinhole matrix, pixels."""
    keypoints: np.ndarray | None = None
    """(21, 3) metres, camera frame; NaN where not labelled."""
    valid: np.ndarray = field(default_factory=lambda: np.ones(21, bool))
    """(21,) whether a keypoint is labelled."""
    visible: np.ndarray | None = None
    """(21,) whether a keypoint can be seen; None where the data set does not say."""
    mano: ManoLabel | None = None
    vertices: np.ndarray | None = None
    """(778, 3) of MANO, metres, camera frame."""
    bbox: np.ndarray | None = None
    """(4,) x, y, w, h px as the data set gives it."""

    @property
    def box(self) -> np.ndarray:
        """(4,) x, y, w, h px: the data set's box, else the tight one around the labelled keypoints."""
        return tight_box(self.keypoints_px[self.valid]) if self.bbox is None else self.bbox

    def index_entry(self, folder: Path) -> dict[str, Any]:
        """The hand as an entry of the index that `maskhand evaluate` reads, in `folder`."""
        millimetres = None if self.keypoints is None else 1000 * self.keypoints
        return {
            'image': os.path.relpath(self.image, folder),
            'source': self.source,
            'sequence': self.sequence,
            'handedness': self.side,
            'bbox': _plain(self.box, 2),
            'keypoints_2d': _plain(self.keypoints_px, 3),
            'keypoints_valid': self.valid.tolist(),
            'keypoints_visible': None if self.visible is None else self.visible.tolist(),
            'keypoints_3d_mm': _plain(millimetres, 3),
            'camera_K': _plain(self.K, 6),
        }


def _plain(array: np.ndarray | None, digits: int) -> list | None:
    """Nested lists with null for NaN; None for None."""
    if array is None:
        return None
    array = np.round(np.asarray(array, float), digits)
    return np.where(np.isnan(array), None, array).tolist()


def existing(path: Path | str, fix: str) -> Path:
    """The path as a Path; CommandError with the fix if nothing is there."""
    path = Path(path)
    if not path.exists():
        raise CommandError(f'there is no {path}', fix)
    return path


def read_json(path: Path | str, fix: str) -> Any:
    """What the JSON file holds; CommandError with the fix if it is not there."""
    return json.loads(existing(path, fix).read_text())
