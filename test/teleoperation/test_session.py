"""Safety by construction: when commands start, what they follow, and how they end. Every run is checked
against the limits of speed and acceleration."""

import numpy as np
import pytest
from rig import Rig, assert_within_limits

from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.option import OptionError
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.records import Pose


@pytest.fixture
def rig():
    """A rig that follows; at the end its commands have been within the limits."""
    rig = Rig().engaged()
    yield rig
    assert_within_limits(rig.commands, rig.config)


# engaging


MISSING = {
    'engage': (lambda rig: None, 'not engaged'),
    'switch never heard': (lambda rig: setattr(rig, 'pressed', None), 'switch is not heard'),
    'switch released': (lambda rig: setattr(rig, 'pressed', False), 'is released'),
    'robot state': (lambda rig: setattr(rig, 'measured', None), 'joint_states lack a, b, c'),
    'one joint': (lambda rig: setattr(rig, 'joint_names', ('a', 'x', 'c')), 'joint_states lack b'),
    'a joint beyond its limit': (lambda rig: setattr(rig, 'measured', [0, 0, 2.3]), 'c is 0.30 beyond'),
    'tool': (lambda rig: setattr(rig, 'tool', None), 'tool_frame in base_frame is unknown'),
    'tool outside': (
        lambda rig: setattr(rig, 'tool', Pose(np.array([0.0, 0.0, 9.0]), np.eye(3))),
        'outside of the workspace',
    ),
    'hand': (lambda rig: setattr(rig, 'sees', False), 'no hands'),
    'hand not tracked': (lambda rig: setattr(rig, 'tracked', False), 'hand not tracked'),
    'hand stale': (lambda rig: setattr(rig, 'latency', 0.5), 'hands too old'),
    'hand of the future': (lambda rig: setattr(rig, 'latency', -0.2), 'hands from the future'),
    'hand not confident': (lambda rig: setattr(rig, 'confidence', 0.4), 'confidence 0.40, 0.5 is needed'),
    'numbers': (lambda rig: setattr(rig, 'bend', np.nan), 'not finite'),
    'wrist': (
        lambda rig: setattr(rig, 'spoil', lambda f: f.update(wrist=None, wrist_fault='no transform')),
        'no place of the wrist: no transform',
    ),
}


@pytest.mark.parametrize('missing', MISSING)
def test_it_engages_only_when_everything_is_there(missing):
    rig = Rig()
    spoil, says = MISSING[missing]
    tool = rig.tool
    spoil(rig)
    rig.session.consent.engage(missing != 'engage')
    rig.run(2.0)
    assert rig.state == 'disengaged' and says in rig.reason and not rig.commands
    well = Rig()
    for name in (
        'pressed',
        'measured',
        'joint_names',
        'sees',
        'tracked',
        'latency',
        'confidence',
        'bend',
        'spoil',
    ):
        setattr(rig, name, getattr(well, name))
    rig.tool = tool
    rig.session.consent.engage(True)
    rig.run(2.0)
    assert rig.state == 'engaged', rig.reason


def test_the_first_command_is_where_the_robot_is_and_the_speed_ramps_up():
    rig = Rig(ramp=1.0)
    rig.bend = 1.9
    rig.session.consent.engage(True)
    rig.run(0.8)
    assert rig.state == 'engaging'
    first, began = rig.commands[0][1], rig.commands[0][0]
    assert np.allclose(first.joints, 0.5, atol=1e-3) and np.allclose(first.arm.pose.position, [0.3, 0, 0.4])
    for time, command in rig.commands:
        assert np.abs(command.velocities).max() <= 6.0 * min(1.0, time - began + 0.02)
    rig.run(1.0)
    assert rig.state == 'engaged' and np.allclose(rig.joints, 1.9, atol=1e-3)
    assert_within_limits(rig.commands, rig.config)


def test_the_arm_moves_as_the_hand_moves_since_the_engagement(rig):
    start = rig.arm.position
    rig.wrist = rig.wrist + [0.05, -0.02, 0.03]
    rig.turn = np.array([0.0, 0.3, 0.0])
    rig.run(1.0)
    assert np.allclose(rig.arm.position - start, [0.05, -0.02, 0.03], atol=1e-4)
    assert np.allclose(rig.arm.rotation, rotvec_to_matrix(rig.turn), atol=1e-4)


def test_the_arm_stays_in_the_workspace(rig):
    for _ in range(12):  # 1.2 m, where the box ends after 0.7
        rig.wrist = rig.wrist + [0.1, 0.0, 0.0]
        rig.run(0.3)
    assert rig.state == 'engaged'
    assert rig.arm.position[0] == pytest.approx(1.0, abs=1e-3)


# dropouts


LOSSES = {
    'silence': (lambda rig: setattr(rig, 'sees', False), 'no new hands for 0.2 s'),
    'stale stamps': (lambda rig: setattr(rig, 'latency', 1.0), 'hands too old: 1.00 s'),
    'not tracked': (lambda rig: setattr(rig, 'tracked', False), 'hand not tracked'),
    'not finite': (lambda rig: setattr(rig, 'bend', np.nan), 'not finite'),
    'retargeting': (lambda rig: setattr(rig.retarget, 'fails', RuntimeError('no solution')), 'no solution'),
    'clock': (lambda rig: rig.session.clock_was_set(), 'the clock was set'),
}


@pytest.mark.parametrize('on_lost', ['hold', 'stop'])
@pytest.mark.parametrize('loss', LOSSES)
def test_a_loss_brakes_and_holds_or_stops_and_says_why(loss, on_lost):
    rig = Rig(on_lost=on_lost).engaged()
    rig.bend = 1.9
    rig.wrist = rig.wrist + [0.08, 0.0, 0.0]
    rig.run(0.13)  # in full motion
    assert np.abs(rig.commands[-1][1].velocities).max() > 2.0
    spoil, says = LOSSES[loss]
    measured = rig.measured
    spoil(rig)
    rig.told.clear()
    rig.run(0.9)
    lost = [state for state, reason in rig.told if says in reason]
    assert lost, rig.told
    assert set(lost) == {'holding' if on_lost == 'hold' else 'disengaged'}
    last, number = rig.commands[-1][1], len(rig.commands)
    if loss in ('clock', 'retargeting'):  # the hand is still there, and is tried again
        assert_within_limits(rig.commands, rig.config)
        return
    assert np.allclose(last.velocities, 0, atol=1e-6) and np.allclose(last.arm.linear, 0, atol=1e-6)
    rig.run(0.5)
    assert len(rig.commands) - number == (50 if on_lost == 'hold' else 0)
    assert np.allclose(rig.joints, last.joints)
    well = Rig()
    for name in ('sees', 'latency', 'tracked', 'bend'):
        setattr(rig, name, getattr(well, name))
    rig.measured = list(rig.joints) if rig.measured is None else measured
    rig.run(2.0)
    assert rig.state == 'engaged', rig.reason
    assert_within_limits(rig.commands, rig.config)


def test_a_robot_whose_state_was_unknown_is_followed_on_from_where_it_is(rig):
    rig.bend = 1.9
    rig.run(0.13)
    rig.measured = None
    rig.run(1.5)
    assert rig.state == 'disengaged' and rig.reason == 'no joint_states for 0.5 s: a, b, c'
    assert np.allclose(rig.commands[-1][1].velocities, 0, atol=1e-6) and rig.now - rig.commands[-1][0] > 0.3
    number, rig.measured = len(rig.commands), [0.1, 0.2, 0.3]  # it moved meanwhile
    rig.run(2.0)
    assert rig.state == 'engaged'
    assert np.allclose(rig.commands[number][1].joints, [0.1, 0.2, 0.3], atol=1e-3)
    assert_within_limits(rig.commands[number:], rig.config)
    del rig.commands[number:]


def test_an_arm_that_does_not_follow_ends_the_engagement(rig):
    """As after an emergency stop: when it is released, the arm must not run after the hand."""
    rig.stuck = True
    for _ in range(4):
        rig.wrist = rig.wrist + [0.08, 0.0, 0.0]
        rig.run(0.3)
    assert rig.state == 'disengaged' and 'the arm does not follow: 0.2' in rig.reason
    rig.stuck = False
    rig.run(2.0)
    assert rig.state == 'disengaged' and 'call engage again' in rig.reason
    number, tool = len(rig.commands), rig.tool
    rig.session.consent.engage(True)
    rig.run(2.0)
    assert rig.state == 'engaged' and np.allclose(rig.arm.position, tool.position, atol=1e-3)
    assert_within_limits(rig.commands[number:], rig.config)
    del rig.commands[number:]


def test_an_arm_whose_place_is_unknown_is_not_moved(rig):
    place, rig.tool = rig.tool, None
    rig.stuck = True
    rig.run(0.5)
    assert rig.state == 'disengaged' and 'tool_frame in base_frame is unknown' in rig.reason
    number, rig.tool, rig.stuck = len(rig.commands), place, False
    rig.run(2.0)
    assert rig.state == 'engaged'
    assert_within_limits(rig.commands[number:], rig.config)
    del rig.commands[number:]


def test_single_bad_frames_are_no_loss(rig):
    for _ in range(20):
        good, rig.bend = rig.bend, np.nan
        rig.put_hand()
        rig.bend = good
        rig.run(0.05)
        assert rig.state == 'engaged'
    assert len(rig.refusals) == 20 and all('not finite' in refusal for refusal in rig.refusals)


def test_re_engaging_far_away_moves_the_arm_by_nothing_and_the_fingers_slowly(rig):
    rig.sees = False
    rig.run(1.0)
    before, number = rig.arm, len(rig.commands)
    rig.sees, rig.wrist, rig.turn, rig.bend = (
        True,
        rig.wrist + [0.5, 0.3, 0.4],
        np.array([0.0, 0.0, 2.0]),
        1.9,
    )
    rig.run(0.28)
    assert rig.state == 'engaging'
    assert np.abs(rig.joints - 0.7).max() < 0.06
    rig.run(2.0)
    assert rig.state == 'engaged' and np.allclose(rig.joints, 1.9, atol=1e-3)
    for _, command in rig.commands[number:]:
        assert np.allclose(command.arm.pose.position, before.position, atol=1e-6)
        assert np.allclose(command.arm.pose.rotation, before.rotation, atol=1e-6)


def test_a_grasp_is_not_opened_by_a_dropout(rig):
    """The fingers press an object: the robot is not where it was commanded, and the command stays."""
    rig.bend = 1.9
    rig.run(1.0)
    rig.step = lambda: press(rig)
    rig.sees = False
    rig.run(0.6)
    assert rig.state == 'holding'
    number, rig.sees = len(rig.commands), True
    rig.run(2.0)
    assert rig.state == 'engaged'
    assert min(command.joints.min() for _, command in rig.commands[number:]) > 1.9 - 1e-3


def press(rig):
    """One step, of a robot that an object holds at 0.9 rad."""
    Rig.step(rig)
    rig.measured = [0.9, 0.9, 0.9]


def test_another_track_is_not_followed_on(rig):
    rig.id, rig.wrist, rig.bend = 2, rig.wrist + [0.3, 0.0, 0.0], 1.9
    number = len(rig.commands)
    rig.run(0.05)
    assert rig.state == 'holding' and rig.reason == 'hand 1 became hand 2; hand 2 is watched for 0.2 s'
    rig.run(0.1)
    assert np.allclose(rig.joints, 0.7, atol=1e-3)
    rig.run(2.0)
    assert rig.state == 'engaged' and rig.reason == 'following hand 2'
    assert all(np.allclose(c.arm.pose.position, rig.arm.position) for _, c in rig.commands[number:])


def test_another_hand_must_be_confident_the_followed_one_need_not(rig):
    """A fist is seen with less confidence than an open hand, and it is the grasp."""
    rig.confidence, rig.bend = 0.2, 1.9
    rig.run(1.0)
    assert rig.state == 'engaged' and np.allclose(rig.joints, 1.9, atol=1e-3)
    rig.sees = False
    rig.run(0.5)
    assert rig.state == 'holding'
    rig.sees = True
    rig.run(2.0)
    assert rig.state == 'engaged', 'the same fist is followed again, or it would have to open'
    rig.id = 2
    rig.run(2.0)
    assert rig.state == 'holding' and 'confidence 0.20' in rig.reason
    assert np.allclose(rig.joints, 1.9, atol=1e-3)


IMPOSSIBLE = {
    'tip': (lambda rig, far: setattr(rig, 'bend', 0.7 + 10 * far), 0.2, 'tip 6.7 m/s'),
    'wrist': (lambda rig, far: setattr(rig, 'wrist', np.array([far, 0.0, 0.6])), 0.15, 'wrist 5.0 m/s'),
    'turn': (lambda rig, far: setattr(rig, 'turn', np.array([far, 0.0, 0.0])), 0.6, 'wrist 1146 degrees/s'),
}


@pytest.mark.parametrize('motion', IMPOSSIBLE)
def test_impossible_motion_is_refused_and_lasting_one_is_a_loss(rig, motion):
    move, far, says = IMPOSSIBLE[motion]
    before = rig.joints, rig.arm
    move(rig, far)
    rig.run(0.03)
    assert len(rig.refusals) == 1 and 'impossible motion' in rig.refusals[0] and says in rig.refusals[0]
    move(rig, 0.0)
    rig.run(0.3)
    assert rig.state == 'engaged' and len(rig.refusals) == 1
    assert np.allclose(rig.joints, before[0], atol=1e-3)
    assert np.allclose(rig.arm.position, before[1].position, atol=1e-3)


def test_a_hand_that_stays_where_it_cannot_be_is_lost_and_followed_from_there(rig):
    """As it would be after a false detection: in time any place could be reached, but not by this hand."""
    rig.wrist, before = rig.wrist + [0.35, 0.0, 0.0], rig.arm
    rig.run(0.25)
    assert rig.state == 'holding' and 'impossible motion' in str(rig.told)
    rig.run(2.0)
    assert rig.state == 'engaged' and np.allclose(rig.arm.position, before.position, atol=1e-3)


def test_motion_at_the_speed_of_real_hands_is_followed(rig):
    """A closing hand: tips at 3 m/s, as fast as any in the videos."""
    for bend in (1.7, 0.7) * 10:
        rig.bend = bend
        rig.run(0.03)
    assert not rig.refusals and rig.state == 'engaged'


# the switch


def test_a_released_switch_brakes_and_ends_the_commands_until_it_is_pressed(rig):
    rig.bend = 1.9
    rig.run(0.1)
    assert np.abs(rig.commands[-1][1].velocities).max() > 2.0
    rig.pressed = False
    rig.run(0.5)
    assert rig.state == 'disengaged' and 'is released' in rig.reason
    assert np.allclose(rig.commands[-1][1].velocities, 0, atol=1e-6) and rig.now - rig.commands[-1][0] > 0.2
    rig.measured = [0.1, 0.2, 0.3]  # moved by somebody else
    number, rig.pressed = len(rig.commands), True
    rig.run(2.0)
    assert rig.state == 'engaged'
    assert np.allclose(rig.commands[number][1].joints, [0.1, 0.2, 0.3], atol=1e-3)
    assert_within_limits(rig.commands[number:], rig.config)
    del rig.commands[number:]


def test_a_silent_switch_takes_the_engagement_back(rig):
    rig.pressed = None
    rig.run(0.35)
    assert rig.state == 'disengaged' and 'silent for 0.3 s: call engage again' in rig.reason
    rig.pressed = True
    rig.run(2.0)
    assert rig.state == 'disengaged' and 'call engage again' in rig.reason
    rig.session.consent.engage(True)
    rig.run(2.0)
    assert rig.state == 'engaged'


def test_of_two_switches_both_must_be_pressed(rig):
    for _ in range(20):
        rig.session.consent.put(False, rig.now)
        rig.run(0.1)
        assert rig.state == 'disengaged'


def test_without_a_switch_it_is_engaged_from_the_start():
    rig = Rig(dead_man=False)
    rig.pressed = None
    rig.run(2.0)
    assert rig.state == 'engaged'


# time


def test_a_stall_is_no_leap(rig):
    rig.bend, rig.wrist = 1.9, rig.wrist + [0.08, 0.0, 0.0]
    rig.run(0.1)
    for _ in range(5):
        before = rig.joints, rig.arm.position
        rig.now += 0.15  # nothing ran
        rig.put_hand()
        rig.step()
        assert np.abs(rig.joints - before[0]).max() <= 6.0 * 0.02 + 1e-9
        assert np.abs(rig.arm.position - before[1]).max() <= 0.5 * 0.02 + 1e-9
        rig.run(0.03)


def test_a_stall_of_seconds_loses_the_hand(rig):
    rig.now += 3.0
    rig.step()
    assert rig.state == 'disengaged', 'the switch was not heard either'


@pytest.mark.parametrize('shift', [-100.0, -1.0, 1.0, 100.0])
def test_stamps_that_leap_lose_the_hand_and_it_is_followed_again(rig, shift):
    """Forwards nobody tells; backwards the clock's owner does."""
    rig.ros_offset += shift
    rig.wrist = rig.wrist + [0.4, 0.0, 0.0]
    before = rig.arm
    if shift < 0:
        rig.session.clock_was_set()
    rig.run(0.06)
    assert rig.state == 'holding'
    assert ('holding', 'the clock was set') in rig.told or f'time leapt: {shift + 0.03:.1f} s' in str(
        rig.told
    )
    rig.run(2.0)
    assert rig.state == 'engaged', rig.reason
    assert np.allclose(rig.arm.position, before.position, atol=1e-3)


def test_irregular_time_keeps_the_limits(rig):
    rng = np.random.default_rng(5)
    for _ in range(300):
        rig.bend = float(np.clip(rig.bend + rng.normal(0, 0.3), -0.9, 1.9))
        rig.wrist = rig.wrist + rng.normal(0, 0.01, 3)
        rig.run(0.001, tick=rng.uniform(0.002, 0.02))
        rig._tick += 1
        rig.run(0.02, tick=0.01)


@pytest.mark.parametrize('workspace', [(0, 0, 0, 1, 1), (0, 0, 0, 0, 1, 1), (0, 0, 0, 1, 1, np.nan)])
def test_a_workspace_is_a_box(workspace):
    with pytest.raises(OptionError, match='workspace'):
        TeleopConfig(workspace=workspace)
