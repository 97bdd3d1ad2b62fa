"""Skin, gloves, sleeves, bands, marks and light of the scenes other than `camera` and `stress`."""

from __future__ import annotations

import numpy as np

from maskhand_ros.data_engine.meshes import Mesh
from maskhand_ros.data_engine.renderer import Uniforms
from maskhand_ros.data_engine.scenes import grid_solid, sample_light, sample_material, sample_skin

CAST = 0.045
"""Spread of the warmth of light under which skin keeps the colour of skin."""
_SURGICAL = np.array(
    [[0.75, 0.72, 0.66], [0.25, 0.45, 0.75], [0.1, 0.2, 0.55], [0.03, 0.03, 0.04], [0.35, 0.55, 0.5]]
)
_WORK = np.array(
    [[0.6, 0.35, 0.08], [0.45, 0.4, 0.32], [0.08, 0.08, 0.09], [0.65, 0.6, 0.1], [0.55, 0.52, 0.48]]
)
_COATED = np.array(
    [[0.05, 0.05, 0.05], [0.5, 0.08, 0.05], [0.1, 0.25, 0.5], [0.6, 0.3, 0.05], [0.3, 0.3, 0.3]]
)
RINGED = ((5, 6), (9, 10), (13, 14), (17, 18))
"""Keypoints of the bones that rings are on."""


def sample_looks(rng: np.random.Generator, gloved: bool) -> dict[str, object]:
    """Uniforms of a hand: skin of a narrower palette, thicker flesh, perhaps a glove, band or marks."""
    look = dict(sample_material(rng))
    skin = sample_skin(rng, 0.025)
    rosy = np.array([0.78, 0.50, 0.42]) * (0.35 + 0.65 * skin.mean() / 0.5)
    palm = np.clip(skin + rng.uniform(0.1, 0.6) * (rosy - skin), 0.02, 0.95)
    look |= {'skin': skin, 'palm': palm, 'flesh': rng.uniform(0, 0.0016)}
    if rng.random() < 0.95:
        look['nail'] = np.clip(palm * 1.06 + 0.02, 0, 1)
    if rng.random() < 0.6:
        look['sleeve'] = rng.uniform(0.02, 0.8) * (1 + 0.12 * rng.standard_normal(3)).clip(0.5, 1.5)
    if rng.random() < 0.2:
        look |= {'sleeve_from': rng.uniform(0.0, 0.05), 'sleeve_lift': rng.uniform(0.006, 0.016)}
    if rng.random() < 0.14:
        start = rng.uniform(0.012, 0.05)
        look |= {'band': rng.random(3) ** 2, 'band_range': (start, start + rng.uniform(0.006, 0.026))}
    if rng.random() < 0.05:
        ink = np.array([0.03, 0.05, 0.07]) if rng.random() < 0.7 else rng.random(3) * 0.5
        look |= {'mark': rng.uniform(0.3, 0.85), 'ink': ink}
    return {**look, **(_glove(rng) if gloved else {})}


def _glove(rng: np.random.Generator) -> dict[str, object]:
    """Uniforms of a glove: thin, of rubber; for work, with a coated palm; knitted, perhaps without tips."""
    kind, low = rng.random(), -1.0
    if kind < 0.4:
        colour = _SURGICAL[rng.integers(len(_SURGICAL))]
        palm, lift, weave, rough, grain = colour, rng.uniform(0.0002, 0.001), 0.0, rng.uniform(0.3, 0.5), 0.05
    elif kind < 0.7:
        colour = _WORK[rng.integers(len(_WORK))]
        palm = _COATED[rng.integers(len(_COATED))] if rng.random() < 0.6 else colour
        lift, weave, rough, grain = (
            rng.uniform(0.0015, 0.0035),
            rng.uniform(0, 0.2),
            rng.uniform(0.5, 0.9),
            0.5,
        )
    else:
        colour = rng.random(3) ** 1.8
        palm, lift, weave, rough, grain = colour, rng.uniform(0.001, 0.0025), rng.uniform(0.1, 0.45), 0.9, 0.6
        low = rng.uniform(-0.14, -0.12) if rng.random() < 0.2 else low
    colour = np.clip(colour * rng.uniform(0.6, 1.2) * (1 + 0.06 * rng.standard_normal(3)), 0.01, 0.95)
    return {
        'worn': colour,
        'worn_palm': np.clip(palm * rng.uniform(0.7, 1.15), 0.01, 0.95) if palm is not colour else colour,
        'worn_range': (low, rng.uniform(0.005, 0.09)),
        'worn_lift': lift,
        'weave': weave,
        'rough': rough,
        'grain': grain,
        'bump': rng.uniform(0.1, 0.6),
        'gloss': rng.uniform(0.3, 1.3) if kind < 0.4 else rng.uniform(0.05, 0.4),
    }


def sample_everyday_light(rng: np.random.Generator) -> Uniforms:
    """Light as sample_light has it, with less colour."""
    return sample_light(rng, CAST)


def ring(place: np.ndarray, rng: np.random.Generator) -> Mesh:
    """A ring (Mesh) on a finger of the hand with keypoints `place` (21, 3)."""
    start, end = place[list(RINGED[rng.choice(4, p=(0.2, 0.3, 0.4, 0.1))])]
    scale = np.linalg.norm(end - start) / 0.034
    turn = np.linspace(0, 2 * np.pi, 7)
    wide = rng.uniform(0.001, 0.0035)
    profile = np.stack([wide * np.cos(turn), scale * 0.0102 + 0.0012 * np.sin(turn)], 1)
    vertices, normals, faces = grid_solid(7, 20, profile)
    along = (end - start) / np.linalg.norm(end - start)
    side = np.cross(along, [0.3, 0.5, 0.8])
    side /= np.linalg.norm(side)
    frame = np.stack([along, side, np.cross(along, side)])
    metal = ((0.8, 0.6, 0.25), (0.7, 0.7, 0.72), (0.85, 0.55, 0.45))[rng.integers(3)]
    material = {
        'skinned': 0.0,
        'sleeve': np.array(metal) * rng.uniform(0.4, 1),
        'grain': 0.05,
        'rough': rng.uniform(0.2, 0.4),
        'gloss': rng.uniform(1, 3),
        'offset': rng.random(2),
        'bump': 0.02,
    }
    marks = np.tile(np.array([0, 0, 0.9]), (len(vertices), 1))
    middle = start + rng.uniform(0.45, 0.62) * (end - start)
    return Mesh(vertices @ frame + middle, normals @ frame, vertices, marks, faces, material)
