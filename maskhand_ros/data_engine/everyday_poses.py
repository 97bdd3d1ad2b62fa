"""Poses of hands in everyday pictures: many flat, closed, relaxed, fists and pinches; few claws."""

from __future__ import annotations

from maskhand_ros.data_engine.prototypes import CONTACTS, PROTOTYPES, PoseMix, Prototype

_C: tuple[float, ...] = (82, 92, 38, 0)
_UP = ((0, 4, 3, -4), (0, 4, 3, 0), (0, 4, 3, 0), (0, 4, 3, 4))
_CURLED: Prototype = ((60, 75, 35, -1), (65, 80, 38, 0), (70, 80, 38, 3), (68, 80, 38, 1))

# As in PROTOTYPES.
_MORE: dict[str, Prototype] = {
    'together': (*_UP, (-6, -2, -4, -5, 0)),
    'closed': (*_UP, (6, 12, 16, -10, 0)),
    'cupped': ((25, 20, 10, -3), (28, 22, 12, 0), (26, 20, 11, 0), (27, 22, 12, 4), (5, 15, 15, 12, 5)),
    'rest': ((25, 40, 22, 0), (32, 45, 25, 0), (34, 38, 20, -4), (33, 44, 24, 2), (4, 14, 20, 8, 5)),
    'half': ((12, 18, 10, -2), (16, 22, 12, 0), (16, 18, 9, -4), (17, 22, 11, 2), (4, 8, 10, 0, 0)),
    'loose_fist': (*_CURLED, (15, 25, 30, 15, 10)),
    'tight_fist': (*((86, 100, 52, 0),) * 4, (25, 38, 50, 15, 12)),
    'side_fist': (*((80, 95, 45, 0),) * 4, (8, 8, 12, 0, 4)),
    'two': ((0, 5, 3, -4), (0, 5, 3, 3), _C, _C, (25, 35, 42, 18, 15)),
    'three_thumb': ((0, 5, 3, 12), (0, 5, 3, -5), _C, _C, (-16, -5, -8, -2, 0)),
    'little_bent': ((20, 15, 8, 0), (28, 22, 12, 0), (48, 50, 25, 0), (40, 40, 20, 0), (2, 10, 12, 8, 4)),
}
_BEHIND_INDEX, _BEHIND_MIDDLE = (0, 1, 0.018), (1, 1, 0.017)
_WEIGHTS = {
    'flat': 2.2,
    'spread': 1.6,
    'together': 2.6,
    'closed': 2.0,
    'cupped': 1.4,
    'rest': 2.4,
    'half': 2.4,
    'relax': 2.2,
    'little_bent': 1.2,
    'fist': 1.8,
    'loose_fist': 1.6,
    'tight_fist': 1.6,
    'side_fist': 1.0,
    'point': 1.5,
    'victory': 1.6,
    'two': 1.2,
    'three': 0.9,
    'three_thumb': 0.9,
    'four': 1.2,
    'pinch': 1.8,
    'ok': 1.2,
    'tripod': 1.0,
    'key': 0.9,
    'thumbs_up': 1.2,
    'cylinder': 1.2,
    'grasp': 1.2,
    'horns': 0.7,
    'call': 0.7,
    'gun': 0.5,
    'table': 0.4,
    'hook': 0.4,
    'claw': 0.25,
}
_ALL = {**PROTOTYPES, **_MORE}

EVERYDAY = PoseMix(
    prototypes={name: _ALL[name] for name in _WEIGHTS},
    contacts={
        **CONTACTS,
        'loose_fist': _BEHIND_INDEX,
        'tight_fist': _BEHIND_MIDDLE,
        'two': (3, 1, 0.017),
    },
    weights=tuple(_WEIGHTS.values()),
    blended=0.4,
    swapped=0.015,
    uniform=0.02,
    least_noise=0.3,
)
"""What the scenes other than `camera` and `stress` draw from."""
