"""Joints that follow others: mimic joints (joint equalities) and joints that share an actuated tendon."""

from __future__ import annotations

import mujoco
import numpy as np

from maskhand_ros.errors import ModelError


def couplings(model: mujoco.MjModel) -> dict[int, tuple[int, float, float]]:
    """{joint: (leader, ratio, offset)}: position = ratio * position of the leader + offset.

    From joint equalities, which mimic joints of a URDF become, and from actuated fixed tendons, whose joints
    are taken to share the motion in the proportion of their coefficients. ModelError for an equality of
    higher than first order.
    """
    return {**_tendons(model), **_equalities(model)}


def _equalities(model: mujoco.MjModel) -> dict[int, tuple[int, float, float]]:
    found = {}
    for number in range(model.neq):
        if model.eq_type[number] != int(mujoco.mjtEq.mjEQ_JOINT) or not model.eq_active0[number]:
            continue
        follower, leader = int(model.eq_obj1id[number]), int(model.eq_obj2id[number])
        factors = model.eq_data[number, :5]
        if leader < 0 or np.any(factors[2:5]):
            name = model.joint(follower).name
            raise ModelError(
                f'joint {name!r} follows another by a polynomial of order 2 or more, or is fixed',
                'describe it by a mimic joint with a multiplier and an offset, or as a fixed joint',
            )
        zero, zero_of_leader = model.qpos0[follower], model.qpos0[leader]
        ratio = float(factors[1])
        found[follower] = leader, ratio, float(zero + factors[0] - ratio * zero_of_leader)
    return found


def _tendons(model: mujoco.MjModel) -> dict[int, tuple[int, float, float]]:
    found = {}
    driven = model.actuator_trntype == int(mujoco.mjtTrn.mjTRN_TENDON)
    for tendon in model.actuator_trnid[driven, 0]:
        first, count = model.tendon_adr[tendon], model.tendon_num[tendon]
        wraps = range(first, first + count)
        if count < 2 or any(model.wrap_type[w] != int(mujoco.mjtWrap.mjWRAP_JOINT) for w in wraps):
            continue
        leader, weight = int(model.wrap_objid[first]), model.wrap_prm[first]
        for wrap in wraps[1:]:
            found[int(model.wrap_objid[wrap])] = leader, float(model.wrap_prm[wrap] / weight), 0.0
    return found
