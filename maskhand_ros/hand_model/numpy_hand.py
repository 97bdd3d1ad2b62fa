"""The parametric hand at run time: linear blend skinning in numpy, in MANO's field layout (Romero et al.
2017)."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskhand_ros.skeleton import JOINT_LEVELS, KEYPOINT_SETS, MIDDLE_CHAIN

OPEN_HAND = Path(__file__).with_name('open_hand.npz')
_Parts = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]
_REQUIRED = ('v_template', 'shapedirs', 'posedirs', 'J_regressor', 'weights', 'f')


class HandOutput(NamedTuple):
    """A right hand with its wrist at the origin, in the frame of `global_orient`, metres."""

    vertices: np.ndarray | None
    """(B, V, 3), or None where not asked for."""
    joints: np.ndarray
    """(B, 16, 3) pivots."""
    keypoints: np.ndarray
    """(B, 21, 3) of the model's keypoint set."""
    joint_rotations: np.ndarray
    """(B, 16, 3, 3) of each joint in that frame (products along the chain)."""


class HandModel:
    """A right hand: `hand(betas, global_orient, hand_pose)`. For a left hand, mirror what goes in and what
    comes out."""

    def __init__(self, arrays: Mapping[str, np.ndarray], keypoint_set: str = 'mano') -> None:
        """`arrays` holds MANO's fields plus `keypoint_regressor_<set>` (21, 16 + V); see `load` for files."""
        missing = [name for name in (*_REQUIRED, f'keypoint_regressor_{keypoint_set}') if name not in arrays]
        if missing:
            raise ValueError(
                f'hand model lacks {", ".join(missing)}: make it with `maskhand convert-mano` or use the '
                f'open hand; keypoint sets are {", ".join(KEYPOINT_SETS)}'
            )
        self.v_template = np.asarray(arrays['v_template'], np.float32)
        self.shapedirs = np.asarray(arrays['shapedirs'], np.float32)
        posedirs = np.asarray(arrays['posedirs'], np.float32)
        self.posedirs = posedirs if posedirs.any() else None  # the open hand has no pose correctives
        self.J_regressor = np.asarray(arrays['J_regressor'], np.float32)
        self.weights = np.asarray(arrays['weights'], np.float32)
        self.faces = np.asarray(arrays['f'], np.int32)
        self.keypoint_set = keypoint_set
        self.keypoint_regressor = np.asarray(arrays[f'keypoint_regressor_{keypoint_set}'], np.float32)
        self.keypoint_vertices = np.flatnonzero(self.keypoint_regressor[:, 16:].any(0))
        self.name = str(arrays['model_name']) if 'model_name' in arrays else 'mano'
        self.license = str(arrays['license']) if 'license' in arrays else "MANO licence: the user's own file"
        self._joint_template = self.J_regressor @ self.v_template
        joint_shapedirs = np.einsum('jv,vck->jck', self.J_regressor, self.shapedirs)
        self._joint_shapes = np.ascontiguousarray(joint_shapedirs.reshape(48, -1).T)
        self._on_joints = self.keypoint_regressor[:, :16]
        self._on_vertices = self.keypoint_regressor[:, 16 + self.keypoint_vertices]
        self._whole, self._at_keypoints = self._parts(slice(None)), self._parts(self.keypoint_vertices)
        self._middle = self._middle_finger()

    @classmethod
    def load(cls, path: str | PathLike[str] | None = None, keypoint_set: str = 'mano') -> HandModel:
        """The hand in an npz file, by default the open hand. Raises FileNotFoundError or ValueError with the
        fix."""
        path = Path(path) if path else OPEN_HAND
        if not path.is_file():
            raise FileNotFoundError(
                f'no hand model at {path}: leave the parameter empty for the open hand, or convert '
                f'your own file with `maskhand convert-mano MANO_RIGHT.pkl {path}`'
            )
        with np.load(path, allow_pickle=False) as file:
            return cls({name: file[name] for name in file.files}, keypoint_set)

    @property
    def n_vertices(self) -> int:
        return len(self.v_template)

    @property
    def faces_left(self) -> np.ndarray:
        """(F, 3) triangles of the mirrored hand, wound so that they still face outwards."""
        return self.faces[:, ::-1]

    def length(self, betas: np.ndarray) -> np.ndarray:
        """Wrist to middle fingertip along the bones of the flat hand with `betas` (..., 10): (...) metres."""
        bones, by_beta = self._middle
        bones = bones + np.einsum('bck,...k->...bc', by_beta, betas)
        return np.sqrt(np.square(bones).sum(-1)).sum(-1)

    def _parts(self, chosen: slice | np.ndarray) -> _Parts:
        """Template (V, 3), shapes (10, 3 V), pose correctives (135, 3 V) or None, skinning weights (V, 16) of
        the chosen vertices, as one product each reads them."""
        template, weights = self.v_template[chosen], self.weights[chosen]

        def flat(directions: np.ndarray) -> np.ndarray:
            part = directions[chosen].reshape(3 * len(template), directions.shape[2])
            return np.ascontiguousarray(part.T)

        poses = None if self.posedirs is None else flat(self.posedirs)
        return template, flat(self.shapedirs), poses, weights

    def flat_hands(self) -> HandOutput:
        """HandOutput, without vertices, of 11 hands in the rest pose: the mean one, then one for each of the
        betas at 1. Joints and keypoints are linear in betas there."""
        flat = np.tile(np.eye(3), (11, 1, 1)), np.tile(np.eye(3), (11, 15, 1, 1))
        return self(np.concatenate([np.zeros((1, 10)), np.eye(10)]), *flat, vertices=False)

    def _middle_finger(self) -> tuple[np.ndarray, np.ndarray]:
        """Bones (4, 3) from the wrist to the middle fingertip of the flat mean hand, and how they grow with
        each of the betas (4, 3, 10)."""
        bones = np.diff(self.flat_hands().keypoints[:, MIDDLE_CHAIN].astype(float), axis=1)
        return bones[0], np.moveaxis(bones[1:] - bones[0], 0, -1)

    def __call__(
        self, betas: np.ndarray, global_orient: np.ndarray, hand_pose: np.ndarray, vertices: bool = True
    ) -> HandOutput:
        """Skin hands.

        betas (B, 10); global_orient (B, 3, 3); hand_pose (B, 15, 3, 3) relative to the parent joint. With
        `vertices=False` only the vertices that the keypoints need are skinned. Returns HandOutput.
        """
        local = np.concatenate([np.asarray(global_orient)[:, None], np.asarray(hand_pose)], 1).astype(
            np.float32
        )
        betas = np.asarray(betas, np.float32)
        template, shapes, correctives, weights = self._whole if vertices else self._at_keypoints
        shaped = template + (betas @ shapes).reshape(len(betas), -1, 3)
        if correctives is not None:
            feature = (local[:, 1:] - np.eye(3, dtype=np.float32)).reshape(len(local), -1)
            shaped = shaped + (feature @ correctives).reshape(len(local), -1, 3)
        rest_joints = self._joint_template + (betas @ self._joint_shapes).reshape(-1, 16, 3)
        rotations, joints = forward_kinematics(local, rest_joints)
        offsets = joints - np.einsum('bjcd,bjd->bjc', rotations, rest_joints)
        transforms = np.concatenate([rotations, offsets[..., None]], -1).reshape(len(local), 16, 12)
        per_vertex = np.matmul(weights, transforms).reshape(len(local), -1, 3, 4)
        skinned = (per_vertex[..., :3] @ shaped[..., None])[..., 0] + per_vertex[..., 3]
        support = skinned[:, self.keypoint_vertices] if vertices else skinned
        keypoints = self._on_joints @ joints + self._on_vertices @ support
        return HandOutput(skinned if vertices else None, joints, keypoints, rotations)


def forward_kinematics(local: np.ndarray, rest_joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chain local rotations (B, 16, 3, 3) along the skeleton with rest joints (B, 16, 3).

    Returns rotations (B, 16, 3, 3) and joint positions (B, 16, 3), wrist at the origin.
    """
    rotations, joints = local.copy(), np.zeros_like(rest_joints)
    for level, parents in JOINT_LEVELS:
        bones = rest_joints[:, level] - rest_joints[:, parents]
        rotations[:, level] = rotations[:, parents] @ local[:, level]
        joints[:, level] = joints[:, parents] + (rotations[:, parents] @ bones[..., None])[..., 0]
    return rotations, joints
