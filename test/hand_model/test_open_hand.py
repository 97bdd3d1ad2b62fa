"""The open hand and its skinning, against independent computation."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from maskhand_ros.geometry import matrix_to_quaternion, matrix_to_rotvec, mirror_rotation, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import OPEN_HAND, HandModel
from maskhand_ros.skeleton import JOINT_PARENTS, JOINT_TO_KEYPOINT, KEYPOINT_EDGES, KEYPOINT_SETS
from maskhand_ros.tools.bake_open_hand import REST_JOINTS

B = 6


@pytest.fixture(scope='module')
def hand():
    return HandModel.load()


@pytest.fixture(scope='module')
def parameters():
    rng = np.random.default_rng(3)
    return (
        rng.standard_normal((B, 10)),
        Rotation.random(B, random_state=1).as_matrix(),
        Rotation.from_rotvec(0.5 * rng.standard_normal((B * 15, 3))).as_matrix().reshape(B, 15, 3, 3),
    )


def skin_by_hand(hand, betas, global_orient, hand_pose):
    """Linear blend skinning as MANO's paper writes it: 4x4 matrices, one vertex at a time."""
    shaped = hand.v_template + hand.shapedirs @ betas
    rest = hand.J_regressor @ shaped
    rotations = [global_orient, *hand_pose]
    world = []
    for joint, parent in enumerate(JOINT_PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = rest[joint] - (rest[parent] if joint else rest[0])
        world.append(world[parent] @ local if joint else local)
    to_rest = np.tile(np.eye(4), (16, 1, 1))
    to_rest[:, :3, 3] = -rest
    matrices = np.array(world) @ to_rest
    return np.array(
        [
            (np.tensordot(w, matrices, 1) @ np.append(v, 1))[:3]
            for w, v in zip(hand.weights, shaped, strict=True)
        ]
    )


def test_skinning_equals_the_papers_formula(hand, parameters):
    out = hand(*parameters)
    expected = skin_by_hand(hand, *(p[0] for p in parameters))
    assert np.abs(out.vertices[0] - expected).max() < 1e-6
    assert np.allclose(out.joints[:, 0], 0)
    fast = hand(*parameters, vertices=False)
    assert fast.vertices is None and np.allclose(fast.keypoints, out.keypoints, atol=1e-6)


def test_torch_equals_numpy(hand, parameters):
    torch = pytest.importorskip('torch')
    from maskhand_ros.hand_model.torch_hand import TorchHand

    expected = hand(*parameters)
    out = TorchHand(hand)(*(torch.as_tensor(p, dtype=torch.float32) for p in parameters))
    for name, value in expected._asdict().items():
        assert np.abs(getattr(out, name).numpy() - value).max() < 1e-5, name


def test_rest_bones_point_as_manos_do(hand):
    identity = np.tile(np.eye(3), (1, 15, 1, 1))
    joints = hand(np.zeros((1, 10)), np.eye(3)[None], identity).joints[0]
    for joint in range(1, 16):
        ours, theirs = (j[joint] - j[JOINT_PARENTS[joint]] for j in (joints, REST_JOINTS))
        angle = np.degrees(np.arccos(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)))
        assert angle < 2, f'bone to joint {joint}: {angle:.1f} degrees from MANO'


def test_anatomical_keypoints_have_the_proportions_of_bones():
    """Phalanges from the palm to the tip, after Buryanov and Kotiuk 2010, Table 1; the thumb has two."""
    hand = HandModel.load(keypoint_set='anatomical')
    keypoints = hand(np.zeros((1, 10)), np.eye(3)[None], np.tile(np.eye(3), (1, 15, 1, 1))).keypoints[0]
    bones = np.linalg.norm(np.diff(keypoints[1:].reshape(5, 4, 3), axis=1), axis=2)
    np.testing.assert_allclose(bones[1:, 0] / bones[1:, 1], [1.777, 1.695, 1.613, 1.798], rtol=0.01)
    np.testing.assert_allclose(bones[1:, 1] / bones[1:, 2], [1.138, 1.233, 1.207, 0.920], rtol=0.01)
    assert bones[0, 1] / bones[0, 2] == pytest.approx(1.155, rel=0.01)


def test_the_first_shape_component_is_size_and_adult_hands_are_covered(hand):
    identity = np.tile(np.eye(3), (3, 15, 1, 1))
    betas = np.zeros((3, 10))
    betas[:, 0] = -2, 0, 2
    keypoints = hand(betas, np.tile(np.eye(3), (3, 1, 1)), identity).keypoints
    a, b = KEYPOINT_EDGES[8:12].T
    lengths = np.linalg.norm(keypoints[:, a] - keypoints[:, b], axis=2).sum(1)  # wrist to middle fingertip
    assert 0.150 < lengths[0] < lengths[1] < lengths[2] < 0.205
    assert 0.17 < lengths[1] < 0.19


def test_every_keypoint_set_lies_within_the_hand(hand, parameters):
    reference = hand(*parameters).keypoints
    for name in KEYPOINT_SETS:
        other = HandModel.load(keypoint_set=name)(*parameters).keypoints
        assert np.linalg.norm(other - reference, axis=2).max() < 0.035, name
    assert np.allclose(reference[:, JOINT_TO_KEYPOINT], hand(*parameters).joints, atol=1e-6)


def test_faces_point_outwards(hand):
    v = hand.v_template
    a, b, c = v[hand.faces].transpose(1, 0, 2)
    assert np.einsum('fi,fi->', np.cross(a, b), c) / 6 > 1e-4  # signed volume in cubic metres


def test_file_is_plain_arrays_with_licence():
    with np.load(OPEN_HAND, allow_pickle=False) as file:
        assert 'CC0' in str(file['license']) and file['v_template'].shape[1:] == (3,)
    assert OPEN_HAND.stat().st_size < 1e6


def test_missing_file_names_the_fix():
    with pytest.raises(FileNotFoundError, match='convert-mano'):
        HandModel.load('nowhere.npz')


def test_rotations_agree_with_scipy():
    rotations = Rotation.random(200, random_state=0)
    matrices = np.concatenate([rotations.as_matrix(), np.eye(3)[None], np.diag([1.0, -1, -1])[None]])
    truth = Rotation.from_matrix(matrices)
    assert np.allclose(rotvec_to_matrix(truth.as_rotvec()), matrices, atol=1e-9)
    assert np.allclose(rotvec_to_matrix(matrix_to_rotvec(matrices)), matrices, atol=1e-7)
    quaternion = matrix_to_quaternion(matrices)
    assert np.allclose(np.abs((quaternion * truth.as_quat()).sum(1)), 1)
    mirrored = matrix_to_rotvec(mirror_rotation(rotvec_to_matrix(np.array([0.1, 0.2, 0.3]))))
    assert np.allclose(mirrored, [0.1, -0.2, -0.3])
