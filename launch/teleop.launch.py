"""Teleoperation: hand_node on a camera topic and teleop_node, with sim:=true before a simulated hand.

Accepts the arguments of hand.launch.py too.

    ros2 launch maskhand_ros teleop.launch.py sim:=true camera:=0
    ros2 launch maskhand_ros teleop.launch.py image:=/camera/image_raw teleop_params:=mine.yaml

With sim:=true nothing real moves: the hand is followed at once, without a dead-man switch. Else call the
service engage, and hold the switch (topic enable).
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import LifecycleNode, Node

from maskhand_ros.nodes.launching import autostart
from maskhand_ros.teleoperation.options import TELEOP_OPTIONS

SHARE = get_package_share_directory('maskhand_ros')
BOOLEAN = ['true', 'false']

# name, default, choices (None: anything), description
ARGUMENTS = (
    ('sim', 'false', BOOLEAN, 'start sim_node, a simulated Allegro hand, and connect teleop_node to it'),
    (
        'side',
        '',
        ['', *TELEOP_OPTIONS['side'].choices],
        'hand that is followed; empty: as in teleop_params',
    ),
    ('camera', '-1', None, 'number of the webcam that clip_player publishes; -1: none'),
    ('video', '', None, 'video file that clip_player publishes; empty: none; demo: the bundled clip'),
    ('teleop_params', os.path.join(SHARE, 'config', 'teleop.yaml'), None, 'YAML file of teleop_node'),
    (
        'joint_trajectory',
        'hand_controller/joint_trajectory',
        None,
        'topic of joint_trajectory_controller (hand)',
    ),
    ('commands', 'hand_controller/commands', None, 'topic of forward_command_controller (hand)'),
    ('arm_target', 'arm_controller/target_pose', None, 'topic of the Cartesian controller of the arm'),
    ('enable', 'enable', None, 'topic of the dead-man switch (std_msgs/Bool)'),
)
SIMULATED = {
    'base_frame': 'world',
    'tool_frame': 'palm_link',
    'workspace': [-0.3, -0.3, 0.1, 0.3, 0.3, 0.5],
    'dead_man': False,
}
"""Parameters of teleop_node before sim_node."""


def start(context):
    """Return the actions, now that the arguments have values."""
    value = {argument[0]: context.launch_configurations[argument[0]] for argument in ARGUMENTS}
    namespace = context.launch_configurations['namespace']
    simulated, time = value['sim'] == 'true', context.launch_configurations['use_sim_time'] == 'true'
    given = {'use_sim_time': time, **({'side': value['side']} if value['side'] else {})}
    teleop = LifecycleNode(
        package='maskhand_ros',
        executable='teleop_node',
        name='teleop_node',
        namespace=namespace,
        parameters=[value['teleop_params'], {**given, **(SIMULATED if simulated else {})}],
        remappings=[
            ('hands', 'hand_node/hands'),
            ('enable', value['enable']),
            *((f'~/{name}', value[name]) for name in ('joint_trajectory', 'commands', 'arm_target')),
        ],
        output='screen',
    )
    actions = [teleop, *autostart(teleop)]
    if simulated:
        actions.append(
            Node(package='maskhand_ros', executable='sim_node', namespace=namespace, output='screen')
        )
    if value['video'] or int(value['camera']) >= 0:
        video = '' if value['video'] == 'demo' else value['video']
        source = {'camera': int(value['camera']), 'video': video, 'loop': True}
        actions.append(
            Node(
                package='maskhand_ros',
                executable='clip_player',
                namespace=namespace,
                parameters=[source],
                output='screen',
            )
        )
    return actions


def generate_launch_description():
    """Declare the arguments; hand.launch.py comes first: its Fast DDS profile holds for all."""
    hand = os.path.join(SHARE, 'launch', 'hand.launch.py')
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, choices=choices, description=text)
                for name, default, choices, text in ARGUMENTS
            ),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(hand)),
            OpaqueFunction(function=start),
        ]
    )
