"""Hand poses to train on: prototypes, mixtures, synergies, thumb contacts; none passes through itself."""

from __future__ import annotations

import numpy as np

from maskhand_ros.data_engine.anatomy import THUMB, Anatomy
from maskhand_ros.data_engine.meshes import anatomy_of
from maskhand_ros.data_engine.prototypes import (
    CONTACTS,
    EVEN,
    HIGH,
    LOW,
    PROTOTYPES,
    TIP,
    PoseMix,
    Prototype,
    angles_of,
)
from maskhand_ros.hand_model.numpy_hand import HandModel

_D = np.pi / 180


def _segment_distance(p: np.ndarray, q: np.ndarray, r: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Distance (...) between the segments p-q and r-s, all (..., 3) (Ericson 2004)."""
    d1, d2, between = q - p, s - r, p - r
    a, e, b = (d1 * d1).sum(-1), (d2 * d2).sum(-1), (d1 * d2).sum(-1)
    c, f = (d1 * between).sum(-1), (d2 * between).sum(-1)
    along = np.clip((b * f - c * e) / np.maximum(a * e - b * b, 1e-12), 0, 1)
    other = np.clip((b * along + f) / e, 0, 1)
    along = np.clip((b * other - c) / a, 0, 1)
    return np.linalg.norm(p + d1 * along[..., None] - r - d2 * other[..., None], axis=-1)


_PAIRS = np.array([(i, j) for i in range(15) for j in range(i + 1, 15) if i // 3 != j // 3])
# Neighbouring proximal bones lie closer than the rule by nature; bones end short of the tip, so that pads may
# meet.
_PAIRS = np.array([(i, j) for i, j in _PAIRS if not (i % 3 == 0 and j % 3 == 0 and j < 12)])
BONE_CLEARANCE, PALM_CLEARANCE = 0.0095, 0.011


def clear(anatomy: Anatomy, angles: np.ndarray) -> np.ndarray:
    """Whether poses (B, 5, 5) keep fingers out of each other and out of the palm: (B,) bool."""
    points, _ = anatomy.points(angles)  # (B, 5, 4, 3)
    start, end = points[:, :, :-1].copy(), points[:, :, 1:].copy()
    end[:, :, 2] = start[:, :, 2] + 0.75 * (end[:, :, 2] - start[:, :, 2])
    start, end = start.reshape(-1, 15, 3), end.reshape(-1, 15, 3)
    i, j = _PAIRS.T
    distance = _segment_distance(start[:, i], end[:, i], start[:, j], end[:, j])
    good = np.all(distance > BONE_CLEARANCE, 1)
    knuckles = anatomy.palm
    palm = [(np.zeros(3), knuckle) for knuckle in knuckles]
    palm += [(knuckles[a], knuckles[b]) for a, b in ((0, 1), (1, 3), (3, 2))]
    distal = [k for k in range(15) if k % 3 == 2 or k == 13]
    for a, b in palm:
        a, b = (np.broadcast_to(end_, (len(angles), len(distal), 3)) for end_ in (a, b))
        good &= (_segment_distance(start[:, distal], end[:, distal], a, b) > PALM_CLEARANCE).all(1)
    return good


def prototype_angles(anatomy: Anatomy, pose: str | Prototype) -> np.ndarray:
    """A Prototype, or the one of this name, as angles (5, 5) in radians, its thumb brought into contact where
    the named pose has one."""
    if not isinstance(pose, str):
        return angles_of(pose)
    name, angles = pose, angles_of(PROTOTYPES[pose])[None]
    if name in CONTACTS:
        finger, place, gap = CONTACTS[name]
        angles = anatomy.touch(
            angles, np.array([finger]), np.array([place]), np.array([gap]), LOW, HIGH, iterations=30
        )
    return angles[0]


def _synergies(n: int, rng: np.random.Generator) -> np.ndarray:
    """Correlated noise (n, 5, 5) radians: a whole-hand closing, a spread, neighbours together, own noise."""
    noise = np.zeros((n, 5, 5))
    close = rng.standard_normal((n, 1)) * np.array([0.8, 1, 1.2, 1.1])
    pair = rng.standard_normal((n, 2))[:, [0, 0, 1, 1]]
    own = rng.standard_normal((n, 4))
    bend = 9 * close + 5 * pair + 6 * own
    noise[:, :4, 0] = bend * 0.8 + 7 * rng.standard_normal((n, 4))
    noise[:, :4, 1] = bend + 6 * rng.standard_normal((n, 4))
    noise[:, :4, 2] = 0.65 * noise[:, :4, 1] + 4 * rng.standard_normal((n, 4))
    fan = np.array([4, 0.8, -5.2, -2.4])
    noise[:, :4, 3] = fan * rng.standard_normal((n, 1)) + 3 * rng.standard_normal((n, 4))
    thumb = rng.standard_normal((n, 3))
    loadings = np.array([[6, 6, 5, 0, 0], [0, 5, 8, 0, 0], [0, 0, 0, 6, 0]])
    noise[:, THUMB] = thumb @ loadings + 4 * rng.standard_normal((n, 5))
    return noise * _D


def _draw(anatomy: Anatomy, n: int, rng: np.random.Generator, mix: PoseMix) -> np.ndarray:
    """n poses (n, 5, 5), not yet checked for penetration."""
    prototypes = np.stack([angles_of(p) for p in mix.prototypes.values()])
    kind, to = mix.draw((2, n), rng)
    blend = (rng.random(n) * (rng.random(n) < mix.blended))[:, None, None]
    angles = prototypes[kind] * (1 - blend) + prototypes[to] * blend
    swap = rng.random((n, 5)) < mix.swapped
    angles = np.where(swap[..., None], prototypes[mix.draw((n, 5), rng), np.arange(5)], angles)
    noise = _synergies(n, rng)
    if mix.least_noise < 1:
        noise *= rng.uniform(mix.least_noise, 1, (n, 1, 1))
    angles = angles + noise
    uniform = LOW + (HIGH - LOW) * rng.random((n, 5, 5))
    uniform[:, :4, 2] = 0.62 * uniform[:, :4, 1] + 8 * _D * rng.standard_normal((n, 4))
    angles = np.where((rng.random(n) < mix.uniform)[:, None, None], uniform, angles)
    # Ligaments: a bent finger can hardly spread, and the twist of the thumb's base follows its abduction.
    angles[:, :4, 3] *= 1 - 0.7 * np.clip(angles[:, :4, 0] / (90 * _D), 0, 1)
    angles[:, THUMB, 4] = 0.4 * angles[:, THUMB, 4] + 0.4 * np.clip(angles[:, THUMB, 3], 0, None)
    return _with_contacts(anatomy, np.clip(angles, LOW, HIGH), kind, blend[:, 0, 0], rng, mix)


def _with_contacts(
    anatomy: Anatomy,
    angles: np.ndarray,
    kind: np.ndarray,
    blend: np.ndarray,
    rng: np.random.Generator,
    mix: PoseMix,
) -> np.ndarray:
    """Poses (n, 5, 5), in a third of them the thumb brought into contact: as the prototype of index `kind`
    (n,) has it, or with any finger's tip."""
    names = tuple(mix.prototypes)
    touching = np.flatnonzero(rng.random(len(angles)) < 0.35)
    if len(touching):
        finger = np.full(len(touching), -1)
        place, gap = np.zeros(len(touching), int), np.zeros(len(touching))
        for row, k in enumerate(kind[touching]):
            rule = mix.contacts.get(names[k])
            if rule and blend[touching[row]] < 0.4:
                finger[row], place[row], gap[row] = rule
            elif rng.random() < 0.35:
                finger[row], place[row], gap[row] = rng.choice(4, p=(0.5, 0.25, 0.1, 0.15)), TIP, 0.008
        gap = gap + np.where(
            place == TIP, rng.uniform(-0.003, 0.006, len(gap)), rng.uniform(-0.001, 0.004, len(gap))
        )
        keep = finger >= 0
        rows = touching[keep]
        angles[rows] = anatomy.touch(angles[rows], finger[keep], place[keep], gap[keep], LOW, HIGH)
    return angles


def sample_angles(anatomy: Anatomy, n: int, rng: np.random.Generator, mix: PoseMix = EVEN) -> np.ndarray:
    """n poses of `mix` as angles (n, 5, 5), within the limits, none passing through itself."""
    kept, count = [np.empty((0, 5, 5))], 0
    while count < n:
        angles = _draw(anatomy, min(2048, int(1.6 * (n - count)) + 64), rng, mix)
        angles = angles[clear(anatomy, angles)]
        kept.append(angles)
        count += len(angles)
    return np.concatenate(kept)[:n]


def sample_poses(hand: HandModel, n: int, rng: np.random.Generator) -> np.ndarray:
    """n poses as hand_pose (n, 15, 3, 3) float64, relative to the rest pose of the HandModel `hand`."""
    anatomy = anatomy_of(hand)
    return anatomy.rotations(sample_angles(anatomy, n, rng))


def sample_betas(n: int, rng: np.random.Generator) -> np.ndarray:
    """n hand shapes (n, 10): unit normal in the baked shape space, cut at 2.5."""
    return np.clip(rng.standard_normal((n, 10)), -2.5, 2.5)
