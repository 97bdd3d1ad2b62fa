"""Refined hands of one track: smoothed, put together anew, with short gaps filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from maskhand_ros.geometry import (
    MIRROR_X,
    matrix_to_quaternion,
    mirror_rotation,
    quaternion_to_matrix,
)
from maskhand_ros.labelling.assembled_hand import assembled
from maskhand_ros.labelling.fixed_interval import MIN_VALUES, Smoothed, smooth
from maskhand_ros.labelling.records import FrameLabels, HandLabels
from maskhand_ros.labelling.skeleton_fit import PersonShape, rotations_of, weights_of
from maskhand_ros.labelling.tracks import Track
from maskhand_ros.labelling.wrist_position import MIN_DEPTH, placed
from maskhand_ros.skeleton import LEFT

FILL_GAP = 0.25
"""Maximum seconds between two measurements of a hand for the frames between them to be filled in."""
_GROUPS = ([0], *([3 * finger + joint for joint in (1, 2, 3)] for finger in range(5)))
"""Joints that are smoothed together: the wrist, and each finger."""


class TrackSmoother:
    """Refined hands of one Track: `()` gives (row, HandLabels) of its frames and of the filled ones."""

    def __init__(
        self,
        track: Track,
        shape: PersonShape,
        frames: Sequence[FrameLabels],
        seconds: np.ndarray,
        mirrored: bool,
    ) -> None:
        self._track, self._shape, self._frames = track, shape, frames
        self._seconds, self._mirrored = seconds, mirrored
        self._times, self._weights = seconds[track.rows], weights_of(track.hands)
        self._flip = MIRROR_X if track.side == LEFT else np.ones(3)

    def __call__(self) -> list[tuple[int, HandLabels]]:
        track = self._track
        if len(track.hands) < MIN_VALUES:
            return [
                (row, replace(hand, track_id=track.id, handedness_probability=track.side_probability))
                for row, hand in zip(track.rows.tolist(), track.hands, strict=True)
            ]
        rows, before = _with_short_gaps(track.rows, self._seconds)
        times = self._seconds[rows]
        rotations, angle_variance = self._rotations(times, before)
        relative = self._shape.keypoints(rotations) * self._flip
        positions, position_variance = self._positions(times, before, relative)
        if track.side == LEFT:
            rotations = mirror_rotation(rotations)
        hands = []
        for k, row in enumerate(rows):
            start, end = track.hands[before[k]], track.hands[min(before[k] + 1, len(track.hands) - 1)]
            if row == track.rows[before[k]]:
                hand = start
            else:
                share = (times[k] - self._times[before[k]]) / np.diff(self._times)[before[k]]
                added = angle_variance[k], position_variance[k]
                hand = _between(start, end, share, relative[k], *added)
            hand = replace(hand, track_id=track.id, handedness_probability=track.side_probability)
            parts = rotations[k], relative[k], positions[k], self._frames[row].intrinsics
            hands.append((row, assembled(hand, self._shape, *parts, self._mirrored)))
        return hands

    def _rotations(self, times: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, 16, 3, 3) at `times` (N,), and the variances (N, 2), rad^2, that gaps add to the
        wrist's and to the fingers' angles. `before` (N,): index of the last measurement."""
        quaternions = _continuous(matrix_to_quaternion(rotations_of(self._track.hands)))
        smoothed, variances = np.empty((len(times), 16, 4)), []
        for joints in _GROUPS:
            channels = quaternions[:, joints].reshape(len(quaternions), -1)
            signal = smooth(self._times, channels, self._weights)
            smoothed[:, joints] = signal.at(times).reshape(len(times), -1, 4)
            variances.append(4 * self._gap_variance(signal, times, before))  # an angle is twice its half
        return quaternion_to_matrix(smoothed), np.stack([variances[0], np.mean(variances[1:], 0)], 1)

    def _positions(
        self, times: np.ndarray, before: np.ndarray, relative: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Wrists (N, 3) at `times` (N,) in metres, NaN where the scale is unknown, and the variances (N, 2)
        that gaps add across the viewing ray and along it, as shares of the distance. `relative` (N, 21, 3):
        keypoints from the wrist."""
        hands = self._track.hands
        if any(hand.wrist_position is None for hand in hands):
            return np.full((len(times), 3), np.nan), np.zeros((len(times), 2))
        position = placed(hands, relative[times == self._times[before]])
        depth = np.maximum(position[:, 2:], MIN_DEPTH)
        across = smooth(self._times, position[:, :2] / depth, self._weights)
        along = smooth(self._times, np.log(depth), self._weights)
        z = np.exp(along.at(times))
        variances = [self._gap_variance(signal, times, before) for signal in (across, along)]
        return np.concatenate([across.at(times) * z, z], 1), np.stack(variances, 1)

    def _gap_variance(self, signal: Smoothed, times: np.ndarray, before: np.ndarray) -> np.ndarray:
        after = np.minimum(before + 1, len(self._times) - 1)
        gap = np.maximum(self._times[after] - self._times[before], 1e-9)
        return signal.bridge_variance(times - self._times[before], gap)


def _with_short_gaps(rows: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N,) of a track with those in its gaps of up to FILL_GAP seconds; and for each the index (N,) of
    the last one of `rows` that is not after it."""
    inside = [
        np.arange(start, end if seconds[end] - seconds[start] <= FILL_GAP else start + 1)
        for start, end in zip(rows[:-1], rows[1:], strict=True)
    ]
    every = np.concatenate([*inside, rows[-1:]])
    return every, np.searchsorted(rows, every, side='right') - 1


def _between(
    start: HandLabels,
    end: HandLabels,
    share: float,
    relative: np.ndarray,
    angle_variance: np.ndarray,
    position_variance: np.ndarray,
) -> HandLabels:
    """A hand that was not measured, `share` of the way from one hand to the next: the more uncertain values
    of the two, with the variances that the gap adds. `relative` (21, 3): keypoints from the wrist, m."""
    stddev = np.maximum(start.kp_stddev, end.kp_stddev)
    arms = np.linalg.norm(relative - relative[0], axis=1)[:, None]
    changes: dict[str, Any] = {
        'kp_stddev': np.sqrt(stddev**2 + arms**2 * angle_variance.sum()),
        'kp2d': (1 - share) * start.kp2d + share * end.kp2d,
    }
    if start.kp3d is not None and end.kp3d is not None:
        changes['kp3d'] = (1 - share) * start.kp3d + share * end.kp3d
    if start.wrist_position is not None and end.wrist_position is not None:
        position = (1 - share) * start.wrist_position + share * end.wrist_position
        changes['wrist_position'] = position
        covariances = np.stack([np.asarray(hand.wrist_covariance) for hand in (start, end)])
        worse = covariances[int(np.trace(covariances, axis1=1, axis2=2).argmax())].copy()
        distance = float(np.linalg.norm(position))
        ray = np.outer(position, position) / distance**2
        across, along = position_variance * distance**2
        worse[:3, :3] += across * (np.eye(3) - ray) + along * ray
        worse[3:, 3:] += angle_variance[0] * np.eye(3)
        changes['wrist_covariance'] = worse
    return replace(
        start,
        observed=False,
        presence=min(start.presence, end.presence),
        confidence=min(start.confidence, end.confidence),
        operator=start.operator and end.operator,
        kp_visibility=None,
        **changes,
    )


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """Quaternions (T, J, 4) with signs such that neighbours in time are near."""
    turned = np.sign((quaternions[1:] * quaternions[:-1]).sum(-1))
    signs = np.concatenate([np.ones((1, quaternions.shape[1])), np.cumprod(np.where(turned < 0, -1, 1), 0)])
    return np.asarray(quaternions * signs[..., None])
