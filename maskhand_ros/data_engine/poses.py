"""Hand poses to train on: prototypes, mixtures, synergies, thumb contacts; none passes through itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maskhand_ros.data_engine.anatomy import THUMB, Anatomy
from maskhand_ros.data_engine.meshes import anatomy_of
from maskhand_ros.hand_model.numpy_hand import HandModel

_D = np.pi / 180
_E, _C, _H = (0, 5, 3, 0), (82, 92, 38, 0), (45, 50, 30, 0)
_FLAT = ((0, 3, 2, 5), (0, 3, 2, 0), (0, 3, 2, -11), (0, 3, 2, -5))

Prototype = Sequence[Sequence[float]]
"""A pose in degrees, as a row of PROTOTYPES."""

# Degrees. Fingers index, middle, little, ring: flexion of MCP, PIP, DIP, abduction.
# Thumb: flexion of CMC, MCP, IP, abduction and twist of the CMC.
PROTOTYPES = {
    'flat': (*_FLAT, (-8, 0, 0, -4, 0)),
    'spread': ((-4, 3, 2, 16), (-4, 3, 2, 3), (-4, 3, 2, -24), (-4, 3, 2, -10), (-18, -5, -8, 0, 0)),
    'fist': (_C, _C, _C, _C, (22, 35, 45, 10, 10)),
    'point': (_E, _C, _C, _C, (22, 35, 40, 10, 10)),
    'pinch': ((48, 50, 28, 3), (20, 28, 12, 0), (10, 18, 8, -8), (14, 24, 10, -4), (10, 20, 20, 25, 15)),
    'ok': ((55, 52, 30, 3), (2, 8, 5, 2), (-5, 5, 3, -16), (-3, 6, 3, -6), (12, 22, 22, 28, 15)),
    'victory': ((0, 5, 3, 14), (0, 5, 3, -8), _C, _C, (25, 35, 42, 18, 15)),
    'thumbs_up': (_C, _C, _C, _C, (-20, -5, -12, -8, 0)),
    'grasp': (_H, _H, _H, _H, (5, 15, 15, 28, 10)),
    'cylinder': ((55, 40, 25, 2), (58, 45, 25, 0), (60, 45, 25, -6), (60, 48, 25, -3), (8, 18, 20, 30, 12)),
    'claw': ((8, 75, 48, 6), (8, 75, 48, 0), (8, 75, 48, -12), (8, 75, 48, -5), (0, 20, 35, 5, 0)),
    'tripod': ((48, 50, 22, 3), (60, 56, 24, 4), (68, 75, 45, -6), (60, 65, 35, -3), (10, 22, 22, 28, 15)),
    'key': ((58, 68, 40, 0), (66, 78, 45, 0), (75, 85, 50, -5), (70, 82, 48, -3), (12, 12, 12, 8, 5)),
    'hook': ((5, 92, 58, 2), (5, 92, 58, 0), (5, 92, 58, -5), (5, 92, 58, -3), (0, 8, 10, 5, 0)),
    'table': ((72, 6, 4, 2), (72, 6, 4, 0), (72, 6, 4, -4), (72, 6, 4, -2), (0, 8, 8, 12, 5)),
    'relax': ((18, 28, 15, 4), (24, 33, 18, 0), (30, 34, 18, -9), (27, 35, 18, -4), (2, 10, 14, 10, 5)),
    'four': (*_FLAT, (25, 35, 38, 20, 15)),
    'horns': (_E, _C, (0, 5, 3, -8), _C, (25, 35, 42, 18, 12)),
    'call': (_C, _C, (0, 5, 3, -12), _C, (-18, -5, -8, -5, 0)),
    'three': ((0, 5, 3, 6), (0, 5, 3, 0), _C, (0, 5, 3, -6), (25, 35, 42, 22, 15)),
    'gun': (_E, _C, _C, _C, (-15, -5, -8, 0, 0)),
}
PROTOTYPE_NAMES = tuple(PROTOTYPES)
LOW = (
    np.array(
        [
            [-20, -2, -4, -15, 0],
            [-20, -2, -4, -14, 0],
            [-20, -2, -4, -30, 0],
            [-20, -2, -4, -22, 0],
            [-28, -12, -18, -22, -10],
        ]
    )
    * _D
)
HIGH = (
    np.array(
        [
            [92, 110, 75, 22, 0],
            [95, 112, 75, 14, 0],
            [95, 108, 75, 8, 0],
            [95, 110, 75, 12, 0],
            [48, 62, 78, 55, 55],
        ]
    )
    * _D
)
"""(5, 5) limits of the joint angles, radians."""

# Which finger the thumb touches, and how: (finger, place, gap in metres) as Anatomy.touch takes them.
_TIP, _BACK, _SIDE = 0, 1, 2
CONTACTS = {
    'pinch': (0, _TIP, 0.008),
    'ok': (0, _TIP, 0.007),
    'tripod': (0, _TIP, 0.009),
    'fist': (0, _BACK, 0.018),
    'point': (1, _BACK, 0.017),
    'victory': (3, _BACK, 0.017),
    'horns': (1, _BACK, 0.017),
    'key': (0, _SIDE, 0.016),
    'three': (2, _BACK, 0.016),
}


def _angles(prototype: Prototype) -> np.ndarray:
    angles = np.zeros((5, 5))
    for finger, values in enumerate(prototype):
        angles[finger, : len(values)] = values
    return angles * _D


@dataclass(frozen=True)
class PoseMix:
    """What poses are drawn from: prototypes by name, each with its weight (all the same if `weights` is
    empty), and the shares of poses that are changed further."""

    prototypes: Mapping[str, Prototype]
    contacts: Mapping[str, tuple[int, int, float]]
    """Which finger the thumb touches, and how: (finger, place, gap in metres) as Anatomy.touch takes them."""
    weights: tuple[float, ...] = ()
    blended: float = 0.6
    """Share of mixtures of two prototypes."""
    swapped: float = 0.05
    """Chance of each finger to come from another prototype."""
    uniform: float = 0.1
    """Share of poses uniform within the limits."""
    least_noise: float = 1.0
    """Noise of the joints is between this and all of it."""

    def draw(self, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Indices of prototypes, of this `size`."""
        if not self.weights:
            return rng.integers(len(self.prototypes), size=size)
        share = np.cumsum(self.weights) / np.sum(self.weights)
        return np.searchsorted(share, rng.random(size), side='right')


EVEN = PoseMix(PROTOTYPES, CONTACTS)
"""Every prototype as often, a tenth of the poses uniform."""


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
        return _angles(pose)
    name, angles = pose, _angles(PROTOTYPES[pose])[None]
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
    prototypes = np.stack([_angles(p) for p in mix.prototypes.values()])
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
                finger[row], place[row], gap[row] = rng.choice(4, p=(0.5, 0.25, 0.1, 0.15)), _TIP, 0.008
        gap = gap + np.where(
            place == _TIP, rng.uniform(-0.003, 0.006, len(gap)), rng.uniform(-0.001, 0.004, len(gap))
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
