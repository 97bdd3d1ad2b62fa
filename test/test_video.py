"""Videos: each frame has its presentation time and is upright, with PyAV and with OpenCV alone."""

import json
import re
import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskhand_ros import cli, video_reader, video_writer
from maskhand_ros.errors import CommandError
from maskhand_ros.video_reader import VideoReader
from maskhand_ros.video_writer import VideoWriter

PACKAGE = Path(cli.__file__).parent
UNEVEN_MS = [0, 33, 66, 100, 300, 500, 700, 733, 950, 1400]
"""Presentation times of a camera that slows down in the dark."""


@pytest.fixture(params=['PyAV', 'OpenCV'])
def backend(request, monkeypatch):
    """Reads and writes with this library."""
    if request.param == 'PyAV':
        pytest.importorskip('av')
    for module in (video_reader, video_writer):
        monkeypatch.setattr(module, 'HAS_PYAV', request.param == 'PyAV')
    return request.param


def picture(number):
    """(64, 96, 3) uint8: red in the top left corner, as bright elsewhere as `number` says."""
    rgb = np.full((64, 96, 3), 20 * number, np.uint8)
    rgb[:24, :32] = 220, 30, 30
    return rgb


@pytest.fixture
def uneven(tmp_path):
    """An MP4 with frames at UNEVEN_MS."""
    av = pytest.importorskip('av')
    path = tmp_path / 'uneven.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, at in enumerate(UNEVEN_MS):
            frame = av.VideoFrame.from_ndarray(picture(number), format='rgb24')
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def times_ms(path):
    with VideoReader(path) as video:
        return [time_ns * 1e-6 for _, time_ns in video]


def test_frames_have_the_times_of_the_container(backend, uneven):
    assert times_ms(uneven) == pytest.approx(UNEVEN_MS, abs=1)


def test_a_written_video_lasts_as_long_as_its_source(backend, uneven, tmp_path):
    out = tmp_path / 'out.mp4'
    with VideoReader(uneven) as video, VideoWriter(out, video.width, video.height) as writer:
        for rgb, time_ns in video:
            writer.write(rgb, time_ns)
    times = times_ms(out)
    assert times[-1] == pytest.approx(UNEVEN_MS[-1], abs=20)
    if backend == 'PyAV':
        assert times == pytest.approx(UNEVEN_MS, abs=1)
    # What is shown at a time is the frame of that time.
    with VideoReader(out) as video:
        shown = {round(time_ns * 1e-6): rgb[40:, 40:].mean() for rgb, time_ns in video}
    at_600 = shown[max(at for at in shown if at <= 600)]
    assert at_600 == pytest.approx(20 * UNEVEN_MS.index(500), abs=8)


@pytest.mark.parametrize('degrees', [0, 90, 180, 270])
def test_a_rotated_video_is_upright_once(backend, uneven, degrees):
    """The matrix in the track header (ISO/IEC 14496-12, 8.3.2) is that of a phone held in another way."""
    data, at = bytearray(uneven.read_bytes()), uneven.read_bytes().index(b'tkhd')
    angle = np.deg2rad(degrees)
    cosine, sine = (round(f(angle) * 65536) for f in (np.cos, np.sin))
    matrix = (cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
    data[at + 44 : at + 80] = struct.pack('>9i', *matrix)
    uneven.write_bytes(data)
    with VideoReader(uneven) as video:
        first = next(iter(video)).rgb
        assert (video.height, video.width) == first.shape[:2]
    turned = np.rot90(picture(0), -degrees // 90)  # clockwise
    assert first.shape == turned.shape
    assert np.abs(first.astype(int) - turned).mean() < 12


def test_a_video_that_is_cut_off_gives_what_is_whole(backend, tmp_path):
    """AVI has its frames before its index."""
    path = tmp_path / 'whole.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 25, (96, 64))
    for number in range(100):
        writer.write(picture(number % 10)[:, :, ::-1].copy())
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    assert 30 <= len(times_ms(path)) < 100


def test_what_is_no_video_says_so_with_the_fix(backend, tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(CommandError, match='text.mp4 is not a video .* Fix: convert it: ffmpeg'):
        VideoReader(tmp_path / 'text.mp4')
    with pytest.raises(CommandError, match='no file'):
        VideoReader(tmp_path / 'nowhere.mp4')


def test_the_command_keeps_the_times(backend, uneven, tmp_path, capsys):
    assert cli.main(['video', str(uneven), '--out', str(tmp_path / 'out')]) == 0
    lines = (tmp_path / 'out/uneven.jsonl').read_text().splitlines()
    assert [json.loads(line)['stamp_ns'] * 1e-6 for line in lines] == pytest.approx(UNEVEN_MS, abs=1)
    assert times_ms(tmp_path / 'out/uneven_overlay.mp4')[-1] == pytest.approx(UNEVEN_MS[-1], abs=20)


def test_files_are_read_by_one_reader():
    opened = [
        path.name
        for path in PACKAGE.rglob('*.py')
        if re.search(r'VideoCapture\((?!self\.camera)', path.read_text())
    ]
    assert opened == ['video_reader.py']
