"""Tiny shards without pictures: the image features are a fixed random view of the pose, so there is something to learn."""
import numpy as np

from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel


def fake_shard(path, count=64, seed=0):
    """Write one shard of `count` samples with every array that the contract of shards names."""
    rng = np.random.default_rng(seed)
    hand = HandModel.load()
    bend = rng.uniform(0, 1, (count, 15, 1)) * np.array([0, 0, 1.])
    pose = rotvec_to_matrix(bend + 0.1 * rng.standard_normal((count, 15, 3)))
    orient = rotvec_to_matrix(0.7 * rng.standard_normal((count, 3)))
    betas = 0.5 * rng.standard_normal((count, 10))
    keypoints = hand(betas, orient, pose, vertices=False).keypoints
    wrist = np.array([0, 0.05, 0.6]) + 0.02 * rng.standard_normal((count, 3))
    focal = np.full(count, 600.)
    points = keypoints + wrist[:, None]
    pixels = 600 * points[..., :2] / points[..., 2:] + 111.5
    landmarks = np.concatenate([pixels / 224 - 0.5, keypoints[..., 2:] * 1000 / 224], -1)
    view = np.random.default_rng(7)
    seen = np.concatenate([pose.reshape(count, -1), orient.reshape(count, -1)], 1)

    def features(*shape):
        return seen @ view.standard_normal((seen.shape[1], int(np.prod(shape)))) / 6

    arrays = {'landmarks': landmarks, 'world_landmarks': keypoints + 0.005 * rng.standard_normal(keypoints.shape),
              'presence': np.ones((count, 1)), 'handedness': np.ones((count, 1)),
              'global_feature': features(1152), 'f142': features(21, 112).reshape(count, 21, 112),
              'f131': features(21, 80).reshape(count, 21, 80),
              'global_orient': orient, 'hand_pose': pose, 'betas': betas, 'wrist': wrist, 'focal': focal,
              'keypoints': keypoints, 'keypoints_px': pixels}
    np.savez(path, **{name: np.asarray(value, np.float32) for name, value in arrays.items()})
