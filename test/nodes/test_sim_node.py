"""A real sim_node on the topics of real controllers, alone and before a real teleop_node."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip('mujoco', reason="needs pip install 'maskhand_ros[teleop]'")

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from graph import Graph, counted  # noqa: E402
from rclpy.clock import Clock, ClockType  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray, Header  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

from maskhand_ros.msg import HandArray  # noqa: E402
from maskhand_ros.nodes import messages  # noqa: E402
from maskhand_ros.nodes.outputs import LATCHED  # noqa: E402
from maskhand_ros.nodes.sim_node import SimNode  # noqa: E402
from maskhand_ros.nodes.teleop_node import TeleopNode  # noqa: E402

TF = [word for topic in ('/tf', '/tf_static') for word in ('-r', f'{topic}:=/sim{topic}')]
CONTROLLERS = {
    '~/joint_trajectory': 'hand_controller/joint_trajectory',
    '~/arm_target': 'arm_controller/target_pose',
}


@pytest.fixture
def graph(ros):
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def sim(graph):
    """(sim_node in the namespace sim, its joint states)."""
    node = graph.add(SimNode(namespace='sim', cli_args=['--ros-args', *TF]))
    states = graph.hear(JointState, '/sim/joint_states', 1)
    graph.wait(lambda: states)
    return node, states


def test_it_goes_where_controllers_are_told(graph, sim):
    node, states = sim
    names, start = list(states[-1].name), node.simulation.joints
    trajectory = graph.node.create_publisher(JointTrajectory, '/sim/hand_controller/joint_trajectory', 1)
    commands = graph.node.create_publisher(Float64MultiArray, '/sim/hand_controller/commands', 1)
    target = graph.node.create_publisher(PoseStamped, '/sim/arm_controller/target_pose', 1)
    publishers = trajectory, commands, target
    graph.wait(lambda: all(publisher.get_subscription_count() for publisher in publishers))
    index = names.index('joint_6.0')
    trajectory.publish(
        JointTrajectory(joint_names=['joint_6.0'], points=[JointTrajectoryPoint(positions=[0.8])])
    )
    graph.wait(lambda: states[-1].position[index] == pytest.approx(0.8, abs=0.05))
    commands.publish(Float64MultiArray(data=start.tolist()))
    graph.wait(lambda: states[-1].position[index] == pytest.approx(start[index], abs=0.05))
    base = node.simulation.base_pose
    moved = messages.to_pose(base.position + [0.05, 0, 0.05], base.rotation)
    target.publish(PoseStamped(header=Header(frame_id='world'), pose=moved))
    frames = graph.hear(TFMessage, '/sim/tf', 1)

    def arrived():
        place = frames[-1].transforms[0].transform.translation if frames else None
        return place and np.allclose([place.x, place.y, place.z], base.position + [0.05, 0, 0.05], atol=0.01)

    graph.wait(arrived)
    for number, wrong in enumerate(([np.nan] * 16, [0.0] * 3), 1):
        commands.publish(Float64MultiArray(data=wrong))
        graph.wait(lambda number=number: counted(node.callback_faults) == {'command refused': number})
    assert np.isfinite(node.simulation.joints).all()


def test_the_view_shows_the_hand(graph, sim):
    try:
        sim[0].simulation.render(64, 48)
    except Exception as error:
        pytest.skip(str(error))
    pictures = graph.hear(Image, '/sim/sim_node/view', 1)
    picture = graph.wait(lambda: pictures and pictures[-1])
    rgb = np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.width, 3)
    assert rgb.shape == (360, 480, 3) and rgb.std() > 10


def test_a_hand_in_a_camera_moves_the_simulated_one(graph, sim, make_hand):
    """teleop_node gets model, state and tool from the simulation; the simulated hand goes where the hand
    goes."""
    node, states = sim
    parameters = {'base_frame': 'world', 'tool_frame': 'palm_link', 'dead_man': False, 'ramp': 0.3}
    remapped = [word for pair in CONTROLLERS.items() for word in ('-r', ':='.join(pair))]
    teleop = graph.add(
        TeleopNode(
            namespace='sim',
            cli_args=['--ros-args', *TF, *remapped],
            parameter_overrides=[Parameter(key, value=value) for key, value in parameters.items()],
        )
    )
    assert teleop.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert teleop.trigger_activate() == TransitionCallbackReturn.SUCCESS
    hand, where = make_hand(), np.array([0.0, 0.0, 0.5])
    publisher = graph.node.create_publisher(HandArray, '/sim/hands', 1)

    def show():
        stamp = graph.node.get_clock().now().to_msg()
        seen = messages.hand_to_msg(dataclasses.replace(hand, wrist_position=where))
        publisher.publish(
            HandArray(header=Header(stamp=stamp, frame_id='camera_optical_frame'), hands=[seen])
        )

    graph.node.create_timer(1 / 30, show, clock=Clock(clock_type=ClockType.STEADY_TIME))
    told = graph.hear(DiagnosticStatus, '/sim/teleop_node/state', LATCHED)
    graph.wait(lambda: told and told[-1].message.startswith('engaged'))
    before = node.simulation.base_pose.position
    where -= [0.1, 0.05, 0.0]  # in the camera: left and up, which is to the operator's right, and up
    up, right = np.array([0, 0, 0.05]), np.array([0, -0.1, 0])
    graph.wait(lambda: np.allclose(node.simulation.base_pose.position - before, up + right, atol=0.01))
    commanded = teleop._worker.session._joints
    graph.wait(lambda: commanded.rests and np.abs(node.simulation.joints - commanded.position).max() < 0.15)
    assert np.abs(commanded.position).max() > 0.2
