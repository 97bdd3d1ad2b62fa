"""A real teleop_node over real topics: it follows, and in every fault its commands stay within limits and
~/state says why."""

import dataclasses
import re
import sys

import numpy as np
import pytest
import yaml

pytest.importorskip('mink', reason="needs pip install 'maskhand_ros[teleop]'")

from environment import ROOT  # noqa: E402
from graph import Graph  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rosgraph_msgs.msg import Clock as ClockMsg  # noqa: E402
from teleop_graph import ARM, URDF, Operator  # noqa: E402
from visualization_msgs.msg import MarkerArray  # noqa: E402

from maskhand_ros.geometry import C_RIGHT, rotvec_to_matrix  # noqa: E402
from maskhand_ros.nodes.messages import ns_to_stamp, stamp_to_ns  # noqa: E402
from maskhand_ros.nodes.teleop_node import FAILURE, TeleopNode  # noqa: E402
from maskhand_ros.option import OptionError, ReadAt  # noqa: E402
from maskhand_ros.teleoperation.options import TELEOP_OPTIONS  # noqa: E402


@pytest.fixture(scope='module')
def pose_hand(hand_model):
    """A function (curl 0 to 1, id) that gives the keypoints (21, 3) of a right hand in its wrist frame."""

    def pose(curl):
        angles = np.zeros((15, 3))
        angles[:12, 1], angles[12:, 1] = 1.3 * curl, 0.4 * curl
        local = rotvec_to_matrix(angles @ C_RIGHT.T)
        out = hand_model(np.zeros((1, 10)), np.eye(3)[None], local[None])
        return (out.keypoints[0] - out.keypoints[0, 0]) @ C_RIGHT

    return pose


@pytest.fixture
def graph(ros):
    """Of each test alone: nothing of another runs beside it."""
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def operate(graph, request, make_hand, pose_hand):
    """A function that gives an Operator before a node with these parameters."""

    def start(**options):
        base = make_hand()

        def hand(curl):
            return dataclasses.replace(base, keypoints_wrist=pose_hand(curl), **operator.changes)

        name = f'teleop_{len(request.node.name)}_{abs(hash(request.node.name)) % 10**8}'
        operator = Operator.__new__(Operator)
        operator.changes = {}
        operator.__init__(graph, name, hand, **options)
        return operator

    return start


def test_it_follows_and_every_controller_gets_its_message(operate):
    operator = operate(**ARM).engaged()
    operator.moves()
    operator.rests()
    closed = np.array(operator.commands[-1].position)
    operator.moves(0.0)
    operator.rests()
    opened = np.array(operator.commands[-1].position)
    names = list(operator.commands[-1].name)
    bends = [names.index(f'joint_{joint}.0') for joint in (1, 2, 5, 6, 9, 10)]
    assert (closed[bends] - opened[bends] > 0.5).all(), closed - opened
    operator.graph.wait(lambda: operator.trajectories and operator.arrays and operator.twists)
    trajectory = operator.trajectories[-1]
    assert stamp_to_ns(trajectory.header.stamp) == 0 and trajectory.joint_names == names
    (point,) = trajectory.points
    assert 0 < point.time_from_start.nanosec < 50_000_000 and not point.velocities
    assert np.allclose(point.positions, opened, atol=1e-3)
    assert np.allclose(operator.arrays[-1].data, opened, atol=1e-3)
    assert operator.targets[-1].header.frame_id == 'base'
    operator.assert_within_limits()


def test_a_viewer_sees_workspace_target_and_state(operate):
    operator = operate(**ARM)
    shown = operator.graph.hear(MarkerArray, f'{operator.ns}/teleop_node/markers', 1)
    operator.engaged()
    operator.graph.wait(lambda: shown and shown[-1].markers[2].text.startswith('engaged'))
    box, axes, _ = shown[-1].markers
    assert box.header.frame_id == 'base' and box.scale.x == 2.0 and box.pose.position.z == 0.75
    assert np.allclose([axes.points[0].x, axes.points[0].z], operator.tool[[0, 2]])


def test_commands_have_the_order_of_the_parameter(operate):
    operator = operate(joints=['joint_2.0', 'joint_0.0']).engaged()
    operator.moves()
    operator.rests()
    state = dict(zip(operator.commands[-1].name, operator.commands[-1].position, strict=True))
    wanted = [state['joint_2.0'], state['joint_0.0']]
    operator.graph.wait(lambda: np.allclose(operator.arrays[-1].data, wanted))
    assert operator.trajectories[-1].joint_names == ['joint_2.0', 'joint_0.0']


def test_the_arm_moves_as_the_wrist_moves(operate):
    operator = operate(**ARM).engaged()
    start = operator.hand(0).wrist_position
    operator.changes['wrist_position'] = start + [0.06, 0.0, -0.03]

    def arrived():
        place = operator.targets[-1].pose.position
        return np.allclose([place.x, place.y, place.z], operator.tool + [0.06, 0.0, -0.03], atol=1e-4)

    operator.graph.wait(arrived)
    operator.assert_within_limits()


# faults


def silence(operator):
    operator.sees = None


def no_hand(operator):
    operator.sees = False


def stale(operator):
    operator.age = 1.5


def ahead(operator):
    operator.age = -1.5


def another_operator(operator):
    operator.changes['operator'] = False


def not_a_number(operator):
    def spoil(hand):
        hand.keypoints_wrist[8].x = float('nan')

    operator.spoil = spoil


def infinite(operator):
    def spoil(hand):
        hand.keypoint_stddev = [float('inf')] * 21

    operator.spoil = spoil


def robot_silent(operator):
    operator.robot_speaks = False


def switch_silent(operator):
    operator.pressed, operator.engages_again = None, False


def switch_released(operator):
    operator.pressed = False


FAULTS = {
    'silence': (silence, 'holding', 'no new hands'),
    'lost hand': (no_hand, 'holding', 'no right hand of the operator: no hand is seen'),
    'stale stamps': (stale, 'holding', 'hands too old: 1.5'),
    'stamps ahead': (ahead, 'holding', 'hands from the future'),
    "another person's hand": (another_operator, 'holding', 'no right hand of the operator: another'),
    'NaN': (not_a_number, 'holding', 'not finite'),
    'infinity': (infinite, 'holding', 'not finite'),
    'robot state': (robot_silent, 'disengaged', 'no joint_states for 2 s'),
    'switch silent': (switch_silent, 'disengaged', 'silent for 2 s: call engage again'),
    'switch released': (switch_released, 'disengaged', 'is released'),
}


def numbers(pose):
    """A geometry_msgs/Pose as numbers."""
    p, q = pose.position, pose.orientation
    return [p.x, p.y, p.z, q.x, q.y, q.z, q.w]


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_in_motion_brakes_within_the_limits_and_says_why(operate, fault):
    spoil, state, says = FAULTS[fault]
    operator = operate(**ARM).engaged()
    operator.moves()
    usual = {name: getattr(operator, name) for name in ('sees', 'age', 'spoil', 'robot_speaks', 'pressed')}
    spoil(operator)
    operator.wait(state, says)
    if state == 'holding':
        operator.rests()
    else:
        number = operator.graph.wait(lambda: quiet(operator))
        assert len(operator.commands) == number
    for name, value in usual.items():
        setattr(operator, name, value)
    operator.changes.clear()
    if fault == 'switch silent':
        operator.wait('disengaged', 'call engage again')
        operator.engage()
    operator.wait('engaged')
    operator.moves(0.0)
    operator.assert_within_limits()


def quiet(operator):
    """The number of commands once no more come: ten states have been told since."""
    number, states = len(operator.commands), len(operator.states)
    operator.graph.wait(lambda: len(operator.states) > states + 10)
    return number if len(operator.commands) == number else 0


def test_stop_ends_the_commands(operate):
    operator = operate(on_lost='stop').engaged()
    operator.moves()
    operator.sees = None
    operator.wait('disengaged', 'no new hands')
    operator.graph.wait(lambda: quiet(operator))
    assert np.allclose(operator.commands[-1].velocity, 0, atol=1e-6)
    operator.assert_within_limits()


def test_an_id_change_is_another_hand(operate):
    operator = operate(**ARM).engaged()
    before = operator.targets[-1].pose
    operator.changes.update(id=7, wrist_position=operator.hand(0).wrist_position + [0.4, 0.0, 0.0])
    operator.wait('holding', 'hand 1 became hand 7')
    operator.wait('engaged', 'following hand 7')
    assert np.allclose(numbers(operator.targets[-1].pose), numbers(before), atol=1e-6)
    operator.assert_within_limits()


def test_re_engaging_far_away_does_not_move_the_arm(operate):
    operator = operate(**ARM).engaged()
    operator.pressed = False
    operator.wait('disengaged', 'is released')
    number, before = len(operator.targets), operator.targets[-1].pose
    turned = rotvec_to_matrix(np.array([0.0, 0.9, 0.0]))
    operator.changes.update(
        wrist_position=np.array([-0.3, 0.2, 1.0]), mano_pose=np.zeros(48), wrist_rotation=turned
    )
    operator.curl, operator.pressed = 1.0, True
    operator.wait('engaged')
    for target in operator.targets[number:]:
        p, q = target.pose.position, target.pose.orientation
        assert np.allclose(
            [p.x, p.y, p.z], [before.position.x, before.position.y, before.position.z], atol=1e-6
        )
        assert np.isclose(abs(q.w), abs(before.orientation.w), atol=1e-6)
    operator.assert_within_limits()


def test_a_leap_of_the_hand_is_refused(operate):
    operator = operate(**ARM).engaged()
    operator.changes['wrist_position'] = operator.hand(0).wrist_position + [0.5, 0.0, 0.0]
    operator.wait('holding', 'impossible motion: wrist')
    operator.wait('engaged')
    operator.assert_within_limits()


def test_without_robot_state_it_does_not_engage(operate):
    operator = operate(**ARM)
    operator.robot_speaks = False
    assert operator.engage().success
    operator.wait('disengaged', 'joint_0.0')  # never heard, or no longer
    operator.robot_speaks, operator.has_arm = True, False
    operator.wait('disengaged', 'the pose of tool_frame in base_frame is unknown')
    assert not operator.commands
    operator.has_arm = True
    operator.wait('engaged')


def test_a_robot_description_may_come_late_and_may_be_wrong(operate):
    operator = operate(describe=False)
    assert not operator.engage().success
    operator.wait('disengaged', 'no robot description on')
    operator.describe('<robot name="x"><link name="only"/></robot>')
    operator.wait('disengaged', 'no joint that can be commanded')
    operator.describe(URDF.read_text())
    operator.wait('disengaged', 'not engaged')
    operator.engaged()


def test_a_clock_that_is_set_loses_the_hand(graph, operate):
    clock = graph.node.create_publisher(ClockMsg, '/clock', 10)
    operator = operate(use_sim_time=True)
    time_ns = [100 * 10**9]

    class Simulated:
        """The clock that the stamps are of."""

        def now(self):
            return type('Now', (), {'nanoseconds': time_ns[0]})

    operator.clock = Simulated()

    def tick():
        time_ns[0] += 10**7
        clock.publish(ClockMsg(clock=ns_to_stamp(time_ns[0])))

    timer = graph.node.create_timer(0.01, tick)
    operator.engaged()
    operator.moves()
    for shift in (-50 * 10**9, 300 * 10**9):
        time_ns[0] += shift
        operator.wait('holding', 'the clock was set' if shift < 0 else 'time leapt')
        operator.wait('engaged')
    timer.cancel()
    operator.assert_within_limits()


def test_deactivated_it_brakes_and_sends_nothing(operate):
    operator = operate().engaged()
    operator.moves()
    operator.change(Transition.TRANSITION_DEACTIVATE)
    operator.wait('disengaged', 'the node is inactive')
    operator.graph.wait(lambda: quiet(operator))
    assert np.allclose(operator.commands[-1].velocity, 0, atol=1e-6)
    operator.change(Transition.TRANSITION_ACTIVATE)
    operator.wait('disengaged', 'not engaged')
    operator.engaged()
    operator.assert_within_limits()


# parameters, services and diagnostics


def test_config_lists_every_parameter_with_its_default(operate):
    text = (ROOT / 'config/teleop.yaml').read_text()
    config = yaml.safe_load(text)['/**']['ros__parameters']
    assert {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()} == {
        name: option.default for name, option in TELEOP_OPTIONS.items()
    }
    node = operate().node
    for name, option in TELEOP_OPTIONS.items():
        descriptor = node.describe_parameter(name)
        assert descriptor.description and descriptor.type == node.get_parameter(name).type_.value
        assert option.range_text in descriptor.additional_constraints
        (line,) = re.findall(rf'^    {name}: .*# (.*)', text, re.M)
        assert line.startswith('(activate)') == (option.read_at is ReadAt.ACTIVATE)
        assert line.startswith('(start)') == (option.read_at is ReadAt.START) == descriptor.read_only


def test_nobody_names_a_file_or_turns_the_switch_off_while_it_runs(operate):
    node = operate().node
    node.trigger_deactivate()
    for name, value in {'robot': '/etc/hostname', 'retargeting': 'mine.yaml', 'dead_man': False}.items():
        result = node.set_parameters([Parameter(name, value=value)])[0]
        assert not result.successful and 'read only' in result.reason


@pytest.mark.parametrize(
    'name, value, says',
    [
        ('workspace', [0.0, 1.0], '6 numbers, each -10 to 10 m'),
        ('workspace', [0.0, 0.0, 0.0, 1.0, 1.0, 50.0], '6 numbers, each -10 to 10 m'),
        ('joints', 'joint_0.0', 'a list of texts'),
        ('joint_speed', 900.0, 'rad/s'),
        ('max_age', 200.0, 'Did you mean 0.2'),
    ],
)
def test_values_out_of_range_are_refused_at_the_start(ros, name, value, says):
    with pytest.raises(OptionError, match=name) as error:
        TeleopNode(namespace='refused', parameter_overrides=[Parameter(name, value=value)])
    assert says in str(error.value)


@pytest.mark.parametrize(
    'name, value', [('workspace', [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]), ('base_frame', 'world')]
)
def test_values_that_do_not_fit_together_fail_configure_and_activate(graph, name, value):
    wrong = Parameter(name, value=value)
    node = graph.add(TeleopNode(namespace='unfit', parameter_overrides=[wrong]))
    assert node.trigger_configure() == FAILURE and name in node.diagnostics.failure[0]
    right = Parameter(name, value=TELEOP_OPTIONS[name].default)
    assert node.set_parameters([right])[0].successful
    assert node.trigger_configure() != FAILURE
    assert node.set_parameters([wrong])[0].successful
    assert node.trigger_activate() == FAILURE and name in node.diagnostics.failure[0]
    assert node.set_parameters([right])[0].successful
    assert node.trigger_activate() != FAILURE


def test_a_missing_package_fails_configure_with_the_command(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, 'maskhand_ros.retargeting', None)
    node = graph.add(TeleopNode(namespace='bare', parameter_overrides=[Parameter('robot', value=str(URDF))]))
    assert node.trigger_configure() == FAILURE and 'maskhand_ros[teleop]' in node.diagnostics.failure[1]


def test_calibration_watches_a_flat_hand(operate):
    operator = operate()
    before = operator.node.retargeter.scaling.copy()
    answer = operator.calibrate()
    assert answer.success and 'calibrated with' in answer.message, answer.message
    assert not np.allclose(operator.node.retargeter.scaling, before)
    operator.curl = 1.0
    answer = operator.calibrate()
    assert not answer.success and 'flat' in answer.message
    operator.engaged()
    answer = operator.calibrate()
    assert not answer.success and 'disengaged' in answer.message


def test_diagnostics_count_what_was_refused(operate):
    operator = operate().engaged()
    not_a_number(operator)
    operator.wait('holding', 'not finite')

    def told():
        for status in (s for msg in operator.diagnostics for s in msg.status):
            values = {value.key: value.value for value in status.values}
            if int(values.get('hand with numbers that are not finite: count', 0)) > 3:
                return values
        return None

    assert len(operator.graph.wait(told)['hand with numbers that are not finite: remedy']) > 5


def test_a_robot_without_the_named_joints_fails_configure_with_the_remedy(graph):
    from rclpy.parameter import Parameter

    from maskhand_ros.nodes.teleop_node import FAILURE, TeleopNode

    values = {'robot': str(URDF), 'joints': ['elbow']}
    node = TeleopNode(
        namespace='wrong_joints',
        parameter_overrides=[Parameter(key, value=value) for key, value in values.items()],
    )
    try:
        assert node.trigger_configure() == FAILURE
        assert 'elbow' in node.diagnostics.failure[0] and 'joint_0.0' in node.diagnostics.failure[1]
        node.set_parameters([Parameter('joints', value=[''])])
        assert node.trigger_configure() != FAILURE
    finally:
        node.destroy_node()
