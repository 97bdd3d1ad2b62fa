"""Robot models: mimic joints, tendons, missing meshes; and the configurations that users have."""

import numpy as np
import pytest

pytest.importorskip('mink')
from hands import FINGER_CONFIG, SURE, finger  # noqa: E402

from maskhand_ros.errors import ModelError  # noqa: E402
from maskhand_ros.retargeting import Retargeter, RetargetingConfig, RobotHand  # noqa: E402
from maskhand_ros.retargeting.config import SHIPPED  # noqa: E402

MIMIC = '<mimic joint="one" multiplier="2" offset="0.1"/>'
TENDON = """
<mujoco><compiler angle="radian"/><worldbody>
  <body name="palm"><geom size="0.01"/>
    <body name="a"><joint name="one" axis="0 1 0" range="0 1.5"/><geom size="0.01"/>
      <body name="b" pos="0.05 0 0"><joint name="two" axis="0 1 0" range="0 1.2"/><geom size="0.01"/>
        <body name="tip" pos="0.03 0 0"><geom size="0.01"/></body></body></body></body>
</worldbody>
<tendon><fixed name="both"><joint joint="one" coef="1"/><joint joint="two" coef="1"/></fixed></tendon>
<actuator><position name="both" tendon="both"/></actuator></mujoco>"""
DEX = """
retargeting:
  type: {type}
  urdf_path: allegro_hand/allegro_hand_right.urdf
  target_joint_names: null
  wrist_link_name: "palm_link"
  finger_tip_link_names: [ "link_15.0_tip", "link_3.0_tip", "link_7.0_tip", "link_11.0_tip" ]
  target_origin_link_names: [ "palm_link", "palm_link", "palm_link", "palm_link" ]
  target_task_link_names: [ "link_15.0_tip", "link_3.0_tip", "link_7.0_tip", "link_11.0_tip" ]
  scaling_factor: 1.6
  target_link_human_indices: [ [ 0, 0, 0, 0 ], [ 4, 8, 12, 16 ] ]
  low_pass_alpha: 0.2
"""


def test_a_mimic_joint_follows_and_is_not_commanded():
    robot = RobotHand.load(finger(MIMIC))
    assert robot.joint_names == ['one']
    np.testing.assert_allclose(robot.expand(np.array([0.3])), [0.3, 0.7])
    lower, upper, velocity = robot.limits
    np.testing.assert_allclose([lower[0], upper[0]], [-0.05, 0.65])  # so that `two` stays in 0 to 1.4
    assert velocity[0] == 2.5  # so that `two` stays below 5
    retargeter = Retargeter(robot, RetargetingConfig.load(FINGER_CONFIG))
    keypoints = np.zeros((21, 3))
    for _ in range(60):
        keypoints[8], keypoints[7] = (0.055, 0, -0.05), (0.045, 0, -0.02)
        found = retargeter(keypoints, SURE, 1 / 30)
    one, two = retargeter._configuration.q
    assert two == pytest.approx(2 * one + 0.1) and found.joints[0] == one and 0.2 < one < 0.65


def test_joints_on_a_common_tendon_share_the_motion():
    robot = RobotHand.load(TENDON)
    assert robot.joint_names == ['one']
    np.testing.assert_allclose(robot.expand(np.array([0.4])), [0.4, 0.4])
    assert robot.limits[1][0] == pytest.approx(1.2)


def test_missing_meshes_are_left_out_and_what_cannot_be_read_is_an_error(tmp_path):
    visual = '<visual><geometry><mesh filename="package://nowhere/a.stl"/></geometry></visual>'
    path = tmp_path / 'finger.urdf'
    path.write_text(
        finger().replace(
            '<link name="a">', '<link name="a">' + visual + visual.replace('visual', 'collision')
        )
    )
    assert RobotHand.load(path).joint_names == ['one', 'two']
    assert RobotHand.load(path, ['two']).joint_names == ['two']
    for source, said in (
        ('<robot name="r"><link', 'cannot be read'),
        (str(tmp_path / 'none.urdf'), 'none.urdf cannot be read'),
        ('<robot name="r"><link name="a"/></robot>', 'no joint'),
    ):
        with pytest.raises(ModelError, match=said):
            RobotHand.load(source)
    with pytest.raises(ModelError, match="no joint 'three'.*one, two"):
        RobotHand.load(path, ['three'])


def test_an_mjcf_without_its_meshes_can_be_retargeted_to(tmp_path):
    look = '<texture name="t" type="2d" file="t.png"/><material name="m" texture="t"/>'
    asset = f'<asset>{look}<mesh file="a.stl"/></asset>'
    mesh = '<geom type="mesh" mesh="a" material="m"/>'
    text = TENDON.replace('<worldbody>', asset + '<worldbody>').replace('<geom size="0.01"/>', mesh)
    path = tmp_path / 'hand.xml'
    path.write_text(text)
    assert RobotHand.load(path).joint_names == RobotHand.load(text).joint_names == ['one']


@pytest.mark.parametrize('kind', ['vector', 'DexPilot'])
def test_a_configuration_of_dex_retargeting_works(tmp_path, kind):
    path = tmp_path / 'allegro.yml'
    path.write_text(DEX.format(type=kind))
    config = RetargetingConfig.load(path)
    assert [v.human for v in config.vectors] == [(0, 4), (0, 8), (0, 12), (0, 16)]
    assert config.scaling == (1.6,) * 4 and config.tips[0] == 'link_15.0_tip'
    assert any('low_pass_alpha is not used' in warning for warning in config.warnings)
    robot = RobotHand.load(str(RetargetingConfig.shipped().robot_path))
    retargeter = Retargeter(robot, config)
    for _ in range(40):
        found = retargeter(_straight(), SURE, 1 / 30)
    assert found.solved and np.all(np.abs(found.joints[[1, 5, 9]]) < 0.6)


def _straight():
    from hands import posed

    return posed() + [-0.05, 0, 0] * (np.arange(21) > 0)[:, None]


@pytest.mark.parametrize(
    'change, said',
    [
        ({'low_pas_alpha': 0.2}, 'unknown key low_pas_alpha.*remove it'),
        ({'type': 'vectors'}, 'vector, position, dexpilot'),
        ({'target_task_link_names': None}, 'target_task_link_names is missing'),
        ({'target_link_human_indices': [[0, 0], [8, 21]]}, '0 to 20'),
        ({'scaling_factor': [1.0, 2.0, 3.0]}, 'scaling_factor has 3 numbers'),
        ({'scaling_factor': -1}, 'not positive'),
        ({'add_dummy_free_joint': True}, 'leave it out'),
    ],
)
def test_a_wrong_configuration_names_the_key(change, said):
    with pytest.raises(ModelError, match=said):
        RetargetingConfig.load({'retargeting': {**FINGER_CONFIG, **change}})


def test_a_link_that_the_robot_lacks_is_named():
    config = RetargetingConfig.load({**FINGER_CONFIG, 'target_task_link_names': ['tip', 'c']})
    with pytest.raises(ModelError, match="no link 'c'.*palm, a, b, tip"):
        Retargeter(RobotHand.load(finger()), config)


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_hands_load_without_warnings(name):
    assert not RetargetingConfig.shipped(name).warnings
    assert Retargeter.shipped(name).joint_names[0].startswith('joint_')
