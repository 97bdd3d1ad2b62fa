"""Grasps: fingers close around a thing until they touch it, or thumb and index hold a thin one."""

from __future__ import annotations

import numpy as np

from maskhand_ros.data_engine.anatomy import THUMB, Anatomy
from maskhand_ros.data_engine.poses import clear
from maskhand_ros.data_engine.prototypes import HIGH, LOW, PROTOTYPES, angles_of
from maskhand_ros.data_engine.solids import BOX, CYLINDER, Part, Solid, random_parts
from maskhand_ros.geometry import rotvec_to_matrix

_D = np.pi / 180
_OPEN = (
    np.array([(0, 4, 3, 4, 0), (0, 4, 3, 0, 0), (0, 4, 3, -9, 0), (0, 4, 3, -4, 0), (-12, -4, -5, 42, 18)])
    * _D
)
"""The hand before it closes, as angles (5, 5)."""
_THUMBS = (
    np.array(
        [
            (-12, -4, -5, 42, 18),
            (-20, -4, -5, 50, 24),
            (-24, -8, -10, 30, 10),
            (-26, -10, -14, 12, 0),
            (-20, -8, -10, -8, -5),
            (5, 0, -5, 54, 40),
        ]
    )
    * _D
)
"""Thumbs to open with (N, 5), the first that is free of the thing."""
_RATE = np.array([[9, 10, 6]] * 4 + [[5, 7, 7]]) * _D
"""Flexion of each joint in one step of closing, radians."""
_MOST = np.array([[78, 98, 62]] * 4 + [[42, 55, 65]]) * _D
FLESH = np.array([0.0088, 0.0080, 0.0072])
"""Radius (m) of a finger around its three bones."""
PALM_FLESH = 0.0125
"""Depth (m) of the palm's skin below the line of the knuckle joints."""
DEEPEST = 0.004
"""Metres that flesh may be pressed in."""
_STEPS, _FINEST = 20, 0.06
"""Steps of closing for each joint; a finger that meets the thing goes back and on in half steps, down to this
share of a step."""


def _touch_points(anatomy: Anatomy, angles: np.ndarray) -> np.ndarray:
    """Points (B, 5, 3 bones, 3, 3) inside the fingers, along each bone."""
    chain, _ = anatomy.points(angles)
    start, end = chain[:, :, :-1, None], chain[:, :, 1:, None]
    share = np.array([0.35, 0.65, 0.95])[:, None]
    return start + share * (end - start)


def _touching(anatomy: Anatomy, angles: np.ndarray, solids: list[Solid], first: int) -> np.ndarray:
    """(B, 5) whether a finger, from its bone `first` on, is inside its Solid."""
    points = _touch_points(anatomy, angles)[:, :, first:]
    gaps = np.stack([solid.distance(p) for solid, p in zip(solids, points, strict=True)])
    return np.any(gaps < FLESH[first:, None], axis=(2, 3))


def pressed_in(anatomy: Anatomy, angles: np.ndarray, solids: list[Solid]) -> np.ndarray:
    """How deep (B,) metres fingers (B, 5, 5) or palm are inside their Solids."""
    bases = np.concatenate([anatomy.palm, anatomy.origin[THUMB:]])
    palm = (np.array([0.5, 0.75, 1.0])[:, None, None] * bases).reshape(-1, 3)
    points = _touch_points(anatomy, angles)
    fingers = [(FLESH[:, None] - s.distance(p)).max() for s, p in zip(solids, points, strict=True)]
    return np.maximum(fingers, [(PALM_FLESH - solid.distance(palm)).max() for solid in solids])


def close(anatomy: Anatomy, angles: np.ndarray, solids: list[Solid]) -> tuple[np.ndarray, np.ndarray]:
    """Hands (B, 5, 5) closed until each finger touches its Solid, and (B,) whether thumb and two fingers do.

    All joints of a finger bend together; once a bone is stopped, the joints beyond it go on.
    """
    angles, met = angles.copy(), np.zeros(angles.shape[:2], bool)
    for joint in range(3):
        step = np.ones(met.shape)
        for _ in range(_STEPS):
            further = angles.copy()
            turn = step[..., None] * _RATE[:, joint:]
            further[..., joint:3] = np.minimum(further[..., joint:3] + turn, _MOST[:, joint:])
            inside = _touching(anatomy, further, solids, joint)
            met |= inside
            angles = np.where(inside[..., None], angles, further)
            step = np.where(inside, step / 2, step) * (step > _FINEST)
            if not step.any():
                break
    return angles, met[:, THUMB] & (met[:, :THUMB].sum(1) >= 2)


def _with_free_thumbs(anatomy: Anatomy, angles: np.ndarray, solids: list[Solid]) -> np.ndarray:
    """Open hands (B, 5, 5), each with the thumb of _THUMBS that is farthest from its Solid."""
    tried = np.repeat(angles[None], len(_THUMBS), 0)
    tried[:, :, THUMB] = _THUMBS[:, None]
    points = np.stack([_touch_points(anatomy, hands)[:, THUMB] for hands in tried], 1)
    free = [(s.distance(p) - FLESH[:, None]).min((1, 2)) for s, p in zip(solids, points, strict=True)]
    return tried[np.minimum(free, 0.012).argmax(1), np.arange(len(angles))]


def _placed(anatomy: Anatomy, parts: tuple[Part, ...], rng: np.random.Generator) -> Solid:
    """A thing in the palm of the rest pose, its long side across the fingers or anyhow."""
    body = parts[0]
    depth = body.size[0] if body.shape == 'ball' else body.size[1]
    turn = 25 * rng.standard_normal() if rng.random() < 0.75 else rng.uniform(0, 360)
    if body.shape == BOX:
        turn = turn if rng.random() < 0.5 else turn + 90
    across = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # its x along the palm's z
    tilt = rotvec_to_matrix(np.array([[0, turn * _D, 0], [3 * _D * rng.standard_normal(), 0, 0]]))
    if rng.random() < 0.5:
        across = across @ np.diag([-1.0, 1, -1])
    slide = rng.uniform(-0.3, 0.3) * (body.size[0] if body.shape == CYLINDER else 0)
    middle = anatomy.palm.mean(0) + np.array([rng.uniform(-0.012, 0.02), 0, rng.uniform(-0.008, 0.012)])
    middle[1] -= PALM_FLESH + depth
    frame = tilt[0] @ tilt[1] @ across
    return Solid(parts, frame, middle + slide * frame[:, 0])


def _pinched(anatomy: Anatomy, n: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Solid]]:
    """n hands that hold a stick or card between the tips of thumb and index: angles (n, 5, 5), Solids."""
    if not n:
        return np.empty((0, 5, 5)), []
    names = rng.choice(('pinch', 'tripod', 'ok'), n)
    angles = np.stack([angles_of(PROTOTYPES[name]) for name in names])
    angles += 5 * _D * rng.standard_normal((n, 5, 5)) * (rng.random((n, 5, 5)) < 0.6)
    first, gap = np.zeros(n, int), rng.uniform(0.016, 0.03, n)
    angles = anatomy.touch(np.clip(angles, LOW, HIGH), first, first, gap, LOW, HIGH, 14)
    chain, _ = anatomy.points(angles)
    return angles, [
        _between(index, thumb, rng) for index, thumb in zip(chain[:, 0, 3], chain[:, THUMB, 3], strict=True)
    ]


def _between(index: np.ndarray, thumb: np.ndarray, rng: np.random.Generator) -> Solid:
    """A stick or card as thick as the gap between two fingertips (3,) leaves."""
    apart = np.linalg.norm(index - thumb)
    between = (index - thumb) / apart
    along = np.cross(between, rng.standard_normal(3))
    along /= np.linalg.norm(along)
    thick, half = max(apart / 2 - FLESH[2], 0.0015), rng.uniform(0.03, 0.09)
    part = Part(CYLINDER, (half, thick, 0))
    if rng.random() < 0.5:
        part = Part(BOX, (half, thick, rng.uniform(0.008, 0.045)))
    middle = (index + thumb) / 2 + rng.uniform(-0.5, 0.9) * half * along
    return Solid((part,), np.stack([along, between, np.cross(along, between)], 1), middle)


def sample_grasps(
    anatomy: Anatomy, n: int, rng: np.random.Generator, pinched: float = 0.25
) -> tuple[np.ndarray, list[Solid]]:
    """n hands that hold something: angles (n, 5, 5), and the Solids in the frame of the rest pose, from the
    wrist, at mean shape. No finger passes through the palm or another finger."""
    angles = np.empty((0, 5, 5))
    solids: list[Solid] = []
    tips = int(rng.binomial(n, pinched))
    while len(solids) < n:
        wanted = (tips if len(solids) < tips else n) - len(solids)
        if len(solids) < tips:
            closed, things = _pinched(anatomy, wanted, rng)
            good = clear(anatomy, closed)
        else:
            things = [_placed(anatomy, random_parts(rng), rng) for _ in range(2 * wanted + 2)]
            start = _OPEN + 4 * _D * rng.standard_normal((len(things), 5, 5)) * np.array([1, 0.5, 0.3, 1, 0])
            start = _with_free_thumbs(anatomy, np.clip(start, LOW, HIGH), things)
            closed, good = close(anatomy, start, things)
            good &= clear(anatomy, closed)
        good &= pressed_in(anatomy, closed, things) < DEEPEST
        rows = np.flatnonzero(good)[:wanted]
        angles = np.concatenate([angles, closed[rows]])
        solids += [things[i] for i in rows]
    order = rng.permutation(n)
    return angles[order], [solids[i] for i in order]
