"""The installed examples that run until Ctrl-C: followers and a launch file."""

import importlib.util
import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, PoseStamped, PoseWithCovariance, Quaternion, TransformStamped
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.clock import ClockType
from rclpy.time import Time
from stream import Stream
from tf2_msgs.msg import TFMessage

from maskhand_ros.geometry import matrix_to_quaternion, quaternion_to_matrix, rotvec_to_matrix
from maskhand_ros.msg import Hand, HandArray
from maskhand_ros.nodes.messages import ns_to_stamp, stamp_to_ns
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.nodes.shared_files import share_path

EXAMPLES = share_path('examples')
NO_TURN = np.eye(3)
QUARTER_TURN = rotvec_to_matrix([0.0, 0.0, np.pi / 2])


class Following:
    """The node of follower.py, told what time it is, and the targets that it publishes."""

    def __init__(self) -> None:
        spec = importlib.util.spec_from_file_location('follower', EXAMPLES / 'follower.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.node, self.targets, self.now = module.Follower(), [], 100.0
        self.node.target.publish = self.targets.append
        clock = SimpleNamespace(now=lambda: Time(seconds=self.now, clock_type=ClockType.ROS_TIME))
        self.node.get_clock = lambda: clock

    def hear(self, position=(0.0, 0.0, 0.5), turn=NO_TURN, age=0.05, **fields: Any) -> PoseStamped | None:
        """Give it one hand, of an image `age` seconds ago; its answer."""
        before, hand = len(self.targets), Hand(side=Hand.RIGHT, state=Hand.TRACKED, is_operator=True, id=1)
        hand.wrist, hand.confidence = [PoseWithCovariance(pose=to_pose(position, turn))], 0.9
        for name, value in fields.items():
            setattr(hand, name, value)
        message = HandArray(hands=[hand])
        message.header.frame_id = 'camera'
        message.header.stamp = ns_to_stamp(round((self.now - age) * 1e9))
        self.node.on_hands(message)
        assert all(target.header == message.header for target in self.targets[before:])
        return self.targets[-1] if len(self.targets) > before else None


def to_pose(position: Any, turn: np.ndarray) -> Pose:
    """Return a position (3,) and a rotation (3, 3) as geometry_msgs/Pose."""
    (x, y, z), (qx, qy, qz, qw) = map(float, position), matrix_to_quaternion(turn).tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def place(target: PoseStamped) -> list[float]:
    """Return the position (3,) of a target, to a micrometre."""
    position = target.pose.position
    return np.round([position.x, position.y, position.z], 6).tolist()


@pytest.fixture
def following(ros):
    following = Following()
    yield following
    following.node.destroy_node()


@pytest.mark.parametrize(
    'wrong',
    [
        {'age': 0.25},
        {'age': -0.25},
        {'side': Hand.LEFT},
        {'state': Hand.TENTATIVE},
        {'state': Hand.PREDICTED},
        {'is_operator': False},
        {'wrist': []},
        {'confidence': 0.5},
    ],
    ids=str,
)
def test_follower_answers_only_fresh_tracked_right_hands_of_the_operator(following, wrong):
    assert following.hear() and not following.hear(**wrong) and following.hear()


def test_follower_moves_with_the_hand_and_never_jumps(following):
    assert place(following.hear((0.3, 0.1, 0.7))) == [0, 0, 0.5]  # parameter `start`
    assert place(following.hear((0.35, 0.1, 0.6))) == [0.05, 0, 0.4]
    assert place(following.hear((-0.2, 0.0, 0.9), id=2)) == [0.05, 0, 0.4]  # another hand
    assert place(following.hear((-0.2, 0.1, 0.9), id=2)) == [0.05, 0.1, 0.4]
    following.now += 0.3
    assert place(following.hear((0.2, 0.3, 0.4), id=2)) == [0.05, 0.1, 0.4]  # it was away and moved
    assert place(following.hear((0.2, 0.3, 0.5), id=2)) == [0.05, 0.1, 0.5]


def test_follower_turns_with_the_hand_about_the_axes_of_the_camera(following):
    tilted = rotvec_to_matrix([0.4, -0.2, 0.1])
    following.hear(turn=tilted)
    target = following.hear(turn=QUARTER_TURN @ tilted)
    q = target.pose.orientation
    np.testing.assert_allclose(quaternion_to_matrix([q.x, q.y, q.z, q.w]), QUARTER_TURN, atol=1e-6)
    assert place(target) == [0, 0, 0.5]


@pytest.fixture
def start():
    """A function that starts a program in the background.

    It ends with the test as by Ctrl-C in a terminal, which reaches its children too.
    """
    started = []

    def start(*command):
        started.append(subprocess.Popen([sys.executable, *map(str, command)], start_new_session=True))

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGINT)
    codes = [process.wait(30) for process in started]
    assert codes == [0] * len(codes)


@pytest.fixture
def clip_hands(graph):
    """A hand_node in /examples that sees the clip now, with a transform from base_link to its camera."""
    watched = graph.watch('examples', camera=False)
    static = graph.node.create_publisher(TFMessage, '/tf_static', LATCHED)
    camera = TransformStamped(child_frame_id='camera')
    camera.header.frame_id = 'base_link'
    camera.transform.translation.x = 2.0
    static.publish(TFMessage(transforms=[camera]))
    stream = Stream(watched.name, rate=15)
    yield watched
    stream.close()
    graph.node.destroy_publisher(static)


def test_followers_answer_hand_node(graph, start, clip_hands):
    targets = graph.hear(PoseStamped, '/examples/target_pose')
    start(EXAMPLES / 'follower.py', '--ros-args', '-r', '__ns:=/examples')
    graph.wait(lambda: len(targets) >= 10)
    stamps = {stamp_to_ns(message.header.stamp) for message in clip_hands.heard}
    assert {stamp_to_ns(target.header.stamp) for target in targets[:10]} <= stamps
    # The first target of all may have been published before this listener was discovered.
    steps = np.linalg.norm(np.diff([[0, 0, 0.5], *map(place, targets[:10])], axis=0), axis=1)
    assert steps.max() < 0.05 and {target.header.frame_id for target in targets} == {'camera'}


def test_tf_follower_finds_the_transform_of_each_image(graph, start, clip_hands):
    pytest.importorskip('tf2_ros', reason='tf2_ros is not among the ROS 2 wheels: needs an installed ROS 2')
    poses = graph.hear(PoseStamped, '/examples/wrist_pose')
    frame = 'wrist_frame:=examples/right_hand/wrist'
    start(EXAMPLES / 'tf_follower.py', '--ros-args', '-r', '__ns:=/examples', '-p', frame)
    graph.wait(lambda: len(poses) >= 40)
    found = {stamp_to_ns(pose.header.stamp): pose for pose in poses[:40]}
    wrists = {
        stamp_to_ns(message.header.stamp): hand.wrist[0].pose
        for message in clip_hands.heard
        for hand in message.hands
        if hand.side == Hand.RIGHT and hand.state == Hand.TRACKED
    }
    asked = [stamp for stamp in wrists if min(found) <= stamp <= max(found)]
    assert len(found) >= 0.9 * len(asked)
    for stamp, pose in found.items():
        assert pose.header.frame_id == 'base_link'
        assert pose.pose.position.x == pytest.approx(2.0 + wrists[stamp].position.x, abs=1e-6)


LAUNCH = (
    'import sys; from launch import LaunchDescription, LaunchService; '
    'from launch.actions import IncludeLaunchDescription as Include; '
    'from launch.launch_description_sources import PythonLaunchDescriptionSource as Source; '
    'service = LaunchService(); service.include_launch_description('
    'LaunchDescription([Include(Source(sys.argv[1]))])); sys.exit(service.run())'
)


def test_two_cameras_have_an_active_node_each(graph, start):
    pytest.importorskip(
        'launch_ros', reason='launch_ros is not among the ROS 2 wheels: needs an installed ROS 2'
    )
    start('-c', LAUNCH, EXAMPLES / 'two_cameras.launch.py')
    for camera in ('left_camera', 'right_camera'):
        client = graph.node.create_client(GetState, f'/{camera}/hand_node/get_state')
        graph.wait(client.service_is_ready, 60)
        graph.wait(lambda client=client: state(graph, client) == State.PRIMARY_STATE_ACTIVE, 60)
        assert graph.node.get_subscriptions_info_by_topic(f'/{camera}/image_raw')


def state(graph: Any, client: Any) -> int:
    """Return the lifecycle state that a node tells."""
    return graph.ask(client, GetState.Request()).current_state.id
