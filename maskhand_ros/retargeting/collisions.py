"""Collision limits between the geoms of a robot hand, and the distance of two tips at contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mink
import mujoco
import numpy as np

from maskhand_ros.retargeting.robot_hand import RobotHand

PRESS = 0.003
"""Depth by which geoms may run into each other, m: fingers that hold something press."""
LINKS = 5
"""Links of a finger, from the tip, that the tips of other fingers are kept away from."""
DETECTION_DISTANCE = 0.015
"""Distance of two geoms, m, below which their distance is limited."""


def collision_limit(robot: RobotHand, wrist: int, tips: Mapping[int, int]) -> list[mink.Limit]:
    """The limit on the distances of each tip from the last links of other fingers and from the palm; empty
    where the model has no such geoms. `tips`: {finger: body}.

    Links beside tips are not kept from each other: their geoms are often boxes that reach beyond the link.
    """
    model = robot.model
    ends = {finger: _geoms(model, _chain(robot, tip, wrist)[:LINKS]) for finger, tip in tips.items()}
    palm = _geoms(model, _palm(robot, wrist, list(tips.values())))
    pairs = [(_geoms(model, [tip]), palm) for tip in tips.values()]
    pairs += [(_geoms(model, [tips[a]]), ends[b]) for a in ends for b in ends if a != b]
    pairs = [pair for pair in pairs if pair[0] and pair[1]]
    if not pairs:
        return []
    limit = mink.CollisionAvoidanceLimit(
        model,
        pairs,
        gain=1.0,
        minimum_distance_from_collisions=-PRESS,
        collision_detection_distance=DETECTION_DISTANCE,
    )
    return [limit]


def _palm(robot: RobotHand, wrist: int, tips: list[int]) -> list[int]:
    """The bodies below all fingers: the wrist, and what is between it and the first joints."""
    chains = [set(_chain(robot, tip, wrist)) for tip in tips]
    return [0, wrist, *(set.intersection(*chains) if len(chains) > 1 else ())]


def contact_distances(model: mujoco.MjModel, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Distance (P,) between the origins of each pair of tip bodies where their surfaces touch, m: the sum of
    the radii of their spheres or capsules; 0 for tips without."""
    return np.array([_radius(model, one) + _radius(model, other) for one, other in pairs])


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
