"""Before any test imports rclpy: the environment that ROS starts in."""

import environment

environment.prepare()
