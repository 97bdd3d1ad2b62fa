"""One hand in a calibrated pair of images: both views in one world frame, and the distance between them.

A pair's world comes in a unit of its own (a checkerboard's square), `unit` metres long; hands come in metres.
Frames are a leading axis of F, the two views one of 2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import Camera, procrustes_align


@dataclass(frozen=True)
class StereoCamera:
    """One of two calibrated cameras: `rotation` (3, 3) and `translation` (3,), world units, take points of
    the world into the camera's frame; `video` is the file of its images."""

    intrinsics: Camera
    rotation: np.ndarray
    translation: np.ndarray
    video: Path | None = None

    def to_world(self, points: np.ndarray, unit: float) -> np.ndarray:
        """Points (..., 3) of the camera's frame, metres, in the world, units."""
        return (points / unit - self.translation) @ self.rotation

    @property
    def place(self) -> np.ndarray:
        """(3,) of the camera in the world, units."""
        return -self.rotation.T @ self.translation


@dataclass(frozen=True)
class HandView:
    """One hand as found in one view: `wrist` (3,) and `keypoints` (21, 3) metres in the camera's frame,
    `keypoints_px` (21, 2), `side` LEFT or RIGHT."""

    wrist: np.ndarray
    keypoints: np.ndarray
    keypoints_px: np.ndarray
    side: int


def read_cameras(folder: Path) -> list[StereoCamera]:
    """The two StereoCameras of a folder's calibration.json; CommandError if it is not as `maskhand
    evaluate-stereo --help` says."""
    path = Path(folder) / 'calibration.json'
    entries = json.loads(path.read_text())
    if len(entries) != 2:
        raise CommandError(f'{path} has {len(entries)} cameras', 'give it two')
    try:
        return [
            StereoCamera(
                Camera(
                    np.array(entry['camera_K']),
                    entry['image_size'][0],
                    entry['image_size'][1],
                    np.array(entry['distortion']),
                ),
                np.array(entry['world_to_cam_R'], float),
                np.array(entry['world_to_cam_t'], float),
                Path(folder) / Path(entry['video']).name,
            )
            for entry in entries
        ]
    except KeyError as error:
        raise CommandError(
            f'{path} lacks {error}', '`maskhand evaluate-stereo --help` gives the format'
        ) from error


def common_unit(cameras: list[StereoCamera], wrists: np.ndarray) -> float:
    """Metres in a world unit, by the wrists (F, 2, 3) in the cameras' frames, metres.

    Seen from the same point, the cameras lie apart by the difference of the two wrists along the world's
    axes: in metres, where the calibration has it in units. Each frame so measures the baseline, and the
    median of them is taken: the unit with the least absolute error along it.
    """
    first, second = (wrists[:, k] @ camera.rotation for k, camera in enumerate(cameras))
    baseline = cameras[1].place - cameras[0].place
    return float(np.median((first - second) @ baseline) / (baseline @ baseline))


def triangulate(cameras: list[StereoCamera], pixels: np.ndarray) -> np.ndarray:
    """Points (F, N, 3), world units, that are seen at `pixels` (F, 2, N, 2): linear triangulation on
    undistorted pixels (cv2.triangulatePoints). NaN where a lens model has no inverse."""
    flat = [camera.intrinsics.unproject_rays(pixels[:, k])[:, :2].T for k, camera in enumerate(cameras)]
    matrices = [np.column_stack([camera.rotation, camera.translation]) for camera in cameras]
    points = cv2.triangulatePoints(*matrices, *flat)
    points[:, ~np.isfinite(flat).all((0, 1))] = np.nan
    return (points[:3] / points[3]).T.reshape(len(pixels), -1, 3)


class Pair:
    """Hands of one system in both views: `views` holds a list [HandView or None] of T images for each view.

    F of them show the hand in both views; figures are (T,), NaN in the others.
    """

    def __init__(self, cameras: list[StereoCamera], views: list[list[HandView | None]]) -> None:
        if len(views[0]) != len(views[1]):
            raise CommandError(
                f'the views have {len(views[0])} and {len(views[1])} images', 'give synchronised videos'
            )
        self._cameras, self._views = cameras, views
        self._frames = [k for k, pair in enumerate(zip(*views, strict=True)) if all(pair)]
        if not self._frames:
            raise CommandError('no image shows the hand in both views', 'check that the views go together')
        wrists, keypoints, self._pixels = (
            np.array([[getattr(view[k], name) for view in views] for k in self._frames])
            for name in ('wrist', 'keypoints', 'keypoints_px')
        )
        self.unit = common_unit(cameras, wrists)
        """Metres"""
        self._depth = wrists[..., 2].mean(1)
        self._wrists, self._hands = self._in_world(wrists), self._in_world(keypoints)

    def _in_world(self, points: np.ndarray) -> np.ndarray:
        """Points (F, 2, ..., 3) of the cameras' frames, metres, along the world's axes, metres."""
        return self.unit * np.stack(
            [camera.to_world(points[:, k], self.unit) for k, camera in enumerate(self._cameras)], 1
        )

    def _figure(self, values: np.ndarray, frames: slice | np.ndarray = slice(None)) -> np.ndarray:
        """(T,) of values (F,), or of those of some of the F `frames`."""
        figure = np.full(len(self._views[0]), np.nan)
        figure[np.array(self._frames)[frames]] = values
        return figure

    def counts(self) -> dict[str, int]:
        """In how many images both, one and none of the views have the hand, and in how many of the first
        they tell different sides."""
        seen = np.array([[hand is not None for hand in view] for view in self._views]).sum(0)
        sides = np.array([[view[k].side for view in self._views] for k in self._frames])
        counts = {
            name: int((seen == number).sum()) for name, number in (('both', 2), ('one', 1), ('none', 0))
        }
        return {**counts, 'sides_differ': int((sides[:, 0] != sides[:, 1]).sum())}

    def between(self) -> dict[str, np.ndarray]:
        """{figure: (T,)} of one view from the other: wrist and mean keypoint as shares of the mean depth;
        millimetres after the best similarity, and from keypoint 0 along the world's axes."""
        first, second = self._hands[:, 0], self._hands[:, 1]
        from_root = (first - first[:, :1]) - (second - second[:, :1])
        figures = {
            'wrist': np.linalg.norm(self._wrists[:, 0] - self._wrists[:, 1], axis=-1) / self._depth,
            'keypoints': _mean_length(first - second) / self._depth,
            'pa_mpjpe_mm': 1e3 * _mean_length(procrustes_align(first, second) - second),
            'mpjpe_mm': 1e3 * _mean_length(from_root),
        }
        return {name: self._figure(values) for name, values in figures.items()}

    def triangulated(self) -> np.ndarray:
        """(T, 21, 3) world units: where both views' 2D keypoints meet."""
        points = np.full((len(self._views[0]), 21, 3), np.nan)
        points[self._frames] = triangulate(self._cameras, self._pixels)
        return points

    def against(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """{figure: (T,)} of each view from triangulated `points` (T, 21, 3), world units: mean keypoint as a
        share of the depth, millimetres after the best similarity."""
        truth = self.unit * points[self._frames]
        known = np.all(np.isfinite(truth), (1, 2))
        truth, figures = truth[known], {}
        for view in (0, 1):
            hands = self._hands[known, view]
            apart = _mean_length(hands - truth) / self._depth[known]
            aligned = 1e3 * _mean_length(procrustes_align(hands, truth) - truth)
            figures[f'view_{view}'] = self._figure(apart, known)
            figures[f'view_{view}_pa_mm'] = self._figure(aligned, known)
        return figures


def _mean_length(vectors: np.ndarray) -> np.ndarray:
    """(F,) of vectors (F, N, 3)."""
    return np.linalg.norm(vectors, axis=-1).mean(1)
