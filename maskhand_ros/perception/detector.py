"""MediaPipe's palm detector (weights/palm_detector.onnx): hands in a View of an image, as HandRois."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.network_contract import DETECTOR_SIZE
from maskhand_ros.perception.crop import roll_of
from maskhand_ros.perception.device import Device
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.perception.views import View

_GRIDS = ((24, 2), (12, 6))
"""Cells per side and anchors per cell, in the order of the network's 2,016 rows."""
_WRIST, _MIDDLE_MCP = 0, 2
_ROI_SCALE, _ROI_SHIFT = 2.6, 0.5
"""MediaPipe's factor from the palm's box to the hand's square, and shift towards the fingers as a share of
the box."""


def _anchor_centres() -> np.ndarray:
    """(2016, 2) centre of each anchor, in 0..1 of the input."""
    centres = []
    for cells, repeats in _GRIDS:
        y, x = np.mgrid[:cells, :cells]
        centre = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / cells
        centres.append(np.repeat(centre, repeats, axis=0))
    return np.concatenate(centres)


def box_iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) x0 y0 x1 y1 with `boxes` (N, 4): (N,)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    area = np.prod(box[2:] - box[:2])
    return shared / np.maximum(area + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared, 1e-9)


def weighted_nms(rows: np.ndarray, scores: np.ndarray, overlap: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Merges rows (N, 18: box x0 y0 x1 y1, then points) that overlap: each group becomes its score-weighted
    mean.

    Returns the merged rows and their best scores, best first.
    """
    order = np.argsort(-scores)
    merged, best = [], []
    while order.size:
        near = box_iou(rows[order[0], :4], rows[order, :4]) > overlap
        near[0] = True
        group = order[near]
        merged.append(np.average(rows[group], axis=0, weights=scores[group]))
        best.append(scores[order[0]])
        order = order[~near]
    return np.array(merged).reshape(-1, rows.shape[1]), np.array(best)


class PalmDetector:
    """Palm detector. Best for palms about a fifth of the View wide that point up."""

    def __init__(self, path: Path, threshold: float = 0.5, device: Device | None = None) -> None:
        """Loads the network on a Device (default: the CPU); detections below `threshold` (0..1) are dropped.
        ModelError if it cannot be loaded."""
        self._network = (device or Device()).open(path, hands=1)  # one image, however many hands
        self._threshold = threshold
        self._anchors = _anchor_centres()

    def __call__(self, rgb: np.ndarray, view: View) -> list[HandRoi]:
        """HandRoi[] in a View of `rgb` (H, W, 3) uint8, best first, side unknown."""
        found = self._network.run({'image': cv2.dnn.blobFromImage(view.cut(rgb, DETECTOR_SIZE), 1 / 255)})
        boxes, logits = found['boxes'][0], found['scores'][0, :, 0]
        keep = logits > np.log(self._threshold / (1 - self._threshold))
        rows, scores = weighted_nms(
            self._decode(boxes[keep], self._anchors[keep]), 1 / (1 + np.exp(-logits[keep]))
        )
        return [
            self._roi(palm, score, view) for palm, score in zip(rows.reshape(-1, 9, 2), scores, strict=True)
        ]

    @staticmethod
    def _decode(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Network rows (N, 18) with their anchors (N, 2) to x0 y0 x1 y1 and 7 points in 0..1 of the input (N,
        18)."""
        pairs = boxes.reshape(-1, 9, 2) / DETECTOR_SIZE
        centre, half = pairs[:, 0] + anchors, pairs[:, 1] / 2
        points = pairs[:, 2:] + anchors[:, None]
        return np.concatenate([np.stack([centre - half, centre + half], 1), points], 1).reshape(-1, 18)

    @staticmethod
    def _roi(palm: np.ndarray, score: float, view: View) -> HandRoi:
        """HandRoi of a palm (9, 2) in 0..1 of the View: two box corners, then wrist, MCPs and thumb."""
        low, high, points = palm[0], palm[1], palm[2:]
        roll = roll_of(points[_MIDDLE_MCP] - points[_WRIST])
        edge = max(high - low)
        centre = (low + high) / 2 + _ROI_SHIFT * edge * np.array([np.sin(roll), -np.cos(roll)])
        return HandRoi(
            view.to_image(centre),
            float(_ROI_SCALE * edge * view.size_px),
            roll + view.roll,
            score=float(score),
        )
