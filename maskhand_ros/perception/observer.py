"""Observations: what the landmark network finds in the crops of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from maskhand_ros.crop_camera import CropCamera
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.association import disagreement, is_known
from maskhand_ros.perception.crop import crop_hand, crop_to_camera, roi_from_keypoints
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.device import Arrays, Device
from maskhand_ros.perception.side import SURE, SideComparison
from maskhand_ros.perception.track import Observation
from maskhand_ros.perception.types import HandRoi
from maskhand_ros.skeleton import LEFT, RIGHT

_NEW_PRESENCE = 0.85
"""Minimum mean presence of a new hand over three crops. On photographs knees, elbows and fingertips pass the
threshold in one crop, but seldom in all."""
_CHECK_ROLL = 0.35
"""Rotation (rad) of the second and third of these crops against the first, either way."""


class Observer:
    """Crops hands and runs the landmark network on the crops, the hands of an image beside each other on a
    Device (default: one thread). A tracked hand is present from `threshold` up; a new one must also pass
    _NEW_PRESENCE."""

    def __init__(
        self,
        cue_network: CueNetwork,
        compare_sides: SideComparison,
        threshold: float = 0.5,
        device: Device | None = None,
    ) -> None:
        self._cues, self._compare_sides, self.threshold = cue_network, compare_sides, threshold
        self._device = device or Device()

    def __call__(self, rgb: np.ndarray, camera: Camera, rois: Sequence[HandRoi]) -> list[Observation]:
        """An Observation of each HandRoi. A HandRoi of unknown side is cropped as a right hand."""
        if not rois:
            return []
        mirrors = [roi.side == LEFT for roi in rois]
        crop_cameras: dict[int, CropCamera] = {}

        def look(chosen: Arrays) -> Arrays:
            crops = []
            for k in chosen['roi'].tolist():
                crop, crop_cameras[k] = crop_hand(rgb, camera, rois[k], mirrors[k])
                crops.append(crop)
            return self._cues(np.stack(crops))

        parts = self._device.share(look, {'roi': np.arange(len(rois))})
        hands = [
            {name: values[k : k + 1] for name, values in cues.items()}
            for cues in parts
            for k in range(len(cues['presence']))
        ]
        observations = []
        for k, (mirror, one) in enumerate(zip(mirrors, hands, strict=True)):
            crop_camera = crop_cameras[k]
            right = float(one['handedness'][0, 0])
            observations.append(
                Observation(
                    LEFT if mirror else RIGHT,
                    crop_camera,
                    one,
                    crop_to_camera(one['landmarks'][0], crop_camera, camera, mirror),
                    1 - right if mirror else right,
                )
            )
        return observations

    def hand_at(
        self, rgb: np.ndarray, camera: Camera, roi: HandRoi, others: Sequence[Observation]
    ) -> Observation | None:
        """The hand at a given `roi`; None if there is none, or if it is one of the `others`.

        The region is cropped twice: the first crop estimates side and position, the second uses them. A side
        given in the HandRoi is kept. Otherwise a side less certain than SURE is settled by a crop for the
        opposite side and SideComparison.
        """
        (first,) = self(rgb, camera, [roi])
        if first.presence < self.threshold:
            return None
        side = roi.side or (RIGHT if first.right_probability > 0.5 else LEFT)
        (second,) = self(rgb, camera, [roi_from_keypoints(first.keypoints_px, side)])
        right = (first.right_probability + second.right_probability) / 2
        second = replace(second, right_probability=right)
        if not self._is_new_hand(second, others):
            return None
        if roi.side is None and second.probability_of(second.side) < SURE:
            return self._on_likelier_side(rgb, camera, first, second, others)
        return second

    def _on_likelier_side(
        self,
        rgb: np.ndarray,
        camera: Camera,
        first: Observation,
        second: Observation,
        others: Sequence[Observation],
    ) -> Observation:
        """The likelier of two Observations of one hand: `second`, or a new one cropped for the opposite
        side. `first` gives the position of the new crop."""
        opposite = LEFT if second.side == RIGHT else RIGHT
        (other,) = self(rgb, camera, [roi_from_keypoints(first.keypoints_px, opposite)])
        if not self._is_new_hand(other, others):
            return second
        left, right = (other, second) if opposite == LEFT else (second, other)
        probability = self._compare_sides(left, right, second.right_probability, rgb, camera)
        return replace(right if probability > 0.5 else left, right_probability=probability)

    def best_of_three(
        self,
        hand: Observation,
        rgb: np.ndarray,
        camera: Camera,
        others: Sequence[Observation],
        certain: bool = False,
    ) -> Observation | None:
        """The Observation with the highest presence of three crops of a proposed `hand`, its own and two
        rotated ones, with their `disagreement`. Crops that show one of the `others` are left out. None if the
        mean presence of the three is below _NEW_PRESENCE; a `certain` hand needs no such check.
        """
        region = roi_from_keypoints(hand.keypoints_px, hand.side)
        rotated = [replace(region, roll=region.roll + turn) for turn in (-_CHECK_ROLL, _CHECK_ROLL)]
        crops = [hand, *self(rgb, camera, rotated)]
        if not certain and np.mean([crop.presence for crop in crops]) < _NEW_PRESENCE:
            return None
        possible = [hand, *(crop for crop in crops[1:] if not is_known(crop, others))]
        best = max(possible, key=lambda crop: crop.presence)
        return replace(best, right_probability=hand.right_probability, disagreement=disagreement(crops))

    def _is_new_hand(self, observation: Observation, others: Sequence[Observation]) -> bool:
        return observation.presence >= self.threshold and not is_known(observation, others)
