"""Vertices of the labels that are given as parameters of MANO, by a user's own MANO file."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel


class ManoMesh:
    """MANO from `maskhand convert-mano`: a right hand, so that labels of left hands have no vertices."""

    def __init__(self, path):
        self._hand = HandModel.load(path)
        with np.load(path, allow_pickle=False) as file:
            self._mean = file['hands_mean']
            self._components = file['hands_components'] if 'hands_components' in file.files else None

    def vertices(self, hand):
        """(778, 3) metres, camera frame, of a LabelledHand; None if its label or this file does not tell."""
        if hand.vertices is not None:
            return hand.vertices
        label = hand.mano
        if hand.side == 'left' or label is None or label.wrist is None:
            return None
        fingers = label.pose[3:]
        if label.space == 'pca':
            if self._components is None:
                return None
            fingers = fingers @ self._components
        if label.space != 'flat':
            fingers = fingers + self._mean
        rotations = rotvec_to_matrix(np.concatenate([label.pose[:3], fingers]).reshape(16, 3))
        return (
            self._hand(label.betas[None], rotations[None, 0], rotations[None, 1:]).vertices[0] + label.wrist
        )
