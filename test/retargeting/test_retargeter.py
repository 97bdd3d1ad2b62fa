"""Retargeting against an independent solver and against what an operator relies on."""

import numpy as np
import pytest

pytest.importorskip('mink')
import mujoco  # noqa: E402
from hands import FINGER_CONFIG, SURE, finger, finger_tip, posed  # noqa: E402

from maskhand_ros.errors import FieldError  # noqa: E402
from maskhand_ros.retargeting import Retargeter, RetargetingConfig, RobotHand  # noqa: E402
from maskhand_ros.retargeting.collisions import PRESS  # noqa: E402
from maskhand_ros.retargeting.step_solver import POSTURE  # noqa: E402
from maskhand_ros.skeleton import TIP_KEYPOINTS  # noqa: E402

DT = 1 / 30
FIST = {'index': 75, 'middle': 75, 'ring': 75, 'little': 75}


@pytest.fixture
def allegro():
    retargeter = Retargeter.shipped()
    retargeter.calibrate(np.repeat(posed()[None], 20, 0))
    return retargeter


def follow(retargeter, keypoints, frames=60, stddev=SURE):
    for _ in range(frames):
        found = retargeter(keypoints, stddev, DT)
    return found


def pinch(finger='index'):
    """Keypoints of a hand whose thumb tip lies on the tip of a finger."""
    keypoints = posed({finger: 40})
    tip = 4 * ('thumb', 'index', 'middle', 'ring').index(finger) + 4
    away = keypoints[tip] - keypoints[4]
    for joint, share in ((2, 0.3), (3, 0.7), (4, 1.0)):
        keypoints[joint] += share * 0.9 * away
    return keypoints


def test_joints_are_those_of_an_independent_solver():
    """Targets out of reach, within joint limits: scipy's least squares with the kinematics written out."""
    scipy = pytest.importorskip('scipy.optimize')
    retargeter = Retargeter(RobotHand.load(finger()), RetargetingConfig.load(FINGER_CONFIG))
    lower, upper, _ = retargeter.limits
    for tip, middle in (
        ((0.06, -0.06), (0.04, -0.01)),
        ((0.1, 0.02), (0.03, 0.03)),
        ((0.0, -0.07), (0.05, 0)),
    ):
        keypoints = np.zeros((21, 3))
        keypoints[8, [0, 2]], keypoints[7, [0, 2]] = tip, middle
        wanted = np.array([middle, tip])
        best = scipy.least_squares(
            lambda q, wanted=wanted: np.append(finger_tip(q) - wanted, np.sqrt(POSTURE) * q),
            [0.2, 0.5],
            bounds=(lower, upper),
        )
        retargeter.reset()
        found = follow(retargeter, keypoints, 100, stddev=np.zeros(21))
        np.testing.assert_allclose(found.joints, best.x, atol=np.deg2rad(0.5))


@pytest.mark.parametrize('finger_name', ['index', 'middle'])
def test_a_pinch_closes_to_contact(allegro, finger_name):
    found = follow(allegro, pinch(finger_name))
    gaps = dict(zip(allegro.fingers, found.pinch_distance, strict=True))
    assert finger_name in found.pinching
    assert abs(gaps.pop(finger_name)) < 0.003
    assert gaps.pop('thumb') != gaps.pop('ring')  # NaN, and a number
    assert follow(allegro, posed()).pinch_distance[1] > 0.05


def test_straight_fingers_are_straight_and_bent_ones_bend(allegro):
    straight, bent = follow(allegro, posed()), follow(allegro, posed({'middle': 60}))
    middle = [allegro.joint_names.index(f'joint_{n}.0') for n in (5, 6, 7)]
    assert np.abs(straight.joints[middle]).max() < 0.25
    assert bent.joints[middle].min() > 0.5
    assert np.all(bent.tip_error[1:] < 0.03)


def test_a_left_hand_mirrors_a_right_hand(allegro):
    left = Retargeter.shipped('allegro_left')
    mirror = np.array([1.0, -1.0, 1.0])
    left.calibrate(np.repeat(posed()[None] * mirror, 20, 0))
    keypoints = posed({'index': 30, 'ring': 50})
    right_joints = dict(zip(allegro.joint_names, follow(allegro, keypoints).joints, strict=True))
    left_joints = dict(zip(left.joint_names, follow(left, keypoints * mirror).joints, strict=True))
    for name in ('joint_1.0', 'joint_2.0', 'joint_5.0', 'joint_9.0', 'joint_10.0', 'joint_14.0'):
        assert left_joints[name] == pytest.approx(right_joints[name], abs=0.02)
    assert left_joints['joint_0.0'] == pytest.approx(-right_joints['joint_0.0'], abs=0.02)


def test_a_finger_of_which_the_model_is_unsure_is_held(allegro):
    before = follow(allegro, posed()).joints
    stddev = SURE.copy()
    stddev[5:9] = 0.05
    found = follow(allegro, posed(FIST), stddev=stddev)
    index, ring = (
        [allegro.joint_names.index(f'joint_{n}.0') for n in numbers] for numbers in ((1, 2, 3), (9, 10))
    )
    assert found.held_fingers == ('index',)
    np.testing.assert_array_equal(found.joints[index], before[index])
    assert np.abs(found.joints[ring] - before[ring]).min() > 0.5
    assert np.abs(follow(allegro, posed(FIST)).joints[index] - before[index]).min() > 0.3


def test_a_jump_moves_no_joint_faster_than_its_limit(allegro):
    lower, upper, velocity = allegro.limits
    last = follow(allegro, posed()).joints
    for dt in (DT, DT, 0.01, 5.0):
        found = allegro(posed(FIST), SURE, dt)
        step = np.abs(found.joints - last)
        assert np.all(step <= velocity * min(dt, 0.1) + 1e-9)
        last = found.joints
    assert step.max() > 0.1  # the limit was what held it
    assert np.all((last >= lower) & (last <= upper)) and np.all(velocity <= 8.0)


def test_fingertips_stay_out_of_the_palm_and_of_other_fingers(allegro):
    follow(allegro, posed(FIST, thumb=(0, 30, -40)))
    model, data = allegro._robot.model, allegro._configuration.data
    pairs = allegro._solver._collisions[0].geom_id_pairs
    depth = min(mujoco.mj_geomDistance(model, data, a, b, 0.05, None) for a, b in pairs)
    assert depth > -PRESS - 1e-3


def test_noise_at_rest_does_not_move_the_joints(allegro):
    rng = np.random.default_rng(3)
    keypoints = posed({'index': 20, 'middle': 20, 'ring': 20})
    follow(allegro, keypoints)
    noisy = [allegro(keypoints + 4e-4 * rng.standard_normal((21, 3)), SURE, DT).joints for _ in range(60)]
    assert np.rad2deg(np.std(noisy[10:], axis=0).mean()) < 0.2


def test_it_starts_where_the_robot_is(allegro):
    lower, upper, velocity = allegro.limits
    start = 0.5 * (lower + upper)
    allegro.reset(start)
    assert np.all(np.abs(allegro(posed(), SURE, DT).joints - start) <= velocity * DT + 1e-9)
    with pytest.raises(FieldError, match='16 finite'):
        allegro.reset(start[:3])


def test_bad_keypoints_are_an_error_and_change_nothing(allegro):
    before = follow(allegro, posed()).joints
    keypoints = posed(FIST)
    keypoints[3, 1] = np.nan
    for bad in (
        (keypoints, SURE, DT),
        (posed(), SURE[:5], DT),
        (posed()[:20], SURE, DT),
        (posed(), SURE, np.nan),
    ):
        with pytest.raises(FieldError):
            allegro(*bad)
    np.testing.assert_array_equal(allegro.joints, before)


def test_calibration_gives_the_operator_the_reach_of_the_robot(allegro):
    small = allegro.calibrate(np.repeat(0.8 * posed()[None], 20, 0))
    own = follow(allegro, 0.8 * posed({'ring': 30})).joints
    large = allegro.calibrate(np.repeat(1.1 * posed()[None], 20, 0))
    np.testing.assert_allclose(small / large, 1.1 / 0.8)
    np.testing.assert_allclose(follow(allegro, 1.1 * posed({'ring': 30})).joints, own, atol=0.02)


@pytest.mark.parametrize(
    'frames, said',
    [
        (np.repeat(posed()[None], 5, 0), 'only 5 frames'),
        (np.repeat(posed({'middle': 45})[None], 20, 0), 'middle finger is bent'),
        (posed() + np.linspace(0, 0.08, 20)[:, None, None] * (np.arange(21) == 12)[:, None], 'middle moved'),
        (np.full((20, 21, 3), np.nan), 'finite'),
    ],
)
def test_calibration_refuses_a_hand_that_is_not_flat_and_still(allegro, frames, said):
    before = allegro.scaling.copy()
    with pytest.raises(FieldError, match=said):
        allegro.calibrate(frames)
    np.testing.assert_array_equal(allegro.scaling, before)


def test_the_tips_of_the_shipped_hand_are_the_tips_of_the_operator(allegro):
    assert allegro.fingers == ('thumb', 'index', 'middle', 'ring') and len(TIP_KEYPOINTS) == 5
    assert len(allegro.joint_names) == 16
