"""Demo: a webcam or a clip, hand_node and rviz2. Accepts the arguments of hand.launch.py too."""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def generate_launch_description():
    """Declare the arguments; hand.launch.py comes first: its Fast DDS profile holds for the player too."""
    hand = os.path.join(get_package_share_directory('maskhand_ros'), 'launch', 'hand.launch.py')
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'video', default_value='', description='video file to play; empty: the bundled clip'
            ),
            DeclareLaunchArgument(
                'camera', default_value='-1', description='number of the webcam; -1: play the video'
            ),
            DeclareLaunchArgument(
                'loop', default_value='true', choices=['true', 'false'], description='repeat the clip'
            ),
            DeclareLaunchArgument(
                'rviz', default_value='true', choices=['true', 'false'], description='start rviz2'
            ),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(hand)),
            Node(
                package='maskhand_ros',
                executable='clip_player',
                namespace=LaunchConfiguration('namespace'),
                output='screen',
                parameters=[
                    {
                        'video': ParameterValue(LaunchConfiguration('video'), value_type=str),
                        'camera': ParameterValue(LaunchConfiguration('camera'), value_type=int),
                        'loop': ParameterValue(LaunchConfiguration('loop'), value_type=bool),
                    }
                ],
            ),
        ]
    )
