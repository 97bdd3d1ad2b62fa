"""Before any test imports rclpy: the environment that ROS starts in. Fixtures of all tests."""

import shutil

import environment
import pytest

from maskhand_ros.clip import read_clip
from maskhand_ros.perception.weights import SHIPPED

environment.prepare()


@pytest.fixture(scope='session')
def clip():
    """The bundled clip."""
    return read_clip()


@pytest.fixture
def weights(tmp_path):
    """Folder with a copy of the shipped weights; model_json.py changes its model.json."""
    return shutil.copytree(SHIPPED, tmp_path / 'weights')
