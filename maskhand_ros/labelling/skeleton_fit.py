"""Shape of one person's hands over a clip: one hand length, one set of betas and one skeleton.

Rotations and keypoints are those of a right hand; left hands are mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskhand_ros.geometry import MIRROR_X, mirror_rotation
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.labelling.records import HandLabels
from maskhand_ros.labelling.tracks import Track
from maskhand_ros.perception.types import (
    SCALE_DEPTH,
    SCALE_LEARNED,
    SCALE_NONE,
    SCALE_PARAMETER,
    SCALE_POPULATION,
    ScaleSource,
)
from maskhand_ros.skeleton import JOINT_PARENTS, KEYPOINT_JOINT, LEFT

_BEST_SOURCES = SCALE_DEPTH, SCALE_LEARNED, SCALE_PARAMETER, SCALE_POPULATION, SCALE_NONE
"""Sources of a length, best first."""
_MEASURED_SHARE = 0.7
"""Weight of the measured skeleton against that of the hand model. Measured bones include the landmarks'
correction (refinement.landmark_shift), which is right on photographs and wrong on renders."""

PREVIOUS_KEYPOINT = np.array([0, *(0 if k % 4 == 1 else k - 1 for k in range(1, 21))])
"""(21,) keypoint at the other end of each keypoint's bone, towards the wrist."""
_BONE_JOINT = KEYPOINT_JOINT[PREVIOUS_KEYPOINT]
"""(21,) joint that turns the bone of each keypoint."""


@dataclass
class PersonShape:
    """Shape of a person's hands."""

    betas: np.ndarray
    """(10,)"""
    size: float
    """Scale factor of the hand model."""
    length: float
    """From wrist to middle fingertip of the hand model, metres."""
    measured_by_depth: bool
    """Whether the length is that of depth images."""
    bones: np.ndarray
    """(21, 3) m: from PREVIOUS_KEYPOINT to each keypoint, in the frame of the joint that turns it."""

    @classmethod
    def of_length(
        cls, length: float, source: ScaleSource, betas: np.ndarray, bones: np.ndarray, model: HandModel
    ) -> PersonShape:
        """The shape of a hand whose `length` in metres comes from `source`."""
        by_depth = source in (SCALE_DEPTH, SCALE_LEARNED)
        return cls(betas, length / float(model.length(betas)), length, by_depth, bones)

    def keypoints(self, rotations: np.ndarray) -> np.ndarray:
        """(T, 21, 3) from the wrist, metres, of right hands with joint rotations (T, 16, 3, 3) relative to
        their parents. Lengths of bones are the same in all."""
        turned = (chained(rotations)[:, _BONE_JOINT] @ self.bones[..., None])[..., 0]
        for k in range(1, 21):
            turned[:, k] += turned[:, PREVIOUS_KEYPOINT[k]]
        return turned


def rotations_of(hands: list[HandLabels]) -> np.ndarray:
    """Joint rotations (T, 16, 3, 3) of hands of one side as those of right hands, global_orient first."""
    rotations = np.stack([np.concatenate([hand.global_orient[None], hand.hand_pose]) for hand in hands])
    return mirror_rotation(rotations) if hands[0].side == LEFT else rotations


def chained(rotations: np.ndarray) -> np.ndarray:
    """Rotations (T, 16, 3, 3) of the joints in the camera's axes, from those relative to their parents."""
    chain = rotations.copy()
    for joint in range(1, 16):
        chain[:, joint] = chain[:, JOINT_PARENTS[joint]] @ rotations[:, joint]
    return chain


def weights_of(hands: list[HandLabels]) -> np.ndarray:
    """Weights (T,) of hands by their predicted standard deviations, about 1."""
    variance = np.square([np.maximum(hand.kp_stddev[1:, 0], 1e-6).mean() for hand in hands])
    return np.asarray(np.clip(np.median(variance) / variance, 0.02, 10))


def person_shape(tracks: list[Track], model: HandModel) -> PersonShape:
    """The PersonShape of a person's Tracks. The length is the weighted median over the frames of the best
    source, betas and bones are weighted means over all."""
    hands = [hand for track in tracks for hand in track.hands]
    weights = np.concatenate([weights_of(track.hands) for track in tracks])
    lengths = lengths_of(hands, model)
    source = best_source([hand.scale_source for hand in hands])
    best = np.array([hand.scale_source == source for hand in hands])
    length = _weighted_median(lengths[best], weights[best])
    betas = np.average([hand.betas for hand in hands], axis=0, weights=weights)
    size = length / float(model.length(betas))
    rotations = np.concatenate([rotations_of(track.hands) for track in tracks])
    measured = np.concatenate([_keypoints_from_wrist(track.hands) for track in tracks])
    ratio = length / lengths
    everywhere = np.broadcast_to(betas, (len(hands), 10))
    modelled = size * model(everywhere, rotations[:, 0], rotations[:, 1:], vertices=False).keypoints
    points = _MEASURED_SHARE * ratio[:, None, None] * measured + (1 - _MEASURED_SHARE) * modelled
    bones = np.average(_bones(points, chained(rotations)), axis=0, weights=weights)
    return PersonShape.of_length(length, source, betas, bones, model)


def best_source(sources: Sequence[ScaleSource]) -> ScaleSource:
    """The best of the sources of a length."""
    return min(sources, key=_BEST_SOURCES.index)


def bones_of(hands: list[HandLabels]) -> np.ndarray:
    """Bones (T, 21, 3) m of hands of one side, as PersonShape.bones."""
    return _bones(_keypoints_from_wrist(hands), chained(rotations_of(hands)))


def lengths_of(hands: list[HandLabels], model: HandModel) -> np.ndarray:
    """Lengths (T,) of the hands in their own frames, metres."""
    return np.array([hand.size for hand in hands]) * model.length(np.stack([hand.betas for hand in hands]))


def _keypoints_from_wrist(hands: list[HandLabels]) -> np.ndarray:
    """Keypoints (T, 21, 3) from the wrist in the camera's axes, metres, as those of right hands."""
    keypoints = np.stack([hand.kp3d_wrist @ hand.wrist_rotation.T for hand in hands])
    return keypoints * MIRROR_X if hands[0].side == LEFT else keypoints


def _bones(keypoints: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Bones (T, 21, 3) of keypoints (T, 21, 3), in the frames of the joints that turn them; `rotations` (T,
    16, 3, 3) in the axes of the keypoints."""
    steps = keypoints - keypoints[:, PREVIOUS_KEYPOINT]
    steps[:, 0] = keypoints[:, 0]  # the wrist itself: off the origin in some keypoint sets
    return (steps[..., None, :] @ rotations[:, _BONE_JOINT])[..., 0, :]


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, 0.5)])
