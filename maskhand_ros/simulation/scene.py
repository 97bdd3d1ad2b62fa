"""MuJoCo scene: a hand on a base that follows a target pose, a table, a cube, lights and a camera."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from maskhand_ros.errors import ModelError
from maskhand_ros.retargeting.urdf import URDF_FIX, mujoco_urdf

TIMESTEP = 0.002
CUBE_SIDE = 0.045
CUBE_MASS = 0.06
"""Edge of the cube, m, and its mass, kg."""
STIFFNESS, DAMPING, TORQUE = 3.0, 0.12, 0.7
"""Position servos of the joints: N m/rad, N m s/rad, and the greatest torque, N m (Allegro Hand: 0.70)."""
PREFIX = 'hand/'
"""Of the names of bodies and joints of the hand."""
FRICTION = 1.2
"""Coefficient of sliding friction: rubber fingertips."""
_CAMERA_FROM, _CAMERA_AT = np.array([0.50, 0.0, 0.24]), np.array([0.0, 0.07, 0.13])


def build_scene(urdf: Path) -> mujoco.MjModel:
    """The model with the hand of a URDF file. ModelError if it cannot be read."""
    spec = mujoco.MjSpec()
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.headlight.ambient[:] = 0.35
    _add_surroundings(spec)
    _add_cube(spec)
    _add_hand(spec, urdf)
    model = spec.compile()
    # Of the compiled model: what MjSpec takes for these fields differs between versions of MuJoCo.
    hinges = model.jnt_dofadr[model.jnt_type == int(mujoco.mjtJoint.mjJNT_HINGE)]
    model.dof_damping[hinges], model.dof_frictionloss[hinges], model.dof_armature[hinges] = 0.01, 0.0, 2e-4
    return model


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    world.add_geom(
        name='table',
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.4, 0.4, 0.02],
        pos=[0, 0, -0.02],
        rgba=[0.55, 0.45, 0.36, 1],
        friction=[FRICTION, 0.01, 0.001],
    )
    spec.add_texture(
        name='sky',
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.75, 0.78, 0.80],
        rgb2=[0.45, 0.50, 0.55],
        width=64,
        height=384,
    )
    world.add_light(pos=[0.3, -0.4, 1.2], dir=[-0.25, 0.3, -1], type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
    forward = _CAMERA_AT - _CAMERA_FROM
    right = np.cross(forward, [0, 0, 1])
    up = np.cross(right, forward)
    axes = np.concatenate([right / np.linalg.norm(right), up / np.linalg.norm(up)])
    camera = world.add_camera(name='view', pos=_CAMERA_FROM, fovy=45)
    camera.alt.type, camera.alt.xyaxes = mujoco.mjtOrientation.mjORIENTATION_XYAXES, axes


def _add_cube(spec: mujoco.MjSpec) -> None:
    cube = spec.worldbody.add_body(name='cube', pos=[0, 0, CUBE_SIDE / 2])
    cube.add_freejoint(name='cube')
    cube.add_geom(
        name='cube',
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[CUBE_SIDE / 2] * 3,
        mass=CUBE_MASS,
        rgba=[0.85, 0.25, 0.15, 1],
        friction=[FRICTION, 0.02, 0.001],
        condim=4,
    )


def _add_hand(spec: mujoco.MjSpec, urdf: Path) -> None:
    """The hand on a free base body `base` that a weld draws to the mocap body `target`."""
    try:
        hand = mujoco.MjSpec.from_string(mujoco_urdf(urdf.read_text(), urdf.resolve().parent, visuals=True))
    except (OSError, ValueError) as error:
        raise ModelError(f'{urdf} cannot be read: {" ".join(str(error).split())[:200]}', URDF_FIX) from error
    for geom in hand.geoms:
        # The boxes of the URDF reach into the fingertips: the hulls of the meshes touch in their place.
        is_mesh = geom.type == mujoco.mjtGeom.mjGEOM_MESH
        touches = is_mesh != (geom.type == mujoco.mjtGeom.mjGEOM_SPHERE or geom.parent == hand.bodies[1])
        geom.group = 1 if is_mesh else 3
        if is_mesh and geom.rgba[0] < 0.5:
            geom.rgba = [0.22, 0.24, 0.27, 1]
        geom.friction[0], geom.condim = FRICTION, 4
        geom.contype = geom.conaffinity = int(touches)
    spec.worldbody.add_body(name='target', mocap=True)
    base = spec.worldbody.add_body(name='base')
    base.add_freejoint(name='base')
    base.mass, base.inertia, base.explicitinertial = 0.5, [1e-3] * 3, True
    spec.attach(hand, prefix=PREFIX, frame=base.add_frame())
    for joint in hand.joints:
        _add_servo(spec, joint.name)
    links = [body for body in spec.bodies if body.name.startswith(PREFIX)]
    for body in [base, *links]:
        body.gravcomp = 1
    for body in links[1:]:  # the links at the palm overlap it
        spec.add_exclude(bodyname1=links[0].name, bodyname2=body.name)
    weld = spec.add_equality(
        type=mujoco.mjtEq.mjEQ_WELD, name1='target', name2='base', objtype=mujoco.mjtObj.mjOBJ_BODY
    )
    weld.solref = [0.02, 1]
    weld.data[:10] = 0.0
    weld.data[10] = 1.0


def _add_servo(spec: mujoco.MjSpec, joint: str) -> None:
    servo = spec.add_actuator(
        name=joint, target=PREFIX + joint.removeprefix(PREFIX), trntype=mujoco.mjtTrn.mjTRN_JOINT
    )
    servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    servo.gainprm[0] = STIFFNESS
    servo.biasprm[1:3] = -STIFFNESS, -DAMPING
    servo.forcelimited, servo.forcerange = True, [-TORQUE, TORQUE]
