"""The plugin in the real lerobot: found by its distribution, built from a configuration, driven by the clip.

Needs lerobot and the plugin in the environment (not editable: lerobot would not find it).
"""

import numpy as np
import pytest

pytest.importorskip('lerobot')
pytest.importorskip('mink')
from lerobot.teleoperators.config import TeleoperatorConfig  # noqa: E402
from lerobot.teleoperators.utils import make_teleoperator_from_config  # noqa: E402
from lerobot.utils.import_utils import register_third_party_plugins  # noqa: E402

from maskhand_ros.clip import TELEOP_CLIP  # noqa: E402


@pytest.fixture
def teleoperator(tmp_path):
    register_third_party_plugins()
    config_class = TeleoperatorConfig.get_choice_class('maskhand')
    config = config_class(id='me', calibration_dir=tmp_path, source=str(TELEOP_CLIP), arm=True)
    teleoperator = make_teleoperator_from_config(config)
    yield teleoperator
    teleoperator.disconnect()


def test_actions_match_their_features_and_follow_the_hand(teleoperator):
    features = teleoperator.action_features
    with pytest.raises(ConnectionError, match='call connect'):
        teleoperator.get_action()
    teleoperator.connect()
    actions = [teleoperator.get_action() for _ in range(75)]
    assert all(set(action) == set(features) for action in actions) and len(features) == 22
    assert all(type(value) is kind for name, kind in features.items() for value in [actions[-1][name]])
    assert teleoperator.is_connected and teleoperator.is_calibrated
    joints = np.array([[action[name] for name in features if name.endswith('.pos')] for action in actions])
    assert np.abs(joints[60] - joints[30]).max() > 0.5  # flat, then a pinch
    assert np.abs(np.diff(joints, axis=0)).max() <= 6.0 / 30 + 0.01


def test_a_source_that_is_not_there_is_an_error(teleoperator):
    teleoperator.config.source = 'nowhere.mp4'
    with pytest.raises(FileNotFoundError, match='nowhere.mp4'):
        teleoperator.connect()
    assert not teleoperator.is_connected
