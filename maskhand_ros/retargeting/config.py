"""Configuration of the retargeting, in the YAML keys of dex-retargeting
(https://github.com/dexsuite/dex-retargeting, `configs/teleop`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.errors import ModelError
from maskhand_ros.retargeting.config_keys import CONFIG_FIX, Keys
from maskhand_ros.skeleton import FINGERS, TIP_KEYPOINTS

ROBOTS = Path(__file__).resolve().parents[1] / 'robots'
SHIPPED = {f'allegro_{side}': ROBOTS / f'allegro/allegro_{side}.yaml' for side in ('right', 'left')}
"""Configurations that are part of the package: name, file."""


@dataclass(frozen=True)
class Vector:
    """A vector of the robot that shall equal a vector of the hand, scaled."""

    origin: str
    """Link."""
    tip: str
    """Link."""
    human: tuple[int, int]
    """Keypoints from and to."""
    weight: float = 1.0

    @property
    def finger(self) -> int:
        """Index in FINGERS of the finger that the vector ends at."""
        return (self.human[1] - 1) // 4


@dataclass(frozen=True)
class RetargetingConfig:
    """What is retargeted to which links, and how."""

    type: str
    """vector, position or dexpilot."""
    vectors: tuple[Vector, ...]
    tips: Mapping[int, str]
    """{index in FINGERS: fingertip link}; those that have one can pinch."""
    scaling: tuple[float, ...]
    """One for each of `vectors`: length of the robot's over length of the hand's."""
    wrist_link: str | None = None
    """Link whose axes turn with the wrist; None: the root of the robot."""
    joint_names: tuple[str, ...] | None = None
    """Commanded joints in their order; None: all."""
    robot_path: Path | None = None
    joint_velocity: float = 8.0
    """Maximum speed of every joint, rad/s; what the robot's model states is held too."""
    pinch_near: float = 0.03
    """Distance of thumb tip and fingertip of the hand, m, at which the robot's touch."""
    pinch_far: float = 0.06
    """Distance above which they are independent of each other, m."""
    wrist_rotation: np.ndarray | None = None
    """(3, 3) wrist frame in the axes of `wrist_link`; None: from the knuckles of both."""
    warnings: tuple[str, ...] = field(default=())
    """What was read and is not used, with the reason."""

    @classmethod
    def shipped(cls, name: str = 'allegro_right') -> RetargetingConfig:
        """One of SHIPPED."""
        if name not in SHIPPED:
            raise ModelError(f'no shipped configuration {name!r}', f'choose one of {", ".join(SHIPPED)}')
        return cls.load(SHIPPED[name])

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> RetargetingConfig:
        """The configuration in a YAML file of dex-retargeting, in its content, or of a name in SHIPPED.

        ModelError names the key that is missing, wrong or unknown.
        """
        if isinstance(source, str) and source in SHIPPED:
            source = SHIPPED[source]
        folder = None if isinstance(source, Mapping) else Path(source).resolve().parent
        keys = Keys.read(source)
        kind = keys.choice('type', ('vector', 'position', 'dexpilot'))
        wrist = keys.text('wrist_link_name')
        tips = keys.names('finger_tip_link_names')
        vectors = _READERS[kind](keys, wrist, tips)
        weights = keys.numbers('vector_weights', len(vectors), 1.0)
        path = keys.text('urdf_path')
        turn = keys.numbers('wrist_rotation', 9, np.nan)
        joints = keys.names('target_joint_names')
        config = cls(
            type=kind,
            vectors=tuple(
                Vector(v.origin, v.tip, v.human, weight) for v, weight in zip(vectors, weights, strict=True)
            ),
            tips=_tips(vectors, tips),
            scaling=tuple(keys.numbers('scaling_factor', len(vectors), 1.0)),
            wrist_link=wrist,
            joint_names=tuple(joints) if joints else None,
            robot_path=_path(path, folder),
            joint_velocity=keys.numbers('joint_velocity', 1, 8.0)[0],
            pinch_near=keys.numbers('project_dist', 1, 0.03)[0],
            pinch_far=keys.numbers('escape_dist', 1, 0.06)[0],
            wrist_rotation=None if np.isnan(turn[0]) else np.reshape(turn, (3, 3)),
            warnings=keys.finish(),
        )
        config._check()
        return config

    def _check(self) -> None:
        if min(self.scaling) <= 0:
            raise ModelError('scaling_factor is not positive', CONFIG_FIX)
        if not 0 < self.pinch_near < self.pinch_far:
            raise ModelError('project_dist is not between 0 and escape_dist', 'give 0.03 and 0.06, in metres')
        if self.joint_velocity <= 0:
            raise ModelError('joint_velocity is not positive', 'give rad/s, for example 8')


def _vector(keys: Keys, wrist: str | None, tips: list[str]) -> list[Vector]:
    origins, ends = keys.needed_names('target_origin_link_names'), keys.needed_names('target_task_link_names')
    indices = keys.indices(2, len(origins))
    if len(ends) != len(origins):
        raise ModelError(
            'target_origin_link_names and target_task_link_names differ in length',
            'name a pair of links each',
        )
    return [Vector(o, e, (a, b)) for o, e, a, b in zip(origins, ends, *indices, strict=True)]


def _position(keys: Keys, wrist: str | None, tips: list[str]) -> list[Vector]:
    links = keys.needed_names('target_link_names')
    (indices,) = keys.indices(1, len(links))
    return [Vector(wrist or '', link, (0, k)) for link, k in zip(links, indices, strict=True) if k > 0]


def _dexpilot(keys: Keys, wrist: str | None, tips: list[str]) -> list[Vector]:
    if not tips:
        raise ModelError('finger_tip_link_names is missing', 'name the fingertip links, thumb first')
    keys.ignore('target_link_human_indices', 'its pairs follow from the number of fingertips')
    return [Vector(wrist or '', tip, (0, k)) for tip, k in zip(tips, TIP_KEYPOINTS, strict=False)]


_READERS = {'vector': _vector, 'position': _position, 'dexpilot': _dexpilot}


def _tips(vectors: list[Vector], tips: list[str]) -> dict[int, str]:
    """The fingertip links: named, thumb first, else the ends of vectors to fingertips."""
    if tips:
        return dict(enumerate(tips[: len(FINGERS)]))
    return {v.finger: v.tip for v in vectors if v.human[1] in TIP_KEYPOINTS}


def _path(path: str | None, folder: Path | None) -> Path | None:
    """Path of the robot's model: beside the configuration, else as it is."""
    if path is None:
        return None
    beside = folder / path if folder else Path(path)
    return beside if beside.is_file() else Path(path)
