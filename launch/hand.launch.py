"""Hands on a camera topic: starts, configures and activates hand_node. See ros2 launch ... --show-args."""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch_ros.actions import LifecycleNode, Node

from maskhand_ros.nodes.launching import autostart
from maskhand_ros.nodes.shared_files import profile_variable
from maskhand_ros.options import OPTIONS

SHARE = get_package_share_directory('maskhand_ros')
BOOLEAN = ['true', 'false']
MAX_HANDS = OPTIONS['max_hands'].limits

# name, default, choices (None: anything), description. The choice '' leaves the value of params_file.
ARGUMENTS = (
    ('image', 'image', None, 'image topic (sensor_msgs/Image)'),
    ('camera_info', '', None, 'CameraInfo topic; empty: camera_info in the namespace of the image topic'),
    ('camera_frame', '', None, 'TF frame of the camera, replaces the frame_id of its images'),
    (
        'depth',
        '',
        None,
        'depth image topic, for absolute scale, with camera_info in the same namespace; empty: none',
    ),
    ('compressed', '', ['', *BOOLEAN], 'subscribe to <image>/compressed in place of <image>'),
    ('device', '', ['', *OPTIONS['device'].choices], 'execution device of the networks; no silent fallback'),
    ('model', '', None, 'folder of the model files; empty: the value of params_file'),
    ('hand_model', '', None, 'hand model from `maskhand convert-mano`; empty: the value of params_file'),
    ('max_hands', '', ['', *map(str, range(MAX_HANDS[0], MAX_HANDS[1] + 1))], 'maximum tracked hands'),
    ('namespace', '', None, 'namespace of the node, its relative topics and its TF frames'),
    (
        'params_file',
        os.path.join(SHARE, 'config', 'hand.yaml'),
        None,
        'YAML file with the parameters of the node',
    ),
    ('rviz', 'false', BOOLEAN, 'start rviz2 with the view of this package'),
    ('fixed_frame', 'camera_optical_frame', None, 'fixed frame of rviz2, such as the frame_id of the images'),
    ('use_sim_time', 'false', BOOLEAN, 'use the time of /clock (bags, simulation)'),
    ('autostart', 'true', BOOLEAN, 'configure and activate the node; false: use `ros2 lifecycle set`'),
)


def sibling(topic, name):
    """Return the topic `name` in the namespace of `topic`: /camera/image_raw, camera_info ->
    /camera/camera_info."""
    return topic.rpartition('/')[0] + '/' + name if '/' in topic else name


def parameters(value):
    """Return the parameters that were given as arguments; the rest comes from params_file."""
    given = {
        'use_sim_time': value['use_sim_time'] == 'true',
        'camera_frame': value['camera_frame'],
        'use_depth': value['depth'] and True,
        'compressed': value['compressed'] and value['compressed'] == 'true',
        'device': value['device'],
        'weights_dir': value['model'],
        'hand_model': value['hand_model'],
        'max_hands': value['max_hands'] and int(value['max_hands']),
    }
    return {name: setting for name, setting in given.items() if setting != ''}


def start(context):
    """Return the actions, now that the arguments have values."""
    value = {argument[0]: context.launch_configurations[argument[0]] for argument in ARGUMENTS}
    remappings = [
        ('image', value['image']),
        ('camera_info', value['camera_info'] or sibling(value['image'], 'camera_info')),
    ]
    if value['depth']:
        remappings += [
            ('depth/image', value['depth']),
            ('depth/camera_info', sibling(value['depth'], 'camera_info')),
        ]
    node = LifecycleNode(
        package='maskhand_ros',
        executable='hand_node',
        name='hand_node',
        namespace=value['namespace'],
        parameters=[value['params_file'], parameters(value)],
        remappings=remappings,
        output='screen',
    )
    actions = fast_dds_profile() + [node]
    if value['autostart'] == 'true':
        actions += autostart(node)
    if value['rviz'] == 'true':
        actions.append(
            Node(
                package='rviz2',
                executable='rviz2',
                namespace=value['namespace'],
                arguments=['-d', os.path.join(SHARE, 'config', 'hand.rviz'), '-f', value['fixed_frame']],
                parameters=[{'use_sim_time': value['use_sim_time'] == 'true'}],
            )
        )
    return actions


def fast_dds_profile():
    """Return the setting of our Fast DDS profile (images through shared memory), unless the user has one."""
    name = profile_variable()
    return (
        []
        if os.environ.get(name)
        else [SetEnvironmentVariable(name, os.path.join(SHARE, 'config', 'fastdds.xml'))]
    )


def generate_launch_description():
    """Declare the arguments, then start."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, choices=choices, description=text)
                for name, default, choices, text in ARGUMENTS
            ),
            OpaqueFunction(function=start),
        ]
    )
