"""Camera poses of a clip from a file, and its labels in the world frame of these poses.

A file has one pose a line: t x y z qx qy qz qw, separated by spaces (the format of the TUM RGB-D benchmark)
or commas. t: seconds since the first frame of the clip; x y z: the camera in the world, metres; qx qy qz qw:
the camera's optical frame in the world. Lines that start with # and a header line are skipped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import (
    matrix_to_quaternion,
    matrix_to_rotvec,
    quaternion_to_matrix,
    rotvec_to_matrix,
)
from maskhand_ros.labelling.parquet import flush
from maskhand_ros.labelling.schema import HANDS, METADATA_KEY

MAX_GAP = 0.2
"""Maximum seconds between two poses that are interpolated."""
WORLD_FRAME = 'world frame of the camera poses'
POSE_COLUMN = 'observation.camera_pose'
"""x, y, z m and qx, qy, qz, qw of the camera's optical frame in the world."""
WORLD = '_world'
"""Suffix of the columns kp3d, wrist_position and wrist_orientation in the world frame."""


@dataclass(frozen=True)
class CameraPoses:
    """Poses of the camera's optical frame in a world frame, at increasing `seconds` (N,)."""

    seconds: np.ndarray
    positions: np.ndarray
    """(N, 3) m"""
    rotations: np.ndarray
    """(N, 3, 3)"""

    def at(self, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (T, 3) and rotations (T, 3, 3) at `seconds` (T,): linear and spherical linear
        interpolation. NaN before the first pose, after the last and in gaps of more than MAX_GAP."""
        after = np.clip(np.searchsorted(self.seconds, seconds), 1, len(self.seconds) - 1)
        start, end = self.seconds[after - 1], self.seconds[after]
        share = (seconds - start) / (end - start)
        exact = (np.abs(share) < 1e-6) | (np.abs(share - 1) < 1e-6)
        known = (share > -1e-6) & (share < 1 + 1e-6) & ((end - start <= MAX_GAP) | exact)
        share = np.where(known, share, np.nan)[:, None]
        positions = (1 - share) * self.positions[after - 1] + share * self.positions[after]
        turn = matrix_to_rotvec(np.swapaxes(self.rotations[after - 1], 1, 2) @ self.rotations[after])
        return positions, self.rotations[after - 1] @ rotvec_to_matrix(share * turn)


def read_poses(path: Path) -> CameraPoses:
    """The CameraPoses of a file. CommandError where a line is wrong or times do not increase."""
    rows: list[list[float]] = []
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f'{path} cannot be read ({error})', 'name a text file of camera poses') from error
    for number, line in enumerate(lines, 1):
        words = line.replace(',', ' ').split()
        if not words or line.lstrip().startswith('#') or (not rows and words[0][0].isalpha()):
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != 8 or not np.isfinite(row).all() or np.linalg.norm(row[4:]) < 1e-6:
            raise CommandError(f'line {number} of {path} is no pose', 'write t x y z qx qy qz qw')
        rows.append(row)
    table = np.array(rows).reshape(-1, 8)
    if len(table) < 2 or (np.diff(table[:, 0]) <= 0).any():
        raise CommandError(
            f'{path} has {len(table)} poses, or times that do not increase',
            'give two poses or more, in order',
        )
    return CameraPoses(table[:, 0], table[:, 1:4], quaternion_to_matrix(table[:, 4:]))


def poses_for(path: Path, source: str) -> Path | None:
    """The file of poses of the clip at `source`: `path`, or, if it is a folder, the file in it with the
    clip's name and the ending .txt, .tum or .csv; None if there is none."""
    if not path.is_dir():
        return path
    found = (path / f'{Path(source).stem}{suffix}' for suffix in ('.txt', '.tum', '.csv'))
    return next((file for file in found if file.is_file()), None)


def add_world(path: Path, poses: CameraPoses) -> None:
    """Writes a clip's file anew with columns in the world frame; those of an earlier call are replaced."""
    table = with_world(pq.read_table(path), poses)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        about = pq.read_metadata(path).metadata[METADATA_KEY]
        with pq.ParquetWriter(partial, table.schema, compression='zstd') as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({METADATA_KEY: about})
        flush(partial)
        os.replace(partial, path)
        flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def camera_poses_in(path: Path) -> list[list[float] | None] | None:
    """POSE_COLUMN of a clip's file, row by row; None if it has none."""
    if POSE_COLUMN not in pq.read_schema(path).names:
        return None
    poses: list[list[float] | None] = pq.read_table(path, columns=[POSE_COLUMN])[POSE_COLUMN].to_pylist()
    return poses


def with_world(table: pa.Table, poses: CameraPoses) -> pa.Table:
    """A clip's table with POSE_COLUMN and, for both hands, kp3d_world, wrist_position_world and
    wrist_orientation_world; null where the hand, its scale or the camera's pose is unknown."""
    positions, rotations = poses.at(table['source_time'].to_numpy())
    known = np.isfinite(positions).all(1)
    quaternions = np.full((len(known), 4), np.nan)
    quaternions[known] = matrix_to_quaternion(rotations[known])
    columns = {POSE_COLUMN: _rows(np.concatenate([positions, quaternions], 1), known)}
    about = {POSE_COLUMN: ('m', '(7,)', 'position, then quaternion x, y, z, w of the camera')}
    R, t = np.repeat(rotations, 2, 0), np.repeat(positions, 2, 0)
    for name, shape in (('kp3d', (21, 3)), ('wrist_position', (3,)), ('wrist_orientation', (4,))):
        values, there = _of_hands(table[HANDS + name], shape)
        there = there & np.repeat(known, 2)
        if name == 'wrist_orientation':
            values[~there] = [0, 0, 0, 1]
            values = matrix_to_quaternion(np.where(there[:, None, None], R, 0) @ quaternion_to_matrix(values))
        else:
            points = values.reshape(len(values), -1, 3) @ np.swapaxes(R, 1, 2) + t[:, None]
            values = points.reshape(len(values), *shape)
        array = _rows(values.astype(np.float32), there)
        pairs = pa.ListArray.from_arrays(np.arange(0, len(array) + 1, 2, dtype=np.int32), array)
        columns[HANDS + name + WORLD] = pairs
        about[HANDS + name + WORLD] = ('' if shape == (4,) else 'm', str((2, *shape)), f'{name} in the world')
    for name, array in columns.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        unit, extent, text = about[name]
        metadata = {'unit': unit, 'frame': WORLD_FRAME, 'shape': extent, 'about': text}
        table = table.append_column(pa.field(name, array.type, metadata=metadata), array)
    return table


def _of_hands(column: pa.ChunkedArray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Values (2 T, *shape) of a column of two hands a row, NaN where null, and which are not null (2 T,)."""
    flat = column.combine_chunks().flatten()
    there = flat.is_valid().to_numpy(zero_copy_only=False)
    inner = flat.drop_null()
    for _ in shape:
        inner = inner.flatten()
    values = np.full((len(flat), *shape), np.nan)
    values[there] = inner.to_numpy(zero_copy_only=False).reshape(-1, *shape)
    return values, there


def _rows(values: np.ndarray, there: np.ndarray) -> pa.Array:
    """Nested lists of values (N, ...), null where not `there` (N,)."""
    array = pa.array(values[there].reshape(-1))
    for length in reversed(values.shape[1:]):
        array = pa.ListArray.from_arrays(np.arange(0, len(array) + 1, length, dtype=np.int32), array)
    places = np.cumsum(there) - 1
    return array.take(pa.array(places, mask=~there))
