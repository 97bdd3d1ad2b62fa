"""Before any test imports rclpy: the environment that ROS starts in. Fixtures of all tests."""

import environment
import pytest

from maskhand_ros.clip import read_clip

environment.prepare()


@pytest.fixture(scope='session')
def clip():
    """The bundled clip."""
    return read_clip()
