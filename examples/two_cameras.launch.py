"""Hands of two cameras: a hand_node in each of two namespaces.

    ros2 launch two_cameras.launch.py left_image:=/cam_l/color/image_raw right_image:=/cam_r/color/image_raw

Topics are /left_camera/hand_node/hands and /right_camera/hand_node/hands, TF frames
left_camera/right_hand/wrist and so on. Any other argument of hand.launch.py, such as device:=cuda, holds for
both. Publish the pose of each camera on the robot, as the README says.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import Action, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def hands_of(camera: str) -> list[Action]:
    """Return the actions of one camera. The group keeps its arguments from the other one."""
    image = f'{camera}_image'
    hand = os.path.join(get_package_share_directory('maskhand_ros'), 'launch', 'hand.launch.py')
    arguments = {'namespace': f'{camera}_camera', 'image': LaunchConfiguration(image)}
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(hand), launch_arguments=arguments.items()
    )
    return [
        DeclareLaunchArgument(
            image,
            default_value=f'/{camera}_camera/image_raw',
            description=f'image topic of the {camera} camera',
        ),
        GroupAction([include], scoped=True),
    ]


def generate_launch_description() -> LaunchDescription:
    """Start both."""
    return LaunchDescription(hands_of('left') + hands_of('right'))
