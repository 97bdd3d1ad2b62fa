"""Hands of public data sets with MANO labels, as training crops in the run time's crop camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from maskhand_ros.data_engine.samples import Sample, jittered_roi
from maskhand_ros.datasets.mano_mesh import ManoMesh
from maskhand_ros.datasets.record import LabelledHand
from maskhand_ros.files import ImageError, read_image
from maskhand_ros.geometry import CROP_SIZE, MIRROR_X, Camera, mirror_rotation
from maskhand_ros.perception.crop import crop_hand
from maskhand_ros.skeleton import Handedness

DISAGREEMENT = 0.01
"""Metres. Where the labelled keypoints lie farther than this, on average, from those of the labelled
parameters, one of the two is wrong."""
NEAREST = 0.05
"""Metres. No keypoint of a usable label is nearer to the camera."""


class LabelledCrops:
    """LabelledHands to (crop, truth) pairs, by a user's MANO; `left_out` counts those that gave none, by
    reason."""

    def __init__(self, hand_model: Path) -> None:
        """`hand_model`: npz of `maskhand convert-mano`; CommandError or ValueError if it is none."""
        self._mesh = ManoMesh(hand_model)
        self.hand_name = self._mesh.hand.name
        self.left_out: Counter[str] = Counter()

    def __call__(self, hands: Iterable[LabelledHand], rng: np.random.Generator) -> Iterator[Sample]:
        """Yields crops (224, 224, 3) RGB and truth as image_shards.py has it, of those of `hands` that have a
        label."""
        for hand in hands:
            found = self._placed(hand)
            if isinstance(found, str):
                self.left_out[found] += 1
                continue
            try:
                image = read_image(hand.image)
            except ImageError:
                self.left_out['image cannot be read'] += 1
                continue
            yield self._crop(image, hand, *found, rng)

    def _placed(self, hand: LabelledHand) -> tuple[np.ndarray, np.ndarray, np.ndarray] | str:
        """(rotations (16, 3, 3) and keypoints (21, 3) from the wrist, both of a right hand, in a mirror for a
        left one; the wrist (3,) in the real camera's frame), or what is amiss."""
        rotations = self._mesh.right_rotations(hand)
        if rotations is None or hand.K is None:
            return 'no MANO label or camera'
        betas = hand.mano.betas[None]
        right = self._mesh.hand(betas, rotations[None, 0], rotations[None, 1:], vertices=False).keypoints[0]
        keypoints = right * MIRROR_X if hand.side == 'left' else right
        wrist = hand.mano.wrist
        if hand.keypoints is not None:
            gap = (hand.keypoints - keypoints)[hand.valid]
            wrist = gap.mean(0) if wrist is None else wrist
            if np.linalg.norm(gap - wrist, axis=1).mean() > DISAGREEMENT:
                return 'parameters and keypoints disagree'
        if wrist is None:
            return 'no place'
        if (keypoints + wrist)[:, 2].min() < NEAREST:
            return 'behind the camera'
        return rotations, right, wrist

    def _crop(
        self,
        image: np.ndarray,
        hand: LabelledHand,
        rotations: np.ndarray,
        right: np.ndarray,
        wrist: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        camera = Camera(hand.K, image.shape[1], image.shape[0])
        left = hand.side == 'left'
        points = (right * MIRROR_X if left else right) + wrist
        roi = jittered_roi(camera.project(points), 'camera', rng, Handedness.named(hand.side))
        crop, crop_camera = crop_hand(image, camera, roi, mirror=left)
        turn, place = crop_camera.rotation, crop_camera.rotation @ wrist
        pixels = crop_camera.project(points)
        seen = hand.valid if hand.visible is None else hand.visible
        if left:  # the crop is mirrored, and so is all that is in it
            turn, place = mirror_rotation(turn), place * MIRROR_X
            pixels = np.stack([CROP_SIZE - 1 - pixels[:, 0], pixels[:, 1]], 1)
        return crop, {
            'global_orient': turn @ rotations[0],
            'hand_pose': rotations[1:],
            'betas': hand.mano.betas,
            'wrist': place,
            'focal': crop_camera.focal,
            'keypoints': right @ turn.T,
            'keypoints_px': pixels,
            'visible': seen & ((pixels > -0.5) & (pixels < CROP_SIZE - 0.5)).all(1),
        }
