"""The hands in a user's own pictures: those that are labelled, and those that the model is sure of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..evaluation.answers import predict
from ..evaluation.labels import Images, Label, read_index
from ..files import IMAGE_SUFFIXES, ImageError, read_image
from ..geometry import MIRROR_X, Camera
from ..perception.pipeline import HandPipeline, unmirrored
from ..perception.types import Frame
from ..skeleton import LEFT

INDEX_NAME = 'index.json'
SURE_PRESENCE, SURE_CONFIDENCE = 0.9, 0.7
"""Least presence and confidence of a hand without a label: of others the model's answer teaches errors."""
LEAST_KEYPOINTS = 10
"""Of a label: with fewer the pose is open."""


@dataclass
class OwnHand:
    """One hand in a user's picture, as a right one: the picture of a left hand is mirrored."""

    rgb: np.ndarray
    camera: Camera
    keypoints_px: np.ndarray
    """(21, 2) where it is, which crops are cut by."""
    labels_px: np.ndarray | None = None
    """(21, 2) labelled keypoints, NaN where not labelled; None without a label."""
    labels: np.ndarray | None = None
    """(21, 3) labelled keypoints in metres, camera frame; None where not all are."""


def read_pictures(folder: Path) -> tuple[Images, list[str]]:
    """The pictures that index.json in `folder` names, with their labels, and the names of all others."""
    index = folder / INDEX_NAME
    listed = read_index(index) if index.is_file() else {}
    known = {(folder / name).resolve() for name in listed}
    found = sorted(path for path in folder.rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
    return listed, [str(path.relative_to(folder)) for path in found if path.resolve() not in known]


class PictureHands:
    """OwnHands of pictures; `left_out` counts those that are not used, by reason."""

    def __init__(self, folder: Path, pipeline: HandPipeline) -> None:
        self._folder, self._pipeline = folder, pipeline
        self.left_out: Counter[str] = Counter()

    def __call__(self, name: str, labels: Sequence[Label]) -> Iterator[OwnHand]:
        """The hands of one picture: those with labelled keypoints, else those that the model is sure of,
        at the labelled boxes where there are any."""
        try:
            rgb = read_image(self._folder / name)
        except ImageError:
            self.left_out['picture cannot be read'] += 1
            return
        K = next((label.K for label in labels if label.K is not None), None)
        camera = Camera.default(rgb.shape[1], rgb.shape[0])
        camera = camera if K is None else Camera(K, camera.width, camera.height)
        labelled = [label for label in labels if label.points_px is not None]
        for label in labelled:
            hand = self._labelled(rgb, camera, label)
            if isinstance(hand, str):
                self.left_out[hand] += 1
            else:
                yield hand
        if not labelled:
            yield from self._found(rgb, camera, labels)

    def _labelled(self, rgb: np.ndarray, camera: Camera, label: Label) -> OwnHand | str:
        """The hand of a label with keypoints, or why it is of no use."""
        assert label.points_px is not None
        known = np.isfinite(label.points_px).all(1)
        if label.side is None:
            return 'label without handedness'
        if known.sum() < LEAST_KEYPOINTS:
            return f'label with fewer than {LEAST_KEYPOINTS} keypoints'
        where = label.points_px
        if not known.all():
            found = [hand for hand in predict(self._pipeline, rgb, [label], 'given')]
            if not found:
                return 'incomplete label where no hand is found'
            where = np.where(known[:, None], label.points_px, found[0].keypoints_px)
        points = label.points if label.points is not None and np.isfinite(label.points).all() else None
        hand = OwnHand(rgb, camera, where, label.points_px, points)
        return _as_right(hand) if label.side == 'left' else hand

    def _found(self, rgb: np.ndarray, camera: Camera, labels: Sequence[Label]) -> Iterator[OwnHand]:
        """The hands that the model finds and is sure of."""
        hands = predict(self._pipeline, rgb, labels, 'given')
        if not hands:
            self.left_out['no hand found'] += 1
        for found in hands:
            if found.score < SURE_PRESENCE or found.confidence < SURE_CONFIDENCE:
                self.left_out['the model is not sure'] += 1
                continue
            hand = OwnHand(rgb, camera, found.keypoints_px)
            yield _as_right(hand) if found.side == LEFT else hand


def _as_right(hand: OwnHand) -> OwnHand:
    """A left hand in the mirrored picture."""
    frame = unmirrored(Frame(hand.rgb, 0, hand.camera))
    width = hand.rgb.shape[1]

    def flipped(pixels: np.ndarray) -> np.ndarray:
        return pixels * [-1, 1] + [width - 1, 0]

    return OwnHand(
        frame.rgb,
        frame.camera or hand.camera,
        flipped(hand.keypoints_px),
        None if hand.labels_px is None else flipped(hand.labels_px),
        None if hand.labels is None else hand.labels * MIRROR_X,
    )
