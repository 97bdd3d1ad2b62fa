"""Prototypes of hand poses, the limits of the joints, and the mixes that poses are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
TIP, BACK, SIDE = 0, 1, 2
CONTACTS = {
    'pinch': (0, TIP, 0.008),
    'ok': (0, TIP, 0.007),
    'tripod': (0, TIP, 0.009),
    'fist': (0, BACK, 0.018),
    'point': (1, BACK, 0.017),
    'victory': (3, BACK, 0.017),
    'horns': (1, BACK, 0.017),
    'key': (0, SIDE, 0.016),
    'three': (2, BACK, 0.016),
}


def angles_of(prototype: Prototype) -> np.ndarray:
    """Angles (5, 5) in radians."""
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
