"""Hands of a video, frame by frame, and the calibration from a flat hand."""

from __future__ import annotations

import argparse
import itertools
import pathlib
from dataclasses import dataclass

import numpy as np

from maskhand_ros import camera_arguments, cli_arguments
from maskhand_ros.errors import FieldError
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import TRACKED, Frame, Hand
from maskhand_ros.progress import progress
from maskhand_ros.retargeting import Retargeter
from maskhand_ros.skeleton import RIGHT
from maskhand_ros.teleoperation.pipeline_hands import operator_of
from maskhand_ros.video_reader import VideoReader

CALIBRATION_SECONDS = 0.5
"""Of a flat, still hand; shorter than for an operator who is asked for it, since a video was made before."""


@dataclass(frozen=True)
class WatchedFrame:
    """The hands of one frame; `operator`: the one that is followed."""

    stamp_ns: int
    hands: list[Hand]
    operator: Hand | None


@dataclass(frozen=True)
class Watched:
    """A video that was watched."""

    frames: list[WatchedFrame]
    camera: Camera | None
    faces: np.ndarray
    width: int
    height: int
    rate: float
    mirrored: bool


def watch(args: argparse.Namespace, path: str | pathlib.Path, camera: Camera | None) -> Watched:
    """Runs the pipeline over a video. `camera`: of the bundled clip; None: what `args` name."""
    pipeline = cli_arguments.build_offline_pipeline(args, mirrored_input=args.mirrored)
    frames = []
    with VideoReader(path) as video:
        camera = camera or camera_arguments.camera_from(args, video.width, video.height)
        total = min(filter(None, (video.frame_count, args.max_frames)), default=None)
        for rgb, stamp_ns in progress(itertools.islice(video, args.max_frames or None), total, 'frames'):
            # Without a calibration the arm follows by that of an ordinary webcam.
            known = camera or Camera.default(video.width, video.height)
            hands = pipeline.process(Frame(rgb=rgb, stamp_ns=stamp_ns, camera=known))
            frames.append(WatchedFrame(stamp_ns, hands, operator_of(hands, RIGHT)))
        return Watched(
            frames, camera, pipeline.hand_model.faces, video.width, video.height, video.rate, args.mirrored
        )


def calibrate(retargeter: Retargeter, watched: Watched) -> str:
    """Calibrates with the first CALIBRATION_SECONDS of a flat hand; returns what was done."""
    good = [frame for frame in watched.frames if frame.operator and frame.operator.state == TRACKED]
    reason = 'no hand'
    for first, frame in enumerate(good):
        keypoints = _start_of_one_hand(good[first:])
        if keypoints is None:
            continue
        try:
            retargeter.calibrate(keypoints)
        except FieldError as error:
            reason = str(error)
        else:
            return f'calibrated with the flat hand at {frame.stamp_ns * 1e-9:.1f} s, {len(keypoints)} frames'
    return f'not calibrated, scaling of a mean hand: {reason}'


def _start_of_one_hand(frames: list[WatchedFrame]) -> np.ndarray | None:
    """Keypoints (T, 21, 3) of the operator's hand in the first CALIBRATION_SECONDS of `frames`; None if they
    are shorter or the hand changes."""
    keypoints, hand = [], frames[0].operator
    for frame in frames:
        if hand is None or frame.operator is None or frame.operator.id != hand.id:
            return None
        keypoints.append(frame.operator.keypoints_wrist)
        if frame.stamp_ns - frames[0].stamp_ns >= CALIBRATION_SECONDS * 1e9:
            return np.stack(keypoints)
    return None
