"""The launch files by the real launch and launch_ros, where an installed ROS 2 has them; skipped
elsewhere."""

import importlib.util
import os
import signal
import subprocess
import sys
import time

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('launch_ros', reason='launch_ros is not among the ROS 2 wheels: needs an installed ROS 2')

from ament_index_python.packages import get_package_share_directory  # noqa: E402
from launch import LaunchContext  # noqa: E402
from launch.actions import DeclareLaunchArgument  # noqa: E402
from lifecycle_msgs.msg import State  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402

from maskhand_ros.nodes.shared_files import profile_variable  # noqa: E402
from maskhand_ros.teleoperation.options import TELEOP_OPTIONS  # noqa: E402

ARGUMENTS = {
    'image',
    'camera_info',
    'camera_frame',
    'depth',
    'compressed',
    'device',
    'model',
    'hand_model',
    'max_hands',
    'namespace',
    'params_file',
    'rviz',
    'fixed_frame',
    'use_sim_time',
    'autostart',
}
RUN = (
    'import sys; from launch import LaunchDescription, LaunchService; '
    'from launch.actions import IncludeLaunchDescription as Include; '
    'from launch.launch_description_sources import PythonLaunchDescriptionSource as Source; '
    'service = LaunchService(); '
    'service.include_launch_description(LaunchDescription([Include(Source(sys.argv[1]), '
    'launch_arguments=[a.split(":=") for a in sys.argv[2:]])])); sys.exit(service.run())'
)


def path(name):
    """Return where the launch file `name` is installed."""
    return os.path.join(get_package_share_directory('maskhand_ros'), 'launch', name)


def module(name):
    """Return the launch file `name` as a module."""
    spec = importlib.util.spec_from_file_location(name.replace('.', '_'), path(name))
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_argument_is_described():
    entities = module('hand.launch.py').generate_launch_description().entities
    arguments = {e.name: e for e in entities if isinstance(e, DeclareLaunchArgument)}
    assert set(arguments) == ARGUMENTS
    assert all(len(argument.description) > 10 for argument in arguments.values())
    assert arguments['device'].choices == ['', 'cpu', 'cuda', 'tensorrt']


def test_every_argument_of_teleoperation_is_described():
    launch = module('teleop.launch.py')
    described = launch.generate_launch_description().entities
    arguments = {e.name: e for e in described if isinstance(e, DeclareLaunchArgument)}
    assert set(arguments) == {argument[0] for argument in launch.ARGUMENTS} and not set(arguments) & ARGUMENTS
    assert all(len(argument.description) > 10 for argument in arguments.values())
    for name, value in launch.SIMULATED.items():
        TELEOP_OPTIONS[name].check(value)


def test_arguments_not_given_leave_the_parameter_file_alone():
    hand = module('hand.launch.py')
    value = {name: default for name, default, _, _ in hand.ARGUMENTS}
    assert hand.parameters(value) == {'use_sim_time': False}
    given = dict(
        value, compressed='false', device='cuda', max_hands='1', camera_frame='head', depth='/d/image'
    )
    assert hand.parameters(given) == {
        'use_sim_time': False,
        'compressed': False,
        'device': 'cuda',
        'max_hands': 1,
        'camera_frame': 'head',
        'use_depth': True,
    }
    assert hand.sibling('/cam/color/image_raw', 'camera_info') == '/cam/color/camera_info'
    assert hand.sibling('image', 'camera_info') == 'camera_info'


def test_the_users_fast_dds_profile_stays(monkeypatch):
    hand, name = module('hand.launch.py'), profile_variable()
    monkeypatch.setenv(name, '/mine.xml')
    assert hand.fast_dds_profile() == []
    monkeypatch.delenv(name)
    (action,) = hand.fast_dds_profile()
    action.execute(LaunchContext())
    assert os.environ.pop(name).endswith('config/fastdds.xml')


@pytest.mark.parametrize('autostart, wanted', [('true', State.PRIMARY_STATE_ACTIVE), ('false', 1)])
def test_launch_brings_the_node_to_its_state(autostart, wanted):
    arguments = [f'autostart:={autostart}', f'namespace:=launched_{autostart}']
    process = subprocess.Popen([sys.executable, '-c', RUN, path('hand.launch.py'), *arguments])
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('launch_test', context=context)
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        executor.add_node(node)
        client = node.create_client(GetState, f'/launched_{autostart}/hand_node/get_state')
        assert client.wait_for_service(60), 'hand_node did not start'
        state, end = None, time.monotonic() + 60
        while state != wanted and time.monotonic() < end:
            future = client.call_async(GetState.Request())
            executor.spin_until_future_complete(future, timeout_sec=5)
            state = future.result().current_state.id if future.done() else None
        assert state == wanted
    finally:
        rclpy.shutdown(context=context)
        process.send_signal(signal.SIGINT)  # launch ends its nodes on SIGINT, not on SIGTERM
        process.wait(30)
