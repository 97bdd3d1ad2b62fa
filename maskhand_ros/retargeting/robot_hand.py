"""Robot hand read from URDF or MJCF: joints, limits, links, and joints that follow others."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from maskhand_ros.errors import ModelError
from maskhand_ros.retargeting.couplings import couplings
from maskhand_ros.retargeting.mjcf import remove_missing_meshes
from maskhand_ros.retargeting.urdf import URDF_FIX, mujoco_urdf, root_link, urdf_velocities

JOINT_VELOCITY = 8.0
"""Maximum speed of a joint whose model states none, rad/s."""


class RobotHand:
    """A hand with N commanded joints in a MuJoCo model of V degrees of freedom.

    Joints that follow others (mimic joints, joints on a common tendon) are not among the commanded ones: all
    V positions are `expand(joints)`, linear in the commanded ones. Joints of the model that are neither (an
    arm, joints not in `joint_names`) stay at their rest position.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        joint_names: Sequence[str] | None = None,
        velocities: dict[str, float] | None = None,
        root_link: str = 'world',
    ) -> None:
        self.model, self._root_link = model, root_link
        simple = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)
        names = [model.joint(j).name for j in range(model.njnt) if model.jnt_type[j] in simple]
        if model.nv != model.njnt or len(names) != model.njnt:
            raise ModelError('the robot model has a free or ball joint', 'describe the hand on a fixed base')
        followers = couplings(model)
        free = [name for name in names if model.joint(name).id not in followers]
        self.joint_names: list[str] = self._chosen(names, free, joint_names)
        self.rest = _rest(model)
        ids = [model.joint(name).id for name in self.joint_names]
        self._expansion, self._offset = self._expand_matrix(ids, followers)
        self._limits = self._joint_limits(ids, velocities or {})

    @classmethod
    def load(cls, source: str | Path, joint_names: Sequence[str] | None = None) -> RobotHand:
        """The hand in a URDF or MJCF file, or in such a text (a `robot_description`). Visuals of a URDF are
        not read, and meshes that cannot be found are left out. `joint_names`: the commanded joints, in this
        order; None: all. ModelError if the model cannot be read."""
        text, folder = _read(source)
        velocities: dict[str, float] = {}
        root = 'world'
        try:
            if re.search(r'<robot[\s>]', text):
                velocities, root = urdf_velocities(text), root_link(text)
                spec = mujoco.MjSpec.from_string(mujoco_urdf(text, folder))
            else:
                spec = mujoco.MjSpec.from_file(str(source)) if folder else mujoco.MjSpec.from_string(text)
                remove_missing_meshes(spec, folder)
            model = spec.compile()
        except (ValueError, ElementTree.ParseError) as error:
            name = source if folder else 'the robot description'
            raise ModelError(
                f'{name} cannot be read: {" ".join(str(error).split())[:200]}', URDF_FIX
            ) from error
        return cls(model, joint_names, velocities, root)

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower (N,), upper (N,) in rad (m for sliding joints) and velocity (N,) per second."""
        return self._limits

    @property
    def expansion(self) -> np.ndarray:
        """(V, N) derivative of all joint positions by the commanded ones."""
        return self._expansion

    def expand(self, joints: np.ndarray) -> np.ndarray:
        """Positions (V,) of all joints for commanded ones (N,)."""
        return self._expansion @ joints + self._offset

    def body(self, link: str) -> int:
        """MuJoCo's id of a link; 0, the world, for the root link of a URDF. ModelError if there is none of
        that name."""
        if link == self._root_link:
            return 0
        try:
            return int(self.model.body(link).id)
        except KeyError as error:
            names = [self._root_link, *(self.model.body(b).name for b in range(1, self.model.nbody))]
            raise ModelError(
                f'the robot has no link {link!r}', f'name one of {", ".join(names)[:400]}'
            ) from error

    def joints_between(self, link: int, above: int = 0) -> set[int]:
        """Joints on the way from body `above` (not included) to body `link`."""
        found: set[int] = set()
        while link not in (above, 0):
            first, count = self.model.body_jntadr[link], self.model.body_jntnum[link]
            found.update(range(first, first + count))
            link = int(self.model.body_parentid[link])
        return found

    def _chosen(self, names: list[str], free: list[str], asked: Sequence[str] | None) -> list[str]:
        for name in asked or ():
            if name not in names:
                raise ModelError(f'the robot has no joint {name!r}', f'name one of {", ".join(names)[:400]}')
        chosen = [name for name in asked or free if name in free]
        if not chosen:
            raise ModelError('the robot has no joint that can be commanded', URDF_FIX)
        return chosen

    def _expand_matrix(
        self, ids: list[int], followers: dict[int, tuple[int, float, float]]
    ) -> tuple[np.ndarray, np.ndarray]:
        matrix, offset = np.zeros((self.model.nv, len(ids))), self.rest.copy()
        for column, joint in enumerate(ids):
            matrix[joint, column], offset[joint] = 1.0, 0.0
        for joint, (leader, ratio, shift) in followers.items():
            factor = ratio
            while leader in followers:
                leader, more, ahead = followers[leader]
                shift, factor = shift + factor * ahead, factor * more
            if leader in ids:
                matrix[joint, ids.index(leader)], offset[joint] = factor, shift
            else:
                offset[joint] = shift + factor * self.rest[leader]
        return matrix, offset

    def _joint_limits(
        self, ids: list[int], velocities: dict[str, float]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Limits of the commanded joints that keep their followers within limits too."""
        lower, upper = np.full(len(ids), -np.pi), np.full(len(ids), np.pi)
        speed = np.full(len(ids), np.inf)
        for joint in range(self.model.njnt):
            for column in np.flatnonzero(self._expansion[joint]):
                factor = self._expansion[joint, column]
                if self.model.jnt_limited[joint]:
                    ends = np.sort((self.model.jnt_range[joint] - self._offset[joint]) / factor)
                    lower[column], upper[column] = max(lower[column], ends[0]), min(upper[column], ends[1])
                own = velocities.get(self.model.joint(joint).name, 0.0) or JOINT_VELOCITY
                speed[column] = min(speed[column], own / abs(factor))
        return lower, upper, np.minimum(speed, JOINT_VELOCITY)


def _rest(model: mujoco.MjModel) -> np.ndarray:
    """Positions (V,) nearest to zero that the limits allow."""
    rest = model.qpos0.copy()
    limited = model.jnt_limited.astype(bool)
    rest[limited] = np.clip(rest[limited], *model.jnt_range[limited].T)
    return rest


def _read(source: str | Path) -> tuple[str, Path | None]:
    """Text of a model, and the folder of its file; None where `source` is the text itself."""
    if isinstance(source, str) and source.lstrip().startswith('<'):
        return source, None
    path = Path(source)
    try:
        return path.read_text(), path.resolve().parent
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f'{path} cannot be read ({error})', 'name a URDF or MJCF file') from error
