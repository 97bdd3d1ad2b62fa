"""Parts of a long clip to one file: the hands of each part get the track ids of the part before.

Two parts that follow each other share the frames around their border (clip_labels.WARM_UP and AHEAD). A hand
of the second part is that of the first which is at the same place in most of these frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from maskhand_ros.labelling.clip_labels import AHEAD, WARM_UP, Window
from maskhand_ros.labelling.parquet import ClipWriter, read_metadata
from maskhand_ros.labelling.records import FrameLabels
from maskhand_ros.labelling.schema import HANDS, OTHER_HANDS

_SAME_PLACE = 0.5
"""Maximum distance of the middles of one hand in both parts, in hand sizes."""

Sighting = list[Any]
"""[time in ns, track id, side, u, v, size]: middle and larger extent of the keypoints, px."""


def context_of(frames: Sequence[FrameLabels], window: Window) -> dict[str, list[Sighting]]:
    """The Sightings around the `start` and the `stop` of a segment."""
    edges = {'start': window.start_ns, 'stop': window.stop_ns}
    return {
        name: [] if edge is None else [each for each in _sightings(frames) if _is_around(each, edge)]
        for name, edge in edges.items()
    }


def join(parts: Sequence[Path], target: Path) -> None:
    """Writes the file of a clip from those of its parts, one row group each."""
    metadata = [read_metadata(part) for part in parts]
    common = {name: value for name, value in metadata[0].items() if name not in ('rows', 'context')}
    common['damaged'] = sum(each['damaged'] for each in metadata)
    ids: dict[int, int] = {}
    first_row, next_id = 0, 1
    with ClipWriter(target, common) as writer:
        for number, part in enumerate(parts):
            table = pq.read_table(part)
            before = metadata[number - 1]['context']['stop'] if number else []
            same = matches(before, metadata[number]['context']['start'])
            known = {new: ids[old] for new, old in same.items() if old in ids}
            own = sorted(set(_ids_of(table)) - set(known))
            ids = {**known, **{new: next_id + place for place, new in enumerate(own)}}
            next_id += len(own)
            writer.write(_renumbered(table, ids, first_row, common['rate']))
            first_row += table.num_rows


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


def _ids_of(table: pa.Table) -> list[int]:
    """The track ids in a table."""
    others = table[OTHER_HANDS].combine_chunks().flatten().field('track_id')
    own = table[HANDS + 'track_id'].combine_chunks().flatten()
    return [each for each in {*own.to_pylist(), *others.to_pylist()} if each is not None]


def _renumbered(table: pa.Table, ids: dict[int, int], first_row: int, rate: float) -> pa.Table:
    """The table with other track ids, and frame numbers from `first_row` on."""
    index = np.arange(first_row, first_row + table.num_rows)
    changes: dict[str, pa.Array] = {'frame_index': pa.array(index), 'timestamp': pa.array(index / rate)}
    own = table[HANDS + 'track_id'].combine_chunks()
    changes[HANDS + 'track_id'] = pa.ListArray.from_arrays(own.offsets, _mapped(own.values, ids))
    others = table[OTHER_HANDS].combine_chunks()
    records = others.values
    fields = list(others.type.value_type)
    columns = [
        _mapped(records.field(field.name), ids) if field.name == 'track_id' else records.field(field.name)
        for field in fields
    ]
    struct = pa.StructArray.from_arrays(columns, fields=fields)
    changes[OTHER_HANDS] = pa.ListArray.from_arrays(others.offsets, struct)
    for name, array in changes.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), array)
    return table


def _mapped(array: pa.Array, ids: dict[int, int]) -> pa.Array:
    values = [None if each is None else ids[each] for each in array.to_pylist()]
    return pa.array(values, pa.int32())
