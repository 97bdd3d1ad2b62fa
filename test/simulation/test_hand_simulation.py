"""The simulated hand: it goes where it is told, by physics, the same every time."""

import numpy as np
import pytest

pytest.importorskip('mujoco', reason="needs pip install 'maskhand_ros[teleop]'")

from maskhand_ros.errors import FieldError, ModelError  # noqa: E402
from maskhand_ros.geometry import rotvec_to_matrix  # noqa: E402
from maskhand_ros.simulation import HandSimulation  # noqa: E402
from maskhand_ros.simulation.grasp import GraspWatch  # noqa: E402
from maskhand_ros.simulation.hand_simulation import HOME  # noqa: E402
from maskhand_ros.teleoperation.records import Pose  # noqa: E402


@pytest.fixture(scope='module')
def built():
    return HandSimulation()


@pytest.fixture
def simulation(built):
    built.reset()
    return built


def test_joints_and_base_go_where_they_are_told(simulation):
    joints = simulation.joints + 0.4 * np.tile([0, 1, 1, 1], 4)
    turn = rotvec_to_matrix(np.array([0, 0, 0.5]))
    target = Pose(HOME.position + [0.1, -0.05, 0.1], turn @ HOME.rotation)
    simulation.command(joints, target)
    simulation.step(1.0)
    assert simulation.time == pytest.approx(1.0)
    np.testing.assert_allclose(simulation.joints, joints, atol=0.05)
    np.testing.assert_allclose(simulation.base_pose.position, target.position, atol=0.002)
    np.testing.assert_allclose(simulation.base_pose.rotation, target.rotation, atol=0.02)
    assert np.abs(simulation.velocities).max() < 0.1
    simulation.command(simulation.joints)  # no pose: the base stays
    simulation.step(0.2)
    np.testing.assert_allclose(simulation.base_pose.position, target.position, atol=0.002)


def test_commands_are_clipped_and_bad_ones_refused(simulation):
    simulation.command(np.full(16, 9.0))
    simulation.step(1.0)
    assert simulation.joints.max() < 1.8
    for bad in (np.zeros(3), np.full(16, np.nan)):
        with pytest.raises(FieldError, match='16 finite'):
            simulation.command(bad)


def test_the_cube_rests_on_the_table_and_its_place_follows_the_seed(simulation):
    simulation.step(0.5)
    assert simulation.cube_contacts == {'table'}
    resting = simulation.cube_pose
    simulation.reset(3)
    simulation.step(0.5)
    moved = simulation.cube_pose
    assert 1e-4 < np.linalg.norm((moved.position - resting.position)[:2]) < 0.012
    simulation.reset(3)
    simulation.step(0.5)
    np.testing.assert_array_equal(simulation.cube_pose.position, moved.position)


def test_a_hand_that_grasps_nothing_lifts_nothing(simulation):
    watch = GraspWatch(simulation)
    for height in np.linspace(0, 0.1, 20):
        simulation.command(simulation.joints, Pose(HOME.position + [0, 0, height], HOME.rotation))
        simulation.step(0.05)
        watch.look()
    assert watch.outcome() == 'not lifted' and watch.lift < 1e-3


def test_an_image_shows_the_scene(simulation):
    try:
        before = simulation.render(160, 120)
    except ModelError as error:
        pytest.skip(str(error))
    assert before.shape == (120, 160, 3) and before.dtype == np.uint8 and before.std() > 10
    simulation.command(simulation.joints, Pose(HOME.position - [0, 0, 0.1], HOME.rotation))
    simulation.step(1.0)
    assert np.abs(simulation.render(160, 120).astype(int) - before).mean() > 1
