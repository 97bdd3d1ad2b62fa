"""Small clips of several codecs, sizes and rates from the frames of a video, and runs of `maskhand label`."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2

from maskhand_ros.video_reader import VideoReader

ROOT = Path(__file__).resolve().parents[2]

KINDS = [
    ('mp4', 'libx264', 30),
    ('webm', 'libvpx-vp9', 24),
    ('avi', 'mjpeg', 15),
    ('mkv', 'mpeg4', 50),
    ('mov', 'libx265', 60),
]
"""Container, codec, frames a second."""

SIZES = [(320, 240), (640, 480), (240, 320), (854, 480)]

KILLER = """
import os, signal
from maskhand_ros.labelling import sources

class Killer:
    rate, duration, damaged = 30.0, 1.0, 0
    def frames(self, start_ns):
        os.kill(os.getpid(), signal.SIGSEGV)
    def close(self): pass

usual = sources.open_source
def open_source(clip, options):
    return Killer() if 'killer' in clip.path else usual(clip, options)
sources.open_source = open_source

import urllib.request
def refuse(*arguments, **options):
    open(os.environ['MASKHAND_TEST_CALLS'], 'a').write(f'{arguments}\\n')
    raise OSError('no network here')
urllib.request.urlopen = refuse
"""
"""sitecustomize.py of a run and its workers. A clip of this name crashes the process that decodes it, as a
broken decoder does. Reports of usage are written to a file and refused."""


def write_video(path, frames, codec, rate, size):
    """Write frames (H, W, 3) RGB with a codec of PyAV, scaled to size."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height = size
        stream.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
        if codec.startswith('libx'):
            stream.options = {'preset': 'ultrafast', 'x265-params': 'log-level=none'}
        for rgb in frames:
            frame = av.VideoFrame.from_ndarray(cv2.resize(rgb, size), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def make_clips(folder, videos, count, length):
    """Write `count` clips of `length` frames and return their paths: the first is no video after its first
    bytes, the second is called killer, the last is a copy of the third."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(count - 1):
        suffix, codec, rate = KINDS[number % len(KINDS)]
        name = {0: 'corrupt', 1: 'killer'}.get(number, f'clip{number}')
        path = folder / f'{name}.{suffix}'
        with VideoReader(videos[number % len(videos)]) as video:
            start = number % (video.frame_count - length)
            frames = [rgb for rgb, _ in itertools.islice(video, start, start + length)]
        write_video(path, frames, codec, rate, SIZES[number % len(SIZES)])
        paths.append(path)
    data = paths[0].read_bytes()
    paths[0].write_bytes(data[: len(data) // 3])
    copy = folder / f'copy{paths[2].suffix}'
    copy.write_bytes(paths[2].read_bytes())
    return [*paths, copy]


def start_run(inputs, out, tools, *options):
    """Start `maskhand label` in a process of its own. `tools`: folder for the sitecustomize.py with KILLER,
    and for `calls`, which is there if somebody tried to report usage."""
    tools.mkdir(exist_ok=True)
    (tools / 'sitecustomize.py').write_text(KILLER)
    path = os.pathsep.join(filter(None, [str(tools), *sys.path]))
    reports = ('DO_NOT_TRACK', 'DAFT_ANALYTICS_ENABLED', 'SCARF_NO_ANALYTICS')
    environment = {name: value for name, value in os.environ.items() if name not in reports}
    environment |= {'PYTHONPATH': path, 'MASKHAND_TEST_CALLS': str(tools / 'calls')}
    command = [sys.executable, '-m', 'maskhand_ros.cli', 'label', str(inputs), '--out', str(out), *options]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def processes_below(pid):
    """Return the ids of a process's children, their children, and so on."""
    below = []
    for children in Path(f'/proc/{pid}/task').glob('*/children'):
        for child in map(int, children.read_text().split()):
            below += [child, *processes_below(child)]
    return below


def kill_at(run, out, count, everything):
    """Kill a run, or all of its processes at once as a power failure does, when it has finished `count`
    clips."""
    clips = out / 'clips'
    while run.poll() is None and len(list(clips.glob('[!.]*.parquet'))) < count:
        time.sleep(0.02)
    for pid in [*(processes_below(run.pid) if everything else []), run.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL
