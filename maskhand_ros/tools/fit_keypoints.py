"""Fit the open hand's `mediapipe` keypoint set: where MediaPipe's network puts its landmarks on our hand.

    python -m maskhand_ros.tools.fit_keypoints shards/val-*.npz

On rendered images that the network reads well, its world landmarks are aligned with the truth; what is
left, averaged in each bone's own frame, is the difference of conventions. The points that follow are written
as sparse convex combinations of mesh vertices into `open_hand.npz`. Only our own renders are used.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from maskhand_ros.geometry import procrustes_align
from maskhand_ros.hand_model.numpy_hand import OPEN_HAND, HandModel
from maskhand_ros.skeleton import CONVENTION_LIGHT, KEYPOINT_JOINT
from maskhand_ros.tools.bake_open_hand import fit_regressor


def mean_offsets(hand: HandModel, shards: Sequence[str], presence: float) -> tuple[np.ndarray, int]:
    """Mean place (21, 3) of MediaPipe's landmarks in the rest hand, and the number of images used.

    Alignment uses the landmarks on whose place conventions agree, so that the rest do not pull on it.
    """
    rows = []
    for path in shards:
        with np.load(path) as shard:
            good = shard['presence'][:, 0] > presence
            out = hand(
                shard['betas'][good], shard['global_orient'][good], shard['hand_pose'][good], vertices=False
            )
            world = shard['world_landmarks'][good].reshape(-1, 21, 3)
        for measured, truth, rotations in zip(world, out.keypoints, out.joint_rotations, strict=True):
            moved = align_on(measured, truth, CONVENTION_LIGHT)
            rows.append(np.einsum('kji,kj->ki', rotations[KEYPOINT_JOINT], moved - truth))
    offsets = np.array(rows)
    error = np.linalg.norm(offsets, axis=2).mean(1)
    return np.median(offsets[error < np.median(error)], axis=0), len(offsets) // 2


def align_on(source: np.ndarray, target: np.ndarray, subset: Sequence[int] | np.ndarray) -> np.ndarray:
    """Move source (N, 3) by the similarity that aligns source[subset] with target[subset]."""
    aligned = procrustes_align(source[subset], target[subset])
    before, after = source[subset] - source[subset].mean(0), aligned - aligned.mean(0)
    linear = np.linalg.lstsq(before, after, rcond=None)[0]
    return (source - source[subset].mean(0)) @ linear + aligned.mean(0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('shards', nargs='+')
    parser.add_argument(
        '--presence', type=float, default=0.95, help='least presence score of an image (default 0.95)'
    )
    args = parser.parse_args()
    hand = HandModel.load()
    rest = hand(np.zeros((1, 10)), np.eye(3)[None], np.tile(np.eye(3), (1, 15, 1, 1)))
    offsets, count = mean_offsets(hand, args.shards, args.presence)
    points = rest.keypoints[0] + offsets
    with np.load(OPEN_HAND) as file:
        arrays = {name: file[name] for name in file.files}
    scales = np.array([0.9, 1.0, 1.1])[:, None, None]
    rule = np.zeros_like(arrays['keypoint_regressor_mano'])
    for keypoint, point in enumerate(points):
        rule[keypoint, 16:] = fit_regressor(scales[:, 0] * point, scales * rest.vertices)
    arrays['keypoint_regressor_mediapipe'] = rule
    np.savez_compressed(OPEN_HAND, **arrays)
    print(
        f'{count} images; offsets from the mano set in mm:',
        np.round(1e3 * np.linalg.norm(offsets, axis=1), 1),
    )


if __name__ == '__main__':
    main()
