"""Inputs of a labelling run: folders, patterns, manifests; frames from any start; keys by content."""

import os
import shutil

import cv2
import numpy as np
import pytest

pytest.importorskip('av')

from label_clips import write_video  # noqa: E402

from maskhand_ros import cli, video_reader  # noqa: E402
from maskhand_ros.errors import CommandError  # noqa: E402
from maskhand_ros.labelling.clip_input import BAG, IMAGES, VIDEO, ClipInput, find_clips  # noqa: E402
from maskhand_ros.labelling.keys import ContentHashes, Keys  # noqa: E402
from maskhand_ros.labelling.label_options import LabelOptions  # noqa: E402
from maskhand_ros.labelling.sources import open_source  # noqa: E402


def found(inputs, manifest=None, out='/nowhere'):
    from pathlib import Path

    return list(find_clips(list(map(str, inputs)), manifest and str(manifest), Path(out)))


def test_folders_patterns_and_a_manifest(tmp_path):
    for name in ('a/1.mp4', 'a/deep/2.MKV', 'a/photos/img10.png', 'a/photos/img9.png', 'a/out/clips/x.mp4'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ('a/.hidden/3.mp4', 'a/._1.mp4', 'a/notes.txt', 'a/bag/metadata.yaml', 'a/bag/x_0.mcap'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    clips = found([tmp_path / 'a'], out=tmp_path / 'a/out')
    assert {(os.path.relpath(clip.path, tmp_path), clip.kind) for clip in clips} == {
        ('a/1.mp4', VIDEO),
        ('a/deep/2.MKV', VIDEO),
        ('a/photos', IMAGES),
        ('a/bag', BAG),
    }
    assert [clip.path for clip in found([f'{tmp_path}/a/**/*.MKV'])] == [str(tmp_path / 'a/deep/2.MKV')]
    manifest = tmp_path / 'list.jsonl'
    manifest.write_text(
        '# mine\na/1.mp4\n{"path": "a/bag", "topic": "/cam", "intrinsics": [600, 600, 320, 240]}\n'
        '{"path": 3\nmissing.mp4\n'
    )
    one, bag, broken, missing = found([], manifest)
    assert one == ClipInput(str(tmp_path / 'a/1.mp4'), VIDEO)
    assert (bag.topic, bag.intrinsics) == ('/cam', (600.0, 600.0, 320.0, 240.0))
    assert isinstance(broken, CommandError) and 'line 4' in str(broken)
    assert isinstance(missing, CommandError) and 'line 5' in str(missing)


def test_object_storage_is_refused_with_the_way_to_read_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'list').write_text('gs://bucket/b.mp4\n')
    for error in found(['s3://bucket/a.mp4'], tmp_path / 'list'):
        assert isinstance(error, CommandError) and 'bucket/' in error.what and 'aws s3 sync' in error.fix
    (tmp_path / 'a.mp4').touch()
    assert cli.main(['label', 'a.mp4', '--out', 's3://bucket/labels']) == 1
    assert 'aws s3 sync' in capsys.readouterr().err
    assert not (tmp_path / 's3:').exists(), 'no folder of that name is made'


@pytest.mark.parametrize('has_pyav', [True, False])
def test_frames_from_a_start_on_are_those_of_the_whole_video(has_pyav, tmp_path, monkeypatch):
    monkeypatch.setattr(video_reader, 'HAS_PYAV', has_pyav)
    shades = [np.full((48, 64, 3), 4 * number + 20, np.uint8) for number in range(50)]
    path = tmp_path / 'a.mp4'
    write_video(path, shades, 'libx264', 25, (64, 48))
    for start in (0, 17, 18, 49, 50):
        source = open_source(ClipInput(str(path), VIDEO), LabelOptions())
        frames = list(source.frames(start * 40_000_000))
        source.close()
        assert source.rate == 25 and source.duration == pytest.approx(2.0)
        assert [frame.time_ns for frame in frames] == [n * 40_000_000 for n in range(start, 50)]
        shown = [float(frame.rgb.mean()) for frame in frames]
        np.testing.assert_allclose(shown, [float(shade.mean()) for shade in shades[start:]], atol=3)


def test_images_are_a_clip_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 100):
        cv2.imwrite(str(tmp_path / f'img{number}.png'), np.full((48, 64, 3), number, np.uint8))
    (tmp_path / 'img50.png').write_bytes(b'no image')
    source = open_source(ClipInput(str(tmp_path), IMAGES), LabelOptions(rate=10, intrinsics=(60, 60, 32, 24)))
    frames = list(source.frames(100_000_000))
    assert [(int(frame.rgb[0, 0, 0]), frame.time_ns) for frame in frames] == [
        (10, 100_000_000),
        (100, 300_000_000),
    ]
    assert source.damaged == 1 and frames[0].camera.K[0, 0] == 60


def test_keys_follow_content_and_options(tmp_path):
    one, two, other = (tmp_path / name for name in ('one.mp4', 'two.mp4', 'other.mp4'))
    one.write_bytes(b'a' * 100)
    shutil.copy(one, two)
    other.write_bytes(b'b' * 100)

    def key(path, topic=None, **options):
        hashes = ContentHashes(tmp_path / 'hashes.jsonl')
        clip = ClipInput(str(path), VIDEO, topic=topic)
        return Keys(LabelOptions(**options))(clip, *hashes.of_clips([clip]))

    assert key(one) == key(two) == key(one, pipeline={'threads': 7})
    changed = [key(other), key(one, pipeline={'max_hands': 1}), key(one, segment=60), key(one, '/cam')]
    assert len({key(one), *changed}) == 5
    one.write_bytes(b'c' * 101)
    assert key(one) != key(two)
