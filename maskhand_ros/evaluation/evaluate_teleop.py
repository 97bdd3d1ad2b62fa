"""Retargeting to the Allegro hand on a real video, against its limits; and from MediaPipe's landmarks.

    maskhand evaluate-teleop --video me.mp4 [--peer mediapipe] [--json FILE]

Prints the figures beside each other and exits 1 where ours miss a limit. Both are calibrated with their own
keypoints of the first half second of a flat hand. The hand is at rest where the optical flow on it is under a
pixel a frame; a pinch is where the tips are within 30 mm. MediaPipe gives no wrist frame and no uncertainty:
the axes come from a rigid fit of its palm to the mean hand, and every keypoint gets 8 mm.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.errors import CommandError, FieldError
from maskhand_ros.evaluation import peer
from maskhand_ros.evaluation.still_stretches import FLOW, LEAST, hands_with_flow
from maskhand_ros.geometry import C_RIGHT, kabsch
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.retargeting import Retargeter
from maskhand_ros.teleoperation.retarget_log import RetargetLog
from maskhand_ros.video_reader import VideoReader

PALM = [0, 5, 9, 13, 17]
"""Keypoints that keep their distances."""
CALIBRATION_SECONDS = 0.5
PEER_STDDEV = 0.008
"""Standard deviation that MediaPipe's landmarks get, metres."""
LIMITS = {
    'retargeting p99, ms': 3.0,
    'tip error, mm': 32.0,
    'pinch gap, mm': 3.0,
    'fastest joint, rad/s': 8.0,
    'rest noise, degrees': 0.2,
}
"""What ours must not exceed."""


@dataclass(frozen=True)
class Track:
    """Keypoints of one hand over T frames: (T, 21, 3) m in the wrist frame, NaN where there is none; standard
    deviations (T, 21) m."""

    keypoints: np.ndarray
    stddev: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand evaluate-teleop`."""
    parser.add_argument(
        '--video', required=True, metavar='FILE', help='a right hand that moves, rests, pinches'
    )
    parser.add_argument('--peer', choices=['mediapipe'], help="retarget MediaPipe's landmarks too")
    parser.add_argument('--json', metavar='FILE', help='write the figures there')
    cli_arguments.add_pipeline_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Both through the same retargeting; returns the exit status."""
    pipeline = cli_arguments.build_offline_pipeline(args, max_hands=1)
    watched = list(hands_with_flow(pipeline, args.video))
    if not any(hand for hand, _ in watched):
        raise CommandError(f'no hand in {args.video}', 'give a video of a right hand')
    empty = np.full((21, 3), np.nan)
    ours = Track(
        np.array([empty if hand is None else hand.keypoints_wrist for hand, _ in watched]),
        np.array([empty[:, 0] if hand is None else hand.keypoint_stddev for hand, _ in watched]),
    )
    still = np.array([flow < FLOW for _, flow in watched])
    with VideoReader(args.video) as video:
        rate = video.rate
    report = {'video': str(args.video), 'ours': retarget(ours, still, rate)}
    if args.peer:
        report['mediapipe'] = retarget(mediapipe_track(args.video), still, rate)
    kept = report_figures(report)
    if args.json:
        files.write_json(args.json, report)
    return 0 if kept else 1


def retarget(track: Track, still: np.ndarray, rate: float) -> dict[str, Any]:
    """Figures of a Track at `rate` frames/s; `still` (T,): whether the hand rests."""
    inner = Retargeter.shipped()
    known = np.isfinite(track.keypoints).all((1, 2))
    calibrated = calibrate(inner, track.keypoints, known, rate)
    log = RetargetLog(inner)
    called, last = [], None
    for frame in np.flatnonzero(known):
        log(track.keypoints[frame], track.stddev[frame], (1 if last is None else frame - last) / rate)
        called.append(frame)
        last = frame
    return {'calibrated at frame': calibrated, **log.figures(_stretches(still[called]))}


def calibrate(retargeter: Retargeter, keypoints: np.ndarray, known: np.ndarray, rate: float) -> int | None:
    """Calibrates with the first flat half second of `keypoints` (T, 21, 3); returns its first frame, None if
    there is none."""
    length = round(CALIBRATION_SECONDS * rate)
    for start in range(len(keypoints) - length + 1):
        if not known[start : start + length].all():
            continue
        try:
            retargeter.calibrate(keypoints[start : start + length])
        except FieldError:
            continue
        return start
    return None


def mediapipe_track(path: str | Path) -> Track:
    """MediaPipe's world landmarks on the frames of a video, in our wrist frame."""
    with tempfile.TemporaryDirectory() as folder, VideoReader(path) as video:
        names = []
        for number, (rgb, _) in enumerate(video):
            names.append(Path(folder) / f'{number:06d}.png')
            files.write_image(names[-1], rgb)
        hands, _ = peer.ask_mediapipe(names, max_hands=1, threshold=0.5, video=True)
    flat = HandModel.load(keypoint_set='mediapipe').flat_hands().keypoints[0]
    palm = ((flat - flat[0]) @ C_RIGHT)[PALM]
    keypoints = np.full((len(names), 21, 3), np.nan)
    for number, name in enumerate(names):
        if hands[name]:
            points = hands[name][0].keypoints_wrist
            keypoints[number] = points @ kabsch(points[PALM], palm)
    return Track(keypoints, np.full(keypoints.shape[:2], PEER_STDDEV))


def report_figures(report: dict[str, Any]) -> bool:
    """Prints the figures with their limits; returns whether ours keep them."""
    names = [name for name in ('ours', 'mediapipe') if name in report]
    columns = {name: _figures(report[name]) for name in names}
    print(f'{"":36}' + ''.join(f'{name:>12}' for name in names) + f'{"limit":>10}')
    kept = True
    for figure, value in columns['ours'].items():
        limit = LIMITS.get(figure)
        missed = limit is not None and not value <= limit
        kept = kept and not missed
        values = ''.join(f'{columns[name][figure]:12.2f}' for name in names)
        print(f'{figure:36}{values}{"" if limit is None else f"{limit:10g}"}{"  MISSED" if missed else ""}')
    return kept


def _figures(found: dict[str, Any]) -> dict[str, float]:
    rest, pinch = found['rest_noise_degrees'], found['pinch_gap_mm']
    return {
        'frames': found['frames'],
        'calibrated at frame': np.nan
        if found['calibrated at frame'] is None
        else found['calibrated at frame'],
        'retargeting p50, ms': found['retargeting_ms']['p50'],
        'retargeting p99, ms': found['retargeting_ms']['p99'],
        'tip error, mm': found['tip_error_mm']['mean'],
        'pinch gap, mm': pinch['mean'],
        'pinch gap p50, mm': pinch['p50'],
        'pinch gap p90, mm': pinch['p90'],
        'pinch frames': pinch['frames'],
        'fastest joint, rad/s': found['joint_speed_rad_s'],
        'rest noise, degrees': rest['beside_line_median'],
        'rest noise, mean, degrees': rest['beside_line_mean'],
        'noise between frames, degrees': rest['between_frames_mean'],
        'joint jerk, rad/s^3': found['joint_jerk_rad_s3'],
        'fingers held': found['held_finger_frames'],
    }


def _stretches(still: np.ndarray) -> list[slice]:
    """Stretches of at least LEAST frames in a row that are `still` (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
    return [slice(a, b) for a, b in edges.reshape(-1, 2) if b - a >= LEAST]
