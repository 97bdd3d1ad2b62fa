"""Parts of a long clip to one file: the hands of each part get the track ids of the part before, and each
person one shape (clip_shapes.py).

Two parts that follow each other share the frames around their border (clip_labels.WARM_UP and AHEAD). A hand
of the second part is that of the first which is at the same place in most of these frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.labelling.clip_labels import AHEAD, WARM_UP, Window
from maskhand_ros.labelling.clip_shapes import PartShape, clip_shapes, part_shapes, reshape
from maskhand_ros.labelling.offline import RefineOptions
from maskhand_ros.labelling.parquet import ClipWriter, read_clip, read_metadata, table_of
from maskhand_ros.labelling.records import FrameLabels
from maskhand_ros.labelling.skeleton_fit import PersonShape

_SAME_PLACE = 0.5
"""Maximum distance of the middles of one hand in both parts, in hand sizes."""

Sighting = list[Any]
"""[time in ns, track id, side, u, v, size]: middle and larger extent of the keypoints, px."""


def context_of(
    frames: Sequence[FrameLabels], kept: Sequence[FrameLabels], window: Window, model: HandModel
) -> dict[str, Any]:
    """What join needs to know of a segment: the Sightings of `frames` around its `start` and `stop`, and the
    PartShapes of the `kept` frames, which are in it."""
    edges = {'start': window.start_ns, 'stop': window.stop_ns}
    sightings = _sightings(frames)
    around = {
        name: [] if edge is None else [each for each in sightings if _is_around(each, edge)]
        for name, edge in edges.items()
    }
    shapes = part_shapes(kept, model)
    return {**around, 'shapes': [[id, shape.to_json()] for id, shape in shapes.items()]}


def join(parts: Sequence[Path], target: Path, options: RefineOptions | None) -> None:
    """Writes the file of a clip from those of its parts, one row group each. With `options` the hands of a
    person get one shape in all parts; None leaves them as they are."""
    metadata = [read_metadata(part) for part in parts]
    contexts = [each['context'] for each in metadata]
    common = {name: value for name, value in metadata[0].items() if name not in ('rows', 'context')}
    common['damaged'] = sum(each['damaged'] for each in metadata)
    ids = _clip_ids(contexts)
    shapes = {} if options is None else _shapes(contexts, ids, options.model)
    first_row = 0
    with ClipWriter(target, common) as writer:
        for part, id_in_clip in zip(parts, ids, strict=True):
            frames = read_clip(part)
            for number, frame in enumerate(frames, first_row):
                frame.frame_index, frame.timestamp_s = number, number / common['rate']
                for hand in frame.hands:
                    hand.track_id = id_in_clip[hand.track_id]
            if options is not None:
                reshape(frames, shapes, options.mirrored)
            writer.write(table_of(frames))
            first_row += len(frames)


def _clip_ids(contexts: Sequence[dict[str, Any]]) -> list[dict[int, int]]:
    """For each part {track id in it: track id in the clip}."""
    found: list[dict[int, int]] = []
    next_id = 1
    before: list[Sighting] = []
    for context in contexts:
        ids = {}
        same = matches(before, context['start'])
        for id in sorted(id for id, _ in context['shapes']):
            old = same.get(id)
            if found and old in found[-1]:
                ids[id] = found[-1][old]
            else:
                ids[id] = next_id
                next_id += 1
        found.append(ids)
        before = context['stop']
    return found


def _shapes(
    contexts: Sequence[dict[str, Any]], ids: Sequence[dict[int, int]], model: HandModel
) -> dict[int, PersonShape]:
    parts = [
        {id_in_clip[id]: PartShape(**values) for id, values in context['shapes']}
        for context, id_in_clip in zip(contexts, ids, strict=True)
    ]
    return clip_shapes(parts, model)


def matches(before: Sequence[Sighting], after: Sequence[Sighting]) -> dict[int, int]:
    """{track id after: track id before} of the hands that are at the same place at the same times."""
    votes: Counter[tuple[int, int]] = Counter()
    for time_ns, new, side, u, v, size in after:
        for other_time, old, other_side, other_u, other_v, _ in before:
            near = np.hypot(u - other_u, v - other_v) < _SAME_PLACE * size
            if time_ns == other_time and side == other_side and near:
                votes[new, old] += 1
    pairs: dict[int, int] = {}
    for (new, old), _ in votes.most_common():
        if new not in pairs and old not in pairs.values():
            pairs[new] = old
    return pairs


def _sightings(frames: Sequence[FrameLabels]) -> list[Sighting]:
    found = []
    for frame in frames:
        for hand in frame.hands:
            (u, v), size = np.nanmean(hand.kp2d, 0), np.nanmax(np.ptp(hand.kp2d, axis=0))
            time_ns = round(frame.source_time_s * 1e9)
            found.append([time_ns, hand.track_id, str(hand.side), float(u), float(v), float(size)])
    return found


def _is_around(sighting: Sighting, edge_ns: int) -> bool:
    return -WARM_UP * 1e9 <= sighting[0] - edge_ns < AHEAD * 1e9
