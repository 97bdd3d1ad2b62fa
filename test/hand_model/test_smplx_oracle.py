"""Our skinning of a user's own MANO file against smplx, the reference. Opt-in: smplx's licence and MANO's are
yours to accept.

pip install smplx chumpy && MANO_RIGHT_PKL=/path/to/MANO_RIGHT.pkl make test ARGS='-k smplx'
"""

import os

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from maskhand_ros.hand_model.convert_mano import convert
from maskhand_ros.hand_model.numpy_hand import HandModel

MANO = os.environ.get('MANO_RIGHT_PKL')


@pytest.mark.skipif(not MANO, reason='smplx oracle: set MANO_RIGHT_PKL to your own MANO_RIGHT.pkl')
def test_our_skinning_equals_smplx(tmp_path):
    smplx = pytest.importorskip('smplx', reason='smplx oracle: pip install smplx')
    torch = pytest.importorskip('torch')
    convert(MANO, tmp_path / 'mano.npz')
    rng = np.random.default_rng(0)
    betas, pose = rng.standard_normal((4, 10)), 0.4 * rng.standard_normal((4, 48))
    reference = smplx.MANO(MANO, is_rhand=True, use_pca=False, flat_hand_mean=True, batch_size=4)
    expected = reference(
        betas=torch.as_tensor(betas, dtype=torch.float32),
        global_orient=torch.as_tensor(pose[:, :3], dtype=torch.float32),
        hand_pose=torch.as_tensor(pose[:, 3:], dtype=torch.float32),
    )
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(4, 16, 3, 3)
    ours = HandModel.load(tmp_path / 'mano.npz')(betas, rotations[:, 0], rotations[:, 1:])
    wrist = expected.joints[:, :1].detach().numpy()
    assert np.abs(ours.vertices - (expected.vertices.detach().numpy() - wrist)).max() < 1e-5
    assert np.abs(ours.joints - (expected.joints[:, :16].detach().numpy() - wrist)).max() < 1e-5
