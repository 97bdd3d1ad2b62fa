"""Labels that are given as parameters of MANO, as hands, by a user's own MANO file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskhand_ros.datasets.record import LabelledHand
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel


class ManoMesh:
    """MANO from `maskhand convert-mano`: a right hand, so that labels of left hands have no vertices."""

    def __init__(self, path: Path) -> None:
        self.hand = HandModel.load(path)
        if self.hand.name != 'mano':
            raise CommandError(f'{path} is no MANO', 'make it with `maskhand convert-mano MANO_RIGHT.pkl`')
        with np.load(path, allow_pickle=False) as file:
            self._mean = file['hands_mean']
            self._components = file['hands_components'] if 'hands_components' in file.files else None

    def right_rotations(self, hand: LabelledHand) -> np.ndarray | None:
        """(16, 3, 3) of a LabelledHand from the flat right hand, the global orientation first, camera frame;
        a left hand's as a mirror across the camera's plane x = 0 shows it.

        None if there is no label, or this file lacks the components that it speaks of. MANO_LEFT is
        MANO_RIGHT mirrored, mean pose and components alike, so that coefficients mean the same for both.
        """
        label = hand.mano
        if label is None or (label.space == 'pca' and self._components is None):
            return None
        fingers = label.pose[3:] @ self._components if label.space == 'pca' else label.pose[3:]
        rotvecs = np.concatenate([label.pose[:3], fingers]).reshape(16, 3)
        if hand.side == 'left':
            mirrored = rotvecs * [1, -1, -1]
            rotvecs = np.concatenate([mirrored[:1], rotvecs[1:] if label.space == 'pca' else mirrored[1:]])
        if label.space != 'flat':
            rotvecs = rotvecs + np.concatenate([np.zeros(3), self._mean]).reshape(16, 3)
        return rotvec_to_matrix(rotvecs)

    def vertices(self, hand: LabelledHand) -> np.ndarray | None:
        """(778, 3) metres, camera frame, of a LabelledHand; None if its label or this file does not tell."""
        if hand.vertices is not None:
            return hand.vertices
        label = hand.mano
        rotations = self.right_rotations(hand)
        if hand.side == 'left' or rotations is None or label.wrist is None:
            return None
        return self.hand(label.betas[None], rotations[None, 0], rotations[None, 1:]).vertices[0] + label.wrist
