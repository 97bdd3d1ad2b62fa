"""A clip's Parquet file: hands of every frame, in the columns of `schema`.

A file appears under its name when it is complete: it is written beside, flushed to the disk and renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from maskhand_ros.geometry import (
    matrix_to_quaternion,
    matrix_to_rotvec,
    quaternion_to_matrix,
    rotvec_to_matrix,
)
from maskhand_ros.labelling.records import FrameLabels, HandLabels
from maskhand_ros.labelling.schema import (
    FRAME_COLUMNS,
    HAND_COLUMNS,
    HANDS,
    METADATA_KEY,
    OTHER_HANDS,
    SCHEMA_VERSION,
    Column,
)
from maskhand_ros.perception.types import ScaleSource
from maskhand_ros.skeleton import LEFT, RIGHT, Handedness

_FIELD_OF = {'wrist_orientation': 'wrist_rotation'}
"""Column: field of HandLabels, where the names differ."""

_TO_COLUMN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'wrist_orientation': matrix_to_quaternion,
    'global_orient': matrix_to_rotvec,
    'hand_pose': lambda rotations: matrix_to_rotvec(rotations).reshape(-1, 45),
}
"""Conversion of N stacked fields of HandLabels to a column, where they differ."""

_FROM_COLUMN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'wrist_orientation': quaternion_to_matrix,
    'global_orient': rotvec_to_matrix,
    'hand_pose': lambda vectors: rotvec_to_matrix(vectors.reshape(-1, 15, 3)),
}


def slots(hands: Sequence[HandLabels]) -> tuple[list[HandLabels | None], list[HandLabels]]:
    """[left or None, right or None] of a frame, and its other hands. The operator's hand comes first, then
    the more confident one."""
    best: list[HandLabels | None] = []
    for side in (LEFT, RIGHT):
        of_side = [hand for hand in hands if hand.side == side]
        best.append(max(of_side, key=lambda hand: (hand.operator, hand.confidence), default=None))
    return best, [hand for hand in hands if not any(hand is one for one in best)]


class ClipWriter:
    """A new Parquet file at `path`, written in row groups. Use as a context manager: the file appears when
    the block ends without an exception."""

    def __init__(self, path: Path, metadata: dict[str, Any]) -> None:
        """`metadata`: JSON object for the metadata of the schema."""
        self.path, self._partial = path, path.with_name(f'.{path.name}.{os.getpid()}.part')
        self._metadata = {'schema_version': SCHEMA_VERSION, **metadata}

    def __enter__(self) -> ClipWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._partial, clip_schema(), compression='zstd')
        return self

    def write(self, table: pa.Table) -> None:
        """Appends the rows of a table of clip_schema()."""
        self._writer.write_table(table)

    def add_metadata(self, **values: Any) -> None:
        """Adds to the metadata what is known only at the end."""
        self._metadata.update(values)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._writer.add_key_value_metadata({METADATA_KEY: json.dumps(self._metadata).encode()})
            self._writer.close()
            if kind is None:
                flush(self._partial)
                os.replace(self._partial, self.path)
                flush(self.path.parent)
        finally:
            self._partial.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Waits until a file or the entries of a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_clip(path: Path, frames: Sequence[FrameLabels], metadata: dict[str, Any]) -> None:
    """Writes the frames of a clip; `metadata` as for ClipWriter."""
    with ClipWriter(path, metadata) as writer:
        writer.write(table_of(frames))


def read_metadata(path: Path) -> dict[str, Any]:
    """The JSON object that ClipWriter was given, with `schema_version`, and `rows`."""
    file = pq.read_metadata(path)
    return {**json.loads(file.metadata[METADATA_KEY]), 'rows': file.num_rows}


def read_clip(path: Path) -> list[FrameLabels]:
    """The frames of a clip's file."""
    return frames_of(pq.read_table(path))


def clip_schema() -> pa.Schema:
    """The Arrow schema: types, and for each column its unit, frame, shape and meaning as metadata."""
    hand = pa.struct([pa.field(column.name, _type(column)) for column in HAND_COLUMNS])
    fields = [pa.field(column.name, _type(column), metadata=_about(column)) for column in FRAME_COLUMNS]
    for column in HAND_COLUMNS:
        about = {**_about(column), 'shape': str((2, *column.shape)), 'order': 'left, right'}
        fields.append(pa.field(HANDS + column.name, pa.list_(_type(column)), metadata=about))
    about = {'about': f'further hands, with the fields of {HANDS}*'}
    fields.append(pa.field(OTHER_HANDS, pa.list_(hand), metadata=about))
    return pa.schema(fields)


def table_of(frames: Sequence[FrameLabels]) -> pa.Table:
    """The frames as a table of clip_schema()."""
    intrinsics = [frame.intrinsics for frame in frames]
    columns = [
        pa.array([frame.frame_index for frame in frames], pa.int64()),
        pa.array([frame.timestamp_s for frame in frames], pa.float64()),
        pa.array([frame.source_time_s for frame in frames], pa.float64()),
        _nullable(intrinsics, FRAME_COLUMNS[3]),
    ]
    pairs = [slots(frame.hands) for frame in frames]
    flat = [hand for pair, _ in pairs for hand in pair]
    ends = np.arange(0, len(flat) + 1, 2, dtype=np.int32)
    for column in HAND_COLUMNS:
        columns.append(pa.ListArray.from_arrays(ends, _hand_column(flat, column)))
    others = [hand for _, rest in pairs for hand in rest]
    struct = pa.StructArray.from_arrays(
        [_hand_column(others, column) for column in HAND_COLUMNS],
        fields=list(clip_schema().field(OTHER_HANDS).type.value_type),
    )
    ends = np.cumsum([0, *(len(rest) for _, rest in pairs)], dtype=np.int32)
    columns.append(pa.ListArray.from_arrays(ends, struct))
    return pa.Table.from_arrays(columns, schema=clip_schema())


def frames_of(table: pa.Table) -> list[FrameLabels]:
    """The frames of a table of clip_schema()."""
    table = table.combine_chunks()
    index, timestamp, time, K = (
        _values(table[column.name].combine_chunks(), column) for column in FRAME_COLUMNS
    )
    pairs = _hands_of({column.name: _flat(table[HANDS + column.name]) for column in HAND_COLUMNS})
    others = table[OTHER_HANDS].combine_chunks()
    records = others.flatten()
    rest = iter(_hands_of({column.name: records.field(column.name) for column in HAND_COLUMNS}))
    frames = []
    for row, count in enumerate(pa.compute.list_value_length(others).to_pylist()):
        hands = [*pairs[2 * row : 2 * row + 2], *(next(rest) for _ in range(count))]
        present = [hand for hand in hands if hand is not None]
        frames.append(FrameLabels(index[row], timestamp[row], time[row], K[row], present))
    return frames


def _type(column: Column) -> pa.DataType:
    kind = pa.type_for_alias(column.type)
    for _ in column.shape:
        kind = pa.list_(kind)
    return kind


def _about(column: Column) -> dict[str, str]:
    return {
        'unit': column.unit,
        'frame': column.frame,
        'shape': str(column.shape),
        'about': column.about,
    }


def _hand_column(hands: Sequence[HandLabels | None], column: Column) -> pa.Array:
    """The values of one column for these hands, null for None."""
    name = _FIELD_OF.get(column.name, column.name)
    values = [None if hand is None else getattr(hand, name) for hand in hands]
    if column.type == 'string':
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return _nullable(values, column, _TO_COLUMN.get(column.name))


def _nullable(
    values: Sequence[Any], column: Column, convert: Callable[[np.ndarray], np.ndarray] | None = None
) -> pa.Array:
    """An array of `values`, null for None. `convert`: applied to the stack of the others."""
    given = [value for value in values if value is not None]
    places = np.cumsum([value is not None for value in values], dtype=np.int64) - 1
    absent = np.array([value is None for value in values], bool)
    stack = np.asarray(given) if given else np.zeros((0, *column.shape))
    if convert and given:
        stack = convert(stack)
    array = pa.array(stack.reshape(-1), from_pandas=False).cast(pa.type_for_alias(column.type))
    for length in reversed(column.shape):
        array = pa.ListArray.from_arrays(np.arange(0, len(array) + 1, length, dtype=np.int32), array)
    return array.take(pa.array(places, mask=absent))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().flatten()


def _values(array: pa.Array, column: Column) -> list[Any]:
    """One value for each entry of an array: None, a number or text, or an array of `column.shape`."""
    if not column.shape:
        return array.to_pylist()
    inner = array.drop_null()
    for _ in column.shape:
        inner = inner.flatten()
    stack = inner.to_numpy(zero_copy_only=False).astype(float).reshape(-1, *column.shape)
    if column.name in _FROM_COLUMN:
        stack = _FROM_COLUMN[column.name](stack)
    rows: Iterator[np.ndarray] = iter(stack)
    return [next(rows) if valid else None for valid in array.is_valid().to_pylist()]


def _hands_of(arrays: dict[str, pa.Array]) -> list[HandLabels | None]:
    """The hands of flat arrays by column name; None where the side is null."""
    fields = {
        _FIELD_OF.get(column.name, column.name): _values(arrays[column.name], column)
        for column in HAND_COLUMNS
    }
    fields['side'] = [Handedness.named(name) for name in fields['side']]
    sources = fields['scale_source']
    fields['scale_source'] = [None if name is None else ScaleSource[name.upper()] for name in sources]
    rows = (dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True))
    return [None if row['side'] is None else HandLabels(**row) for row in rows]
