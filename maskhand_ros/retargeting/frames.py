"""Frames between operator and robot."""

from __future__ import annotations

import numpy as np

CAMERA_TO_WORLD = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""(3, 3) optical frame (x right, y down, z forward) of a camera that the operator faces, in the operator's
own frame (REP-103: x forward, y left, z up): nearer to the camera is forward, right in the image is left."""
