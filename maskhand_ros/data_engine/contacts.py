"""Two hands of one person that touch: clasped, one over the other, past each other, clapping. Each function
gives the left and the right Actor of a person of shape `betas` (10,), apart at 0 s and at 3 s."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from maskhand_ros.data_engine.prototypes import Prototype
from maskhand_ros.data_engine.staging import Actor, Way

_BETWEEN: Prototype = ((0, 3, 2, 14), (0, 3, 2, 3), (0, 3, 2, -24), (0, 3, 2, -12), (-12, 0, 0, 0, 0))
_FOLDED: Prototype = (*((20, 60, 30, spread) for spread in (14, 3, -24, -12)), (-5, 5, 10, 0, 0))
"""Fingers, as in PROTOTYPES, that are between the other hand's, and that are folded over it."""
_TO_KNUCKLE = 0.095
"""Metres from the wrist to the middle MCP of the mean hand."""
_MIDDLE = np.array([0.0, 0.05, 0.5])
"""Place of clasped hands: between their middle MCPs, metres."""
_CLASP = np.array(
    [  # second, apart, before, lean, turn, pitch
        (0.0, 0.14, 0.0, 0, 0, 5),
        (0.7, 0.065, 0.007, 5, 85, 40),
        (1.0, 0.023, 0.007, 30, 90, 50),
        (1.9, 0.023, 0.007, 30, 90, 50),
        (2.2, 0.065, 0.007, 5, 85, 40),
        (3.0, 0.14, 0.0, 0, 0, 5),
    ]
)
"""The right hand of a clasp, of which the left one is the mirror image: metres from the plane of symmetry to
its middle MCP; metres by which it is moved to the thumbs, and the left one away from them; degrees by which
the fingers lean to the other hand, by which the palms turn to it, by which both hands are pitched to the
lens."""
CLAP_HZ = 2.0


def clasp(betas: np.ndarray) -> tuple[Actor, Actor]:
    """Hands with interleaved fingers from 1.0 to 1.9 s, folded between."""
    moments = ((0, 'spread'), (0.7, _BETWEEN), (1.0, _BETWEEN))
    poses = (*moments, (1.25, _FOLDED), (1.65, _FOLDED), (1.9, _BETWEEN))
    return Actor('left', poses, _clasping(-1), betas), Actor('right', poses, _clasping(1), betas)


def _clasping(sign: int) -> Way:
    """The Way of the right hand (`sign` 1) or the left one (-1) of a clasp."""
    times = np.arange(0, _CLASP[-1, 0] + 1e-9, 1 / 15)
    apart, before, lean, turn, pitch = PchipInterpolator(_CLASP[:, 0], _CLASP[:, 1:])(times).T
    pitched = Rotation.from_euler('X', pitch[:, None], degrees=True)
    orient = pitched * Rotation.from_euler('ZY', np.stack([lean, -turn], 1), degrees=True)
    knuckle = pitched.apply(np.stack([-apart, 0 * apart, sign * before], 1))
    wrist = (knuckle + orient.apply([0, _TO_KNUCKLE, 0])) * [sign, 1, 1] + _MIDDLE
    roll, tilt, against_turn = np.rad2deg(np.unwrap(orient.as_euler('ZXY').T))
    return _rows(times, *wrist.T, -against_turn, tilt, roll)


def cover(betas: np.ndarray) -> tuple[Actor, Actor]:
    """The right hand lies on the back of the left one from 1.0 to 1.8 s and hides most of it."""
    left = (
        (0, 0.14, 0.1, 0.5, 180, 0, 5),
        (0.9, 0.055, 0.1, 0.5, 180, 0, 40),
        (1.9, 0.055, 0.1, 0.5, 180, 0, 40),
        (3, 0.14, 0.1, 0.5, 180, 0, 5),
    )
    right = (
        (0, -0.14, 0.1, 0.45, 180, 0, 5),
        (0.4, -0.12, 0.1, 0.44, 180, 0, 15),
        (1.0, -0.05, 0.1, 0.468, 180, 0, 45),
        (1.8, -0.05, 0.1, 0.468, 180, 0, 45),
        (2.4, -0.12, 0.1, 0.44, 180, 0, 15),
        (3, -0.14, 0.1, 0.45, 180, 0, 5),
    )
    return Actor('left', ((0, 'relax'),), left, betas), Actor('right', ((0, 'flat'),), right, betas)


def passing(betas: np.ndarray) -> tuple[Actor, Actor]:
    """The right hand moves past the left one, its back along the other's palm, and the left one moves against
    it."""
    left = ((0, 0.14, 0.1, 0.5, 0, 5, 0), (0.5, 0.14, 0.1, 0.5, 0, 5, 0), (2.5, -0.14, 0.1, 0.5, 0, 5, 0))
    right = (
        (0, -0.14, 0.1, 0.452, 0, 5, 0),
        (0.5, -0.14, 0.1, 0.452, 0, 5, 0),
        (2.5, 0.14, 0.1, 0.452, 0, 5, 0),
    )
    return Actor('left', ((0, 'flat'),), left, betas), Actor('right', ((0, 'flat'),), right, betas)


def clap(betas: np.ndarray) -> tuple[Actor, Actor]:
    """Palms that meet at CLAP_HZ from 0.8 to 2.8 s, seen from the side of the little fingers."""
    times = np.arange(0, 3 + 1e-9, 1 / 30)
    closing = 0.5 - 0.5 * np.cos(2 * np.pi * CLAP_HZ * np.clip(times - 0.8, 0, 2.0))
    ready = PchipInterpolator([0, 0.8, 2.8, 3], [0, 1, 1, 0.6])(times)
    x = 0.14 - 0.04 * ready - 0.078 * closing
    turn = 70 * ready + 20 * closing
    still = 0 * times
    right = _rows(times, -x, 0.1 + still, 0.5 + still, turn, 20 * ready, still)
    left = _rows(times, x, 0.1 + still, 0.5 + still, turn, 20 * ready, still)
    return Actor('left', ((0, 'flat'),), left, betas), Actor('right', ((0, 'flat'),), right, betas)


def _rows(*columns: np.ndarray) -> Way:
    return tuple(map(tuple, np.stack(columns, 1).tolist()))
