"""Jitter on a real video, where its hand holds still.

There is no ground truth: the hand counts as still where the optical flow on it is small (DIS, Kroeger et al.
2016), which does not depend on what is measured. Even a hand held still drifts: jitter is the deviation from
a straight line in each stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.evaluation.video_measures import about_the_ray
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame, Hand
from maskhand_ros.video_reader import VideoReader

FLOW = 1.0
"""Pixels a frame at 1280 x 720, that nine tenths of the hand stay under."""
LEAST = 10
"""Frames in a row that make a stretch."""
FIELD_OF_VIEW = 60.0
"""Degrees across, for a video of a camera that nobody has calibrated."""


@dataclass
class Stretches:
    """Still stretches of a video: the jitter of each about a straight line."""

    frames: int = 0
    keypoints_mm: list[float] = field(default_factory=list)
    """Of the keypoints about the wrist."""
    lateral_mm: list[float] = field(default_factory=list)
    """Of the wrist across the viewing ray."""
    range: list[float] = field(default_factory=list)
    """Of the wrist along it, over its distance."""


def still_stretches(pipeline: HandPipeline, path: Path | str) -> Stretches:
    """Run a pipeline for one hand over a video file; CommandError if it cannot be read."""
    found = Stretches()
    stretch: list = []
    for hand, flow in hands_with_flow(pipeline, path):
        if hand is not None and flow < FLOW and (not stretch or stretch[-1].id == hand.id):
            stretch.append(hand)
            continue
        _add(found, stretch)
        stretch = []
    _add(found, stretch)
    return found


def hands_with_flow(pipeline: HandPipeline, path: Path | str) -> Iterator[tuple[Hand | None, float]]:
    """For each frame of a video the most confident hand, and the optical flow on it, pixels a frame at
    1280 x 720 that nine tenths of the hand stay under."""
    flow_of, before = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST), None
    pipeline.reset()
    with VideoReader(path) as video:
        width, height = video.width, video.height
        focal = width / 2 / np.tan(np.deg2rad(FIELD_OF_VIEW) / 2)
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        camera = Camera(K, width, height)
        for rgb, time_ns in video:
            hands = pipeline.process(Frame(rgb, time_ns, camera))
            hand = max(hands, key=lambda hand: hand.confidence, default=None)
            grey = cv2.cvtColor(cv2.resize(rgb, (640, 360), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
            flow = np.inf
            if hand is not None and before is not None:
                moved = 2 * np.linalg.norm(flow_of.calc(before, grey, None), axis=2)
                x, y, w, h = np.ceil(np.array(hand.roi) * np.tile([640 / width, 360 / height], 2)).astype(int)
                flow = float(np.quantile(moved[y : y + h, x : x + w], 0.9))
            before = grey
            yield hand, flow


def _add(found: Stretches, hands: list[Hand]) -> None:
    count = len(hands)
    if count < LEAST:
        return
    keypoints, along, across = about_the_ray(hands)
    found.frames += count
    found.keypoints_mm.append(1e3 * beside_line(keypoints).mean())
    found.lateral_mm.append(1e3 * float(beside_line(across)))
    found.range.append(float(beside_line(along[:, None]) / along.mean()))


def beside_line(points: np.ndarray) -> np.ndarray:
    """Standard deviation (...) of `points` (T, ..., D) beside the straight line, over T, that fits them
    best."""
    count = len(points)
    basis = np.linalg.qr(np.stack([np.ones(count), np.arange(count)], 1))[0]
    flat = points.reshape(count, -1)
    rest = (flat - basis @ (basis.T @ flat)).reshape(points.shape)
    return np.sqrt(np.square(rest).sum(-1).sum(0) / (count - 2))
