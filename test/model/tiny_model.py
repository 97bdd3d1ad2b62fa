"""A tiny MaskHand and tiny shards."""

import numpy as np
import pytest

from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.shard_schema import CUE_SHARD

torch = pytest.importorskip('torch')
from maskhand_ros.data_engine.shards import pack_map  # noqa: E402
from maskhand_ros.model.config import MAP_SHAPES  # noqa: E402


def write_shard(path, count=64, seed=0):
    """Write a shard without pictures: image features are a fixed random view of the pose, so there is
    something to learn."""
    rng = np.random.default_rng(seed)
    hand = HandModel.load()
    bend = rng.uniform(0, 1, (count, 15, 1)) * np.array([0, 0, 1.0])
    pose = rotvec_to_matrix(bend + 0.1 * rng.standard_normal((count, 15, 3)))
    orient = rotvec_to_matrix(0.7 * rng.standard_normal((count, 3)))
    betas = 0.5 * rng.standard_normal((count, 10))
    keypoints = hand(betas, orient, pose, vertices=False).keypoints
    wrist = np.array([0, 0.05, 0.6]) + 0.02 * rng.standard_normal((count, 3))
    focal = np.full(count, 600.0)
    points = keypoints + wrist[:, None]
    pixels = 600 * points[..., :2] / points[..., 2:] + 111.5
    landmarks = np.concatenate([pixels / 224 - 0.5, keypoints[..., 2:] * 1000 / 224], -1)
    view = np.random.default_rng(7)
    seen = np.concatenate([pose.reshape(count, -1), orient.reshape(count, -1)], 1)

    def features(*shape):
        return seen @ view.standard_normal((seen.shape[1], int(np.prod(shape)))) / 6

    arrays = {
        'landmarks': landmarks,
        'world_landmarks': keypoints + 0.005 * rng.standard_normal(keypoints.shape),
        'presence': np.ones((count, 1)),
        'handedness': np.ones((count, 1)),
        'global_feature': features(1152),
        'global_orient': orient,
        'hand_pose': pose,
        'betas': betas,
        'wrist': wrist,
        'focal': focal,
        'keypoints': keypoints,
        'keypoints_px': pixels,
        'visible': rng.random((count, 21)) < 0.7,
    }
    arrays = {name: np.asarray(value, CUE_SHARD[name].dtype) for name, value in arrays.items()}
    for name, shape in MAP_SHAPES.items():
        arrays[name], arrays[f'{name}_scale'] = pack_map(features(*shape).reshape(count, *shape))
    np.savez(path, **arrays)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def tiny_model():
    """A MaskHand with random weights, small enough to train in a test."""
    from maskhand_ros.model.config import MaskHandConfig, TokenizerConfig
    from maskhand_ros.model.maskhand import MaskHand

    config = MaskHandConfig(
        tokenizer=TokenizerConfig(width=32, blocks=1),
        width=32,
        layers=1,
        heads=2,
        refinement_blocks=1,
        trunk_width=64,
        trunk_blocks=1,
        dropout=0.0,
    )
    return MaskHand(config).eval()


@pytest.fixture(scope='session')
def shards(tmp_path_factory):
    """A folder with one train and one val shard."""
    folder = tmp_path_factory.mktemp('shards')
    write_shard(folder / 'train-0-0000.npz', 96, 0)
    write_shard(folder / 'val-0-0000.npz', 32, 1)
    return folder


@pytest.fixture
def fake_shard():
    """`fake_shard(path, count, seed)` writes one tiny shard."""
    return write_shard
