"""Which geoms of a hand may not run into each other, and how far the centres of two tips are at contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mink
import mujoco
import numpy as np

from maskhand_ros.retargeting.robot_hand import RobotHand

PRESS = 0.003
"""Depth by which geoms may run into each other, m: fingers that hold something press."""
SEEN_FROM = 0.015
"""Distance, m, below which two geoms take part in the solution."""


def collision_limit(robot: RobotHand, wrist: int, tips: Mapping[int, int]) -> list[mink.Limit]:
    """The limit on the distances of the geoms of different fingers, and of the palm and the last two links of
    each; empty where the model has no geoms. `tips`: {finger: body}."""
    chains = {finger: _chain(robot, tip, wrist) for finger, tip in tips.items()}
    groups = {finger: _geoms(robot.model, bodies) for finger, bodies in chains.items()}
    ends = [geom for bodies in chains.values() for geom in _geoms(robot.model, bodies[:2])]
    shared = set.intersection(*map(set, chains.values())) if len(chains) > 1 else set()
    palm = _geoms(robot.model, [0, wrist, *shared])
    pairs = [(groups[a], groups[b]) for a in groups for b in groups if a < b]
    pairs = [pair for pair in [*pairs, (palm, ends)] if pair[0] and pair[1]]
    if not pairs:
        return []
    return [
        mink.CollisionAvoidanceLimit(
            robot.model,
            pairs,
            gain=1.0,
            minimum_distance_from_collisions=-PRESS,
            collision_detection_distance=SEEN_FROM,
        )
    ]


def contact_distances(model: mujoco.MjModel, thumb: int, tips: Sequence[int]) -> np.ndarray:
    """Distance (P,) between the origins of two tip bodies whose surfaces touch, m: the sum of the radii of
    their spheres or capsules; 0 for tips without."""
    return np.array([_radius(model, thumb) + _radius(model, tip) for tip in tips])


def _radius(model: mujoco.MjModel, body: int) -> float:
    round_types = int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_CAPSULE)
    sizes = [float(model.geom_size[g, 0]) for g in _geoms(model, [body]) if model.geom_type[g] in round_types]
    return max(sizes, default=0.0)


def _chain(robot: RobotHand, tip: int, wrist: int) -> list[int]:
    """Bodies from the tip down to the one before the wrist."""
    bodies, body = [], tip
    while body not in (wrist, 0):
        bodies.append(body)
        body = int(robot.model.body_parentid[body])
    return bodies


def _geoms(model: mujoco.MjModel, bodies: Sequence[int]) -> list[int]:
    return [
        geom
        for geom in range(model.ngeom)
        if model.geom_bodyid[geom] in bodies and (model.geom_contype[geom] or model.geom_conaffinity[geom])
    ]
