"""A robot hand on a base that goes where it is told, above a table with a cube."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from maskhand_ros.errors import FieldError
from maskhand_ros.geometry import matrix_to_quaternion, quaternion_to_matrix
from maskhand_ros.retargeting.config import ROBOTS
from maskhand_ros.simulation.offscreen import Offscreen
from maskhand_ros.simulation.scene import CUBE_SIDE, PREFIX, build_scene
from maskhand_ros.teleoperation.records import Pose

URDF = ROBOTS / 'allegro/allegro_hand_right.urdf'
HOME = Pose(np.array([0.0, 0.1, 0.27]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]]))
"""Base pose after `reset`: fingers (z of the Allegro's palm) to the world's -y, palm (its x) down."""
SPREAD, TURN = 0.008, np.deg2rad(10)
"""Largest displacement along x and y, m, and turn about z, rad, of the cube at `reset(seed)`."""


class HandSimulation:
    """Real physics of an Allegro hand (or another URDF) whose N joints are driven by position servos.

    World: x, y on the table, z up, the table's top at z = 0. Base poses are of the URDF's root link.
    """

    def __init__(self, urdf: str | Path = URDF) -> None:
        self.model = build_scene(Path(urdf))
        self._data = mujoco.MjData(self.model)
        joints = [self.model.joint(j) for j in self.model.actuator_trnid[:, 0]]
        self.joint_names = [joint.name.removeprefix(PREFIX) for joint in joints]
        self._position = np.array([joint.qposadr[0] for joint in joints])
        self._velocity = np.array([joint.dofadr[0] for joint in joints])
        self._lower, self._upper = np.array([joint.range for joint in joints]).T
        self._renderer: Offscreen | None = None
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Hand at HOME with open fingers, cube below it; `seed` displaces and turns the cube a little."""
        mujoco.mj_resetData(self.model, self._data)
        open_hand = np.clip(0.0, self._lower, self._upper)
        self._data.qpos[self._position] = open_hand
        self._data.ctrl[:] = open_hand
        self._set_free('base', HOME)
        self.command(open_hand, HOME)
        x, y, turn = np.zeros(3)
        if seed is not None:
            x, y, turn = np.random.default_rng(seed).uniform(-1, 1, 3) * (SPREAD, SPREAD, TURN)
        c, s = np.cos(turn), np.sin(turn)
        place = CUBE_PLACE + [x, y, 0]
        self._set_free('cube', Pose(place, np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])))
        mujoco.mj_forward(self.model, self._data)

    def command(self, joints: np.ndarray, base_pose: Pose | None = None) -> None:
        """Set the targets: joints (N,) rad, clipped to their limits, and the base pose; None leaves that.
        FieldError for another shape or values that are not finite."""
        joints = np.asarray(joints, float)
        if joints.shape != self._lower.shape or not np.isfinite(joints).all():
            raise FieldError(f'joints have shape {joints.shape}', f'give {len(self._lower)} finite angles')
        self._data.ctrl[:] = np.clip(joints, self._lower, self._upper)
        if base_pose is not None:
            target = self.model.body('target').mocapid[0]
            self._data.mocap_pos[target] = base_pose.position
            self._data.mocap_quat[target] = _wxyz(base_pose.rotation)

    def step(self, seconds: float) -> None:
        """Advance by about `seconds`, a whole number of time steps of 2 ms, at least one."""
        count = max(1, round(seconds / self.model.opt.timestep))
        mujoco.mj_step(self.model, self._data, count)

    def copy_state(self, other: HandSimulation) -> None:
        """Take the state of another simulation of the same hand, such as to render it in another thread."""
        mujoco.mj_copyData(self._data, self.model, other._data)

    @property
    def time(self) -> float:
        """Simulated seconds since `reset`."""
        return float(self._data.time)

    @property
    def joints(self) -> np.ndarray:
        """(N,) rad."""
        return self._data.qpos[self._position].copy()

    @property
    def velocities(self) -> np.ndarray:
        """(N,) rad/s."""
        return self._data.qvel[self._velocity].copy()

    @property
    def base_pose(self) -> Pose:
        """Pose of the hand's base in the world."""
        return self._free('base')

    @property
    def cube_pose(self) -> Pose:
        """Pose of the cube's centre in the world."""
        return self._free('cube')

    @property
    def cube_contacts(self) -> set[str]:
        """What the cube touches: 'table', 'hand', both or nothing."""
        cube, table = self.model.geom('cube').id, self.model.geom('table').id
        pairs = [(int(c.geom1), int(c.geom2)) for c in self._data.contact[: self._data.ncon]]
        others = {a + b - cube for a, b in pairs if cube in (a, b)}
        return {'table' if other == table else 'hand' for other in others}

    def render(self, width: int = 480, height: int = 360) -> np.ndarray:
        """Image (height, width, 3) uint8 RGB of the scene. ModelError where no EGL or OSMesa is installed."""
        if self._renderer is None or self._renderer.size != (width, height):
            if self._renderer is not None:
                self._renderer.close()
            self._renderer = Offscreen(self.model, width, height)
        return self._renderer.draw(self._data)

    def _free(self, joint: str) -> Pose:
        start = self.model.joint(joint).qposadr[0]
        values = self._data.qpos[start : start + 7]
        return Pose(values[:3].copy(), quaternion_to_matrix(np.roll(values[3:], -1)))

    def _set_free(self, joint: str, pose: Pose) -> None:
        start = self.model.joint(joint).qposadr[0]
        self._data.qpos[start : start + 7] = [*pose.position, *_wxyz(pose.rotation)]


CUBE_PLACE = np.array([0.0, 0.097, CUBE_SIDE / 2])
"""Centre of the cube on the table before it is displaced, m."""


def _wxyz(rotation: np.ndarray) -> np.ndarray:
    return np.roll(matrix_to_quaternion(rotation), 1)
