"""The file of a clip: what is written is read again, absent is null, units are in the file."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip('pyarrow')
pytest.importorskip('daft')

import pyarrow.parquet as pq  # noqa: E402

from maskhand_ros.geometry import matrix_to_quaternion, rotvec_to_matrix  # noqa: E402
from maskhand_ros.labelling import schema  # noqa: E402
from maskhand_ros.labelling.parquet import ClipWriter, clip_schema, read_clip, write_clip  # noqa: E402
from maskhand_ros.labelling.records import FrameLabels, HandLabels  # noqa: E402
from maskhand_ros.perception.types import SCALE_NONE, SCALE_POPULATION  # noqa: E402
from maskhand_ros.skeleton import LEFT, RIGHT  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(1)


def hand(side, confidence=0.7, metric=True, **changes):
    draw = RANDOM.normal
    values = HandLabels(
        track_id=int(RANDOM.integers(1, 9)),
        side=side,
        handedness_probability=0.75,
        presence=0.875,
        confidence=confidence,
        scale_source=SCALE_POPULATION if metric else SCALE_NONE,
        operator=False,
        kp2d=draw(300, 50, (21, 2)),
        kp3d=draw(size=(21, 3)) if metric else None,
        kp3d_wrist=draw(size=(21, 3)),
        kp_stddev=draw(size=(21, 2)) ** 2,
        wrist_position=draw(size=3) if metric else None,
        wrist_rotation=rotvec_to_matrix(draw(size=3)),
        wrist_covariance=draw(size=(6, 6)) if metric else None,
        global_orient=rotvec_to_matrix(draw(size=3)),
        hand_pose=rotvec_to_matrix(draw(0, 0.4, (15, 3))),
        betas=draw(size=10),
        size=1.0625,
        kp_visibility=RANDOM.uniform(size=21) if metric else None,
    )
    return dataclasses.replace(values, **changes)


def assert_same(one, other):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_allclose(a, b, atol=1e-4, err_msg=field.name)
        else:
            assert a == pytest.approx(b) if isinstance(a, float) else a is b or a == b, field.name


def test_what_is_written_is_read_and_an_absent_hand_is_null(tmp_path):
    import daft

    K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
    right, unknown, third = hand(RIGHT), hand(RIGHT, metric=False, observed=False), hand(LEFT, 0.5)
    operator = hand(LEFT, 0.25, operator=True)
    frames = [
        FrameLabels(0, 0.0, 0.0, None, []),
        FrameLabels(1, 1 / 30, 0.04, K, [right]),
        FrameLabels(2, 2 / 30, 0.08, K, [third, unknown, operator]),
    ]
    path = tmp_path / 'clip.parquet'
    write_clip(path, frames, {'rate': 30.0})
    again = read_clip(path)
    assert [len(frame.hands) for frame in again] == [0, 1, 3]
    assert again[0].intrinsics is None and np.array_equal(again[1].intrinsics, K)
    assert (again[2].frame_index, again[2].source_time_s) == (2, 0.08)
    for one, other in zip([right, operator, unknown, third], again[1].hands + again[2].hands, strict=True):
        assert_same(one, other)

    columns = daft.read_parquet(str(path)).to_pydict()  # as an independent reader sees them: left, right
    assert columns['observation.hands.kp3d'][0] == [None, None]
    assert columns['observation.hands.kp2d'][1][0] is None
    np.testing.assert_allclose(columns['observation.hands.kp2d'][1][1], right.kp2d, rtol=1e-6)
    assert columns['observation.hands.kp3d'][2][1] is None and columns['observation.hands.kp2d'][2][1]
    np.testing.assert_allclose(
        columns['observation.hands.wrist_orientation'][1][1],
        matrix_to_quaternion(right.wrist_rotation),
        atol=1e-6,
    )
    assert columns['observation.hands.track_id'][2] == [operator.track_id, unknown.track_id]
    assert columns['observation.hands.observed'][2] == [True, False]
    assert [each['side'] for each in columns['observation.other_hands'][2]] == ['left']


def test_units_and_shapes_are_in_the_file_and_in_the_documentation(tmp_path):
    path = tmp_path / 'clip.parquet'
    write_clip(path, [], {'rate': 30.0})
    stored = pq.read_schema(path)
    assert stored.field('observation.hands.kp3d').metadata[b'unit'] == b'm'
    assert stored.field('observation.hands.kp3d').metadata[b'shape'] == b'(2, 21, 3)'
    page = (ROOT / 'docs/labelling.md').read_text()
    for column in schema.FRAME_COLUMNS + schema.HAND_COLUMNS:
        assert f'`{column.name}`' in page, column.name
    assert set(clip_schema().names) == set(stored.names)


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / 'clip.parquet'
    with pytest.raises(KeyboardInterrupt), ClipWriter(path, {}):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with ClipWriter(path, {'a': 1}) as writer:
        writer.add_metadata(b=2)
        assert not path.exists()
    assert json.loads(pq.read_metadata(path).metadata[schema.METADATA_KEY])['b'] == 2
