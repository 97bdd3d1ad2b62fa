"""A PlacedHand for tests of what comes after placement."""

import numpy as np

from maskhand_ros.perception.types import SCALE_POPULATION, PlacedHand
from maskhand_ros.skeleton import RIGHT


def placed_hand(side=RIGHT, position=(0.0, 0.0, 0.5), **fields):
    """A flat PlacedHand at `position` (m), with other `fields` where given."""
    usual = {
        'orient': np.eye(3),
        'pose': np.tile(np.eye(3), (15, 1, 1)),
        'betas': np.zeros(10),
        'size': 1.0,
        'shift': np.zeros((21, 3)),
        'covariance': np.eye(6),
        'source': SCALE_POPULATION,
    }
    return PlacedHand(side, np.array(position, float), **(usual | fields))
