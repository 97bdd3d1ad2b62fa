"""One shape for each person of a long clip, from the shapes that its segments found.

The segments of a clip are refined separately (offline.py), each with its own shapes. When they are joined,
each person gets the mean shape over all segments, and every hand is computed again with it: it keeps its
rotations and is placed where the image shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from maskhand_ros.geometry import MIRROR_X
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.labelling.assembled_hand import assembled
from maskhand_ros.labelling.records import FrameLabels
from maskhand_ros.labelling.skeleton_fit import (
    PersonShape,
    best_source,
    bones_of,
    lengths_of,
    rotations_of,
)
from maskhand_ros.labelling.wrist_position import placed
from maskhand_ros.perception.types import ScaleSource
from maskhand_ros.skeleton import LEFT


@dataclass(frozen=True)
class PartShape:
    """Mean shape of one hand in a part of a clip."""

    frames: int
    operator_frames: int
    """Frames in which it is the operator's."""
    source: str
    """Name of the best ScaleSource of its length."""
    length: float
    """metres"""
    betas: list[float]
    bones: list[list[float]]
    """(21, 3) of a hand of length 1, as PersonShape.bones."""

    def to_json(self) -> dict[str, Any]:
        """For PartShape(**values)."""
        return asdict(self)


def part_shapes(frames: Sequence[FrameLabels], model: HandModel) -> dict[int, PartShape]:
    """{track id: PartShape} of the hands of a part."""
    found = {}
    for id, rows in _by_track(frames).items():
        hands = [frame.hands[place] for frame, place in rows]
        lengths, source = lengths_of(hands, model), best_source([hand.scale_source for hand in hands])
        found[id] = PartShape(
            frames=len(hands),
            operator_frames=sum(hand.operator for hand in hands),
            source=source.name,
            length=float(lengths[[hand.scale_source == source for hand in hands]].mean()),
            betas=np.mean([hand.betas for hand in hands], axis=0).tolist(),
            bones=np.mean(bones_of(hands) / lengths[:, None, None], axis=0).tolist(),
        )
    return found


def clip_shapes(parts: Sequence[dict[int, PartShape]], model: HandModel) -> dict[int, PersonShape]:
    """{track id: PersonShape} of a clip, from the PartShapes of its parts by the track ids of the clip. The
    hands that are the operator's in most frames have one shape, each other hand its own."""
    tracks: dict[int, list[PartShape]] = {}
    for part in parts:
        for id, shape in part.items():
            tracks.setdefault(id, []).append(shape)
    operator = [id for id, shapes in tracks.items() if _is_operators(shapes)]
    persons = [operator, *([id] for id in tracks if id not in operator)]
    return {
        id: shape
        for ids in persons
        if ids
        for shape in [_person([shape for id in ids for shape in tracks[id]], model)]
        for id in ids
    }


def reshape(frames: Sequence[FrameLabels], shapes: dict[int, PersonShape], mirrored: bool) -> None:
    """Puts the hands of `frames` together anew with the PersonShapes of their track ids, in place."""
    for id, rows in _by_track(frames).items():
        hands = [frame.hands[place] for frame, place in rows]
        rotations = rotations_of(hands)
        relative = shapes[id].keypoints(rotations) * (MIRROR_X if hands[0].side == LEFT else 1.0)
        positions = np.full((len(hands), 3), np.nan)
        if all(hand.wrist_position is not None for hand in hands):
            positions = placed(hands, relative)
        for (frame, place), hand, points, position in zip(rows, hands, relative, positions, strict=True):
            own = np.concatenate([hand.global_orient[None], hand.hand_pose])
            frame.hands[place] = assembled(
                hand, shapes[id], own, points, position, frame.intrinsics, mirrored
            )


def _by_track(frames: Sequence[FrameLabels]) -> dict[int, list[tuple[FrameLabels, int]]]:
    """{track id: [(frame, index in its `hands`)]}."""
    found: dict[int, list[tuple[FrameLabels, int]]] = {}
    for frame in frames:
        for place, hand in enumerate(frame.hands):
            found.setdefault(hand.track_id, []).append((frame, place))
    return found


def _is_operators(shapes: Sequence[PartShape]) -> bool:
    return sum(shape.operator_frames for shape in shapes) > sum(shape.frames for shape in shapes) / 2


def _person(shapes: Sequence[PartShape], model: HandModel) -> PersonShape:
    """The mean of PartShapes, weighted by their frames; the length that of the best source."""

    def mean(values: Iterator[Any], weights: np.ndarray) -> np.ndarray:
        return np.asarray(np.average(list(values), axis=0, weights=weights))

    frames = np.array([shape.frames for shape in shapes])
    sources = [ScaleSource[shape.source] for shape in shapes]
    source = best_source(sources)
    of_source = np.array([each == source for each in sources])
    length = float(mean((shape.length for shape in shapes), frames * of_source))
    betas = mean((shape.betas for shape in shapes), frames)
    bones = length * mean((shape.bones for shape in shapes), frames)
    return PersonShape.of_length(length, source, betas, bones, model)
