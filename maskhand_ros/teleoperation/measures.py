"""Measures of a run of teleoperation: speed, errors, noise at rest. Arrays are of T frames, N joints."""

from __future__ import annotations

import numpy as np

CLOSED = 0.03
"""Distance of thumb tip and fingertip of the operator, m, below which they are taken to touch."""
STILL, STILL_FRAMES = 0.004, 10
"""Largest motion of a fingertip in a stretch of at least so many frames that counts as rest, m."""
SETTLING = 5
"""Frames at the start of a stretch that are left out: the robot is slower than the hand and arrives later."""


def joint_speed(joints: np.ndarray, seconds: np.ndarray) -> float:
    """Largest step of a joint over its time, rad/s; `joints` (T, N), `seconds` (T,)."""
    if len(joints) < 2:
        return 0.0
    return float(np.max(np.abs(np.diff(joints, axis=0)) / np.diff(seconds)[:, None]))


def joint_jerk(joints: np.ndarray, step: float) -> float:
    """Root mean square of the third derivative, rad/s^3, of `joints` (T, N) every `step` seconds."""
    if len(joints) < 4:
        return 0.0
    return float(np.sqrt(np.mean(np.diff(joints, 3, axis=0) ** 2)) / step**3)


def still_stretches(keypoints: np.ndarray, tips: np.ndarray) -> list[slice]:
    """Stretches of frames in which no tip of `keypoints` (T, 21, 3) moves further than STILL."""
    found, start = [], 0
    for end in range(1, len(keypoints) + 1):
        stretch = keypoints[start : end + 1, tips]
        if end < len(keypoints) and np.linalg.norm(stretch - stretch[0], axis=-1).max() <= STILL:
            continue
        if end - start >= STILL_FRAMES:
            found.append(slice(start, end))
        start = end
    return found


def rest_noise(joints: np.ndarray, stretches: list[slice]) -> dict[str, float]:
    """Noise of `joints` (T, N) rad at rest, in degrees: standard deviation beside the straight line of each
    stretch, mean over joints, median and mean over the stretches; and between neighbouring frames, from
    second differences, which slow motion does not count in."""
    beside, between = [], []
    for stretch in stretches:
        part = joints[stretch][SETTLING:]
        if len(part) < 5:
            continue
        time = np.linspace(-1, 1, len(part))
        line = np.polynomial.polynomial.polyfit(time, part, 1)
        rest = part - np.polynomial.polynomial.polyval(time, line).T
        beside.append(np.sqrt(np.sum(rest**2, 0) / (len(part) - 2)).mean())
        between.append(np.sqrt(np.mean(np.diff(part, 2, axis=0) ** 2, 0) / 6).mean())
    if not beside:
        return {'beside_line_median': np.nan, 'beside_line_mean': np.nan, 'between_frames_mean': np.nan}
    return {
        'beside_line_median': float(np.rad2deg(np.median(beside))),
        'beside_line_mean': float(np.rad2deg(np.mean(beside))),
        'between_frames_mean': float(np.rad2deg(np.mean(between))),
    }


def shares(values: np.ndarray, *percent: float) -> dict[str, float]:
    """{p50: ..., ...} of `values` without NaN; NaN where there are none."""
    known = values[np.isfinite(values)]
    return {f'p{p:g}': float(np.percentile(known, p)) if len(known) else np.nan for p in percent}
