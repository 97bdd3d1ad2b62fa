"""Answers of a system to labelled images: ours by the pipeline, a peer's by its own program."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from maskhand_ros import files
from maskhand_ros.evaluation.evaluate_scores import Score, score_hand
from maskhand_ros.evaluation.labels import Images, Label, roi_of
from maskhand_ros.evaluation.matching import match
from maskhand_ros.evaluation.peer import PeerHand
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame, Hand
from maskhand_ros.progress import progress


@dataclass
class Answer:
    """The hands that one system found in one image, beside the labels of it."""

    image: str
    labels: Sequence[Label]
    hands: Sequence[Hand | PeerHand]
    width: int | None = None
    """Of the image, px; None if it cannot be read."""
    matched: list[Hand | PeerHand | None] = field(init=False)
    """The hand of each label, or None."""

    def __post_init__(self) -> None:
        self.matched = match(self.labels, self.hands)

    @property
    def unlabelled(self) -> list[Hand | PeerHand]:
        """Hands that answer no label."""
        taken = {id(hand) for hand in self.matched}
        return [hand for hand in self.hands if id(hand) not in taken]

    def scores(self) -> list[tuple[Label, Score]]:
        """Each label with the Score of its hand."""
        return [
            (label, score_hand(label, hand)) for label, hand in zip(self.labels, self.matched, strict=True)
        ]


def our_answers(
    pipeline: HandPipeline, images: Images, folder: Path, boxes: str = 'detect'
) -> tuple[list[Answer], dict[str, str]]:
    """Our Answers to images below `folder`, and {image: why it cannot be read}."""
    answers, unreadable = [], {}
    for name, labels in progress(images.items(), len(images), 'images'):
        try:
            rgb = files.read_image(folder / name)
        except files.ImageError as error:
            unreadable[name] = str(error)
            answers.append(Answer(name, labels, []))
            continue
        answers.append(Answer(name, labels, predict(pipeline, rgb, labels, boxes), rgb.shape[1]))
    return answers, unreadable


def predict(pipeline: HandPipeline, rgb: np.ndarray, labels: Sequence[Label], boxes: str) -> list[Hand]:
    """Hands in one image, nothing remembered from the one before; from the labelled boxes if `boxes` is
    'given' and there are any."""
    height, width = rgb.shape[:2]
    K = next((label.K for label in labels if label.K is not None), None)
    frame = Frame(rgb=rgb, camera=None if K is None else Camera(K, width, height))
    pipeline.reset()
    rois = [roi for roi in map(roi_of, labels) if roi is not None] if boxes == 'given' else None
    return pipeline.process(frame, rois=rois or None)


def peer_answers(args: argparse.Namespace, ours: Sequence[Answer], folder: Path) -> dict[str, list[Answer]]:
    """{row of the table: the peer's Answers, in the order of ours}: the peer as it is, and where another
    keypoint set is chosen, moved to that."""
    found = _ask(args, folder, [answer.image for answer in ours if answer.width is not None])
    return {
        row: [
            Answer(answer.image, answer.labels, hands.get(answer.image, []), answer.width) for answer in ours
        ]
        for row, hands in found.items()
    }


def _ask(
    args: argparse.Namespace, folder: Path, names: Sequence[str]
) -> dict[str, Mapping[str, list[PeerHand]]]:
    """{row of the table: {image: [PeerHand, ...]}}."""
    from maskhand_ros.evaluation.peer import ask_mediapipe, redefined
    from maskhand_ros.evaluation.peer_keypoints import Redefinition

    paths = {name: str((folder / name).resolve()) for name in names}
    answer, version = ask_mediapipe(list(dict.fromkeys(paths.values())), args.max_hands)
    raw = {name: answer[path] for name, path in paths.items()}
    if args.keypoint_set == 'mediapipe':
        return {f'mediapipe {version} raw': raw}
    redefinition = Redefinition(args.keypoint_set, args.hand_model)
    moved = {name: [redefined(hand, redefinition) for hand in hands] for name, hands in raw.items()}
    return {f'mediapipe {version} raw': raw, f'mediapipe {version} redefined': moved}
