"""The triangles of a hand with its forearm: skinning, normals and ambient occlusion, ready to draw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from maskhand_ros.data_engine.anatomy import Anatomy
from maskhand_ros.data_engine.renderer import Uniforms
from maskhand_ros.hand_model.numpy_hand import OPEN_HAND, HandModel
from maskhand_ros.skeleton import KEYPOINT_EDGES

# Radii in metres of the capsules that darken what they face, in the order of KEYPOINT_EDGES.
_BONE_RADIUS = np.array([0.014, 0.011, 0.010, 0.009] + [0.014, 0.0085, 0.0078, 0.007] * 4, np.float32)
_STRETCH_FROM = 0.03


@dataclass
class Mesh:
    """Something to draw, in the camera's frame (metres)."""

    vertices: np.ndarray  # (V, 3)
    normals: np.ndarray  # (V, 3) unit, outwards
    texture: np.ndarray  # (V, 3) place in the rest pose, where the skin's texture is looked up
    marks: np.ndarray  # (V, 3) nail 0..1, palm side 0..1, light that ambient occlusion leaves 0..1
    faces: np.ndarray  # (F, 3) int32
    material: Uniforms


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, incidence: sparse.csr_matrix) -> np.ndarray:
    """Unit normals (V, 3) of vertices (V, 3); `incidence` (V, F) sparse says which faces meet at a vertex."""
    corner = vertices[faces]
    flat = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = incidence @ flat
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


def face_incidence(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """Sparse (V, F) matrix with a one where a face has the vertex."""
    columns = np.repeat(np.arange(len(faces)), 3)
    return sparse.csr_matrix(
        (np.ones(faces.size, np.float32), (faces.ravel(), columns)), shape=(count, len(faces))
    )


def bone_occlusion(vertices: np.ndarray, normals: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Light (V,) in 0..1 that a hand's own bones leave to its skin; `keypoints` (21, 3), same frame.

    Each bone is a capsule that hides the part of the sky that it fills, seen from the vertex.
    """
    vertices, normals = vertices.astype(np.float32), normals.astype(np.float32)
    start, end = (keypoints[KEYPOINT_EDGES[:, side]].astype(np.float32) for side in (0, 1))
    centre = start.mean(0)  # squares of small numbers keep their digits in float32
    vertices, start, end = vertices - centre, start - centre, end - centre
    along = end - start
    length = (along * along).sum(1)
    reach = vertices @ along.T - (start * along).sum(1)
    share = np.clip(reach / length, 0, 1)
    square = (
        (vertices**2).sum(1)[:, None]
        - 2 * vertices @ start.T
        + (start**2).sum(1)
        - 2 * share * reach
        + share**2 * length
    ) + 1e-7
    facing = normals @ start.T + share * (normals @ along.T) - (normals * vertices).sum(1)[:, None]
    hidden = np.clip(facing, 0, None) / np.sqrt(square) * np.minimum(_BONE_RADIUS**2 / square, 1)
    return np.exp(-1.3 * hidden.sum(1))


def _thin_places(rest: np.ndarray, data: dict[str, np.ndarray]) -> np.ndarray:
    """(V,) 0..1.5, how much thicker than the open hand's real flesh is: finger pads and the thenar most."""
    weights = np.zeros((len(rest), 16), np.float32)
    weights[: len(data['weights'])] = data['weights']
    middle, tips = weights[:, [2, 5, 8, 11, 14]].sum(1), weights[:, [3, 6, 9, 12, 15]].sum(1)
    near = weights[:, [1, 4, 7, 10]].sum(1)
    thenar = weights[:, 13] * np.asarray(data['palm'], np.float32)
    return 0.4 * near + 0.7 * middle + tips + 1.5 * thenar


class HandMesh:
    """Skins the hand and its forearm for many poses at once."""

    def __init__(self, hand: HandModel, data: dict[str, np.ndarray]) -> None:
        """`hand` is a HandModel, `data` the arrays of the npz that also has the forearm."""
        self.hand = hand
        self.rest = np.concatenate([data['v_template'], data['forearm_v_template']]).astype(np.float32)
        self.faces = np.asarray(data['render_f'], np.int32)
        self.nail = np.asarray(data['nail'], np.float32)
        self.palm = np.asarray(data['palm'], np.float32)
        self._incidence = face_incidence(self.faces, len(self.rest))
        self._shapes = np.concatenate([data['shapedirs'], data['forearm_shapedirs']]).astype(np.float32)
        self.thin = _thin_places(self.rest, data)
        # For the eye the skin at the wrist follows the forearm too; no keypoint hangs on it.
        self._weights = np.concatenate([data['hand_forearm_weights'], data['forearm_weights']]).astype(
            np.float32
        )
        regressor = np.asarray(data['J_regressor'], np.float32)
        self._joints = regressor @ self.rest[: regressor.shape[1]]
        self._joint_shapes = np.einsum('jv,vck->jck', regressor, self._shapes[: regressor.shape[1]])

    def pose(
        self,
        betas: np.ndarray,
        global_orient: np.ndarray,
        hand_pose: np.ndarray,
        forearm: np.ndarray,
        stretch: float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Skinned vertices (B, V + Vf, 3), keypoints (B, 21, 3), from the wrist, in the frame of
        global_orient.

        `forearm` (B, 3, 3) turns the forearm about the wrist in model axes; `stretch` lengthens it beyond the
        wrist.
        """
        betas = np.asarray(betas, np.float32)
        out = self.hand(betas, global_orient, hand_pose, vertices=False)
        shaped = self.rest + np.einsum('vck,bk->bvc', self._shapes, betas, optimize=True)
        shaped[..., 0] += (stretch - 1) * np.maximum(shaped[..., 0] - _STRETCH_FROM, 0)
        rest_joints = self._joints + np.einsum('jck,bk->bjc', self._joint_shapes, betas)
        turns = np.concatenate([out.joint_rotations, (global_orient @ forearm)[:, None]], 1)
        joints, rest_joints = (np.concatenate([j, j[:, :1]], 1) for j in (out.joints, rest_joints))
        shift = joints - np.einsum('bjcd,bjd->bjc', turns, rest_joints)
        transforms = np.concatenate([turns, shift[..., None]], -1).astype(np.float32).reshape(-1, 17, 12)
        blend = np.matmul(self._weights, transforms).reshape(len(turns), -1, 3, 4)
        vertices = (blend[..., :3] @ shaped[..., None])[..., 0] + blend[..., 3]
        return vertices, np.asarray(out.keypoints)

    def mesh(
        self, vertices: np.ndarray, keypoints: np.ndarray, material: Uniforms, left: bool = False
    ) -> Mesh:
        """The Mesh of posed vertices (V + Vf, 3) and keypoints (21, 3); `left` if they have been mirrored.

        The skin is lifted where the material says so: into a sleeve `sleeve_from` metres behind the wrist on,
        into a glove (`worn_range`, `worn_lift`), a band (`band_range`), and by `flesh` metres where fingers
        and thenar are thin.
        """
        normals = vertex_normals(vertices, self.faces, self._incidence)
        if left:
            normals = -normals
        sleeve = material.get('sleeve_from', 9.0)
        lift = np.clip((self.rest[:, 0] - sleeve) / 0.006, 0, 1)[:, None] * material.get('sleeve_lift', 0.004)
        lift = lift + self._worn(material)[:, None]
        light = bone_occlusion(vertices, normals, keypoints)
        marks = np.stack([self.nail, self.palm, light], 1)
        return Mesh(vertices + lift * normals, normals, self.rest, marks, self.faces, material)

    def _worn(self, material: Uniforms) -> np.ndarray:
        """Metres (V,) that gloves, bands and more flesh lift the skin."""
        along, lift = self.rest[:, 0], np.zeros(len(self.rest), np.float32)
        for name, height in (('worn', material.get('worn_lift', 0.0)), ('band', 0.0025)):
            low, high = material.get(f'{name}_range', (9.0, 9.0))
            if high > low:
                inside = np.minimum(along - low, high - along)
                lift += height * np.clip(inside / 0.003, 0, 1)
        return lift + material.get('flesh', 0.0) * self.thin


@lru_cache(maxsize=1)
def open_hand_data() -> dict[str, np.ndarray]:
    """Arrays of the bundled open hand, those for rendering included."""
    with np.load(OPEN_HAND, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


@lru_cache(maxsize=2)
def anatomy_of(hand: HandModel) -> Anatomy:
    """The Anatomy of a HandModel; the thumb's back is where the open hand's thumb nail looks."""
    data = open_hand_data()
    rest = data['v_template'].astype(float)
    faces = np.asarray(data['f'], int)
    normals = vertex_normals(rest, faces, face_incidence(faces, len(rest)))
    nail = (data['nail'][: len(rest)] > 0.5) & (data['weights'][:, 15] > 0.3)
    return Anatomy(hand, normals[nail].mean(0))
