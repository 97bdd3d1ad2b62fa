"""A long clip in segments is the clip: the same frames, the same hands, the same track ids."""

import itertools

import numpy as np
import pytest
import synthetic

pytest.importorskip('pyarrow')
pytest.importorskip('av')

from label_clips import write_video  # noqa: E402

from maskhand_ros.clip import read_clip as read_demo  # noqa: E402
from maskhand_ros.geometry import project  # noqa: E402
from maskhand_ros.labelling.attempts import Attempt  # noqa: E402
from maskhand_ros.labelling.clip_input import VIDEO, ClipInput  # noqa: E402
from maskhand_ros.labelling.clip_labels import Window, segments  # noqa: E402
from maskhand_ros.labelling.joining import context_of, join, matches  # noqa: E402
from maskhand_ros.labelling.label_options import LabelOptions  # noqa: E402
from maskhand_ros.labelling.offline import RefineOptions, refine  # noqa: E402
from maskhand_ros.labelling.parquet import read_clip, write_clip  # noqa: E402
from maskhand_ros.labelling.records import FrameLabels  # noqa: E402
from maskhand_ros.labelling.run import Run, Workers  # noqa: E402
from maskhand_ros.labelling.run_folder import RunFolder, Task  # noqa: E402
from maskhand_ros.labelling.run_progress import RunProgress  # noqa: E402
from maskhand_ros.labelling.worker import Worker  # noqa: E402
from maskhand_ros.perception.types import SCALE_DEPTH, SCALE_POPULATION  # noqa: E402


class InProcess(Run):
    """A Run whose rounds are done in this process."""

    worker = Worker()

    def _round(self, tasks):
        for task in tasks:
            self.worker(task)
        return True


def label(path, out, segment):
    options = LabelOptions(segment=segment, intrinsics=(600, 600, 320, 240))
    folder = RunFolder(out)
    task = Task(ClipInput(str(path), VIDEO), f'{segment:016.0f}', '', options, str(out))
    InProcess(folder, [task], Workers(1))()
    assert not folder.failure(task.key)
    return read_clip(folder.clip_file(task))


def test_segments_make_the_whole(tmp_path):
    demo = read_demo()
    path = tmp_path / 'a.mp4'
    write_video(path, itertools.islice(demo.frames(), 24), 'libx264', 5, (640, 480))
    whole, joined = (label(path, tmp_path / 'out', segment) for segment in (60, 2.4))
    assert [frame.frame_index for frame in joined] == list(range(24))
    assert [frame.source_time_s for frame in joined] == [frame.source_time_s for frame in whole]
    assert [frame.timestamp_s for frame in joined] == pytest.approx([n / 5 for n in range(24)])
    assert not list((tmp_path / 'out/.work').glob('0*')), 'nothing is left of the parts'
    ids = {(hand.side, hand.track_id) for frame in joined for hand in frame.hands}
    assert len(ids) == 2, 'each hand keeps its id over the border'
    for one in (whole, joined):
        hands = [hand for frame in one for hand in frame.hands]
        assert len({hand.size for hand in hands}) == 1 and len({tuple(hand.betas) for hand in hands}) == 1
        bones = np.stack([np.linalg.norm(np.diff(hand.kp3d_wrist[5:9], axis=0), axis=1) for hand in hands])
        assert np.ptp(bones, axis=0).max() < 1e-6, 'the operator has one skeleton in all segments'
    for one, other in zip(whole, joined, strict=True):
        for hand, same in zip(one.hands, other.hands, strict=True):
            assert np.abs(hand.kp2d - same.kp2d).mean() < 2.0


def test_a_length_that_one_part_knows_is_that_of_the_whole_clip(tmp_path):
    """The hand is 15 % larger than the population's. A depth camera sees it in the first part only."""
    options, parts = RefineOptions(), [tmp_path / '0.parquet', tmp_path / '1.parquet']
    windows = Window(0, 2_000_000_000), Window(2_000_000_000)
    for path, window, size in zip(parts, windows, (1.15, 1.0), strict=True):
        source = SCALE_DEPTH if size > 1 else SCALE_POPULATION
        frames, _ = synthetic.clip(size=1.15, source=source, noise=np.random.default_rng(1))
        for name in ('kp3d', 'kp3d_wrist', 'wrist_position', 'size'):  # a small hand is seen nearer
            for frame in frames:
                setattr(frame.hands[0], name, getattr(frame.hands[0], name) * size / 1.15)
        near = [each for each in frames if window.first_ns <= 1e9 * each.source_time_s < window.last_ns]
        refined = refine(near, options)
        kept = [frame for frame in refined if window.holds(frame)]
        context = context_of(refined, kept, window, options.model)
        write_clip(path, kept, {'rate': synthetic.RATE, 'damaged': 0, 'context': context})
    join(parts, tmp_path / 'clip.parquet', options)
    hands = [hand for frame in read_clip(tmp_path / 'clip.parquet') for hand in frame.hands]
    assert len(hands) == 120 and {hand.track_id for hand in hands} == {1}
    assert len({hand.size for hand in hands}) == 1
    length = hands[0].size * synthetic.MODEL.length(hands[0].betas)
    assert abs(length / (1.15 * synthetic.MODEL.length(np.zeros(10))) - 1) < 0.02
    assert [str(hands[k].scale_source) for k in (10, 100)] == ['depth', 'learned']
    _, truth = synthetic.clip(size=1.15)
    for hand, true in zip(hands, truth, strict=True):
        assert np.linalg.norm(hand.kp3d - true.kp3d, axis=1).mean() < 0.02
        assert np.abs(project(hand.kp3d, synthetic.K) - hand.kp2d).max() < 1e-2


def test_progress_tells_rate_and_time_left(tmp_path):
    folder, clips = RunFolder(tmp_path / 'out'), []
    for number in range(4):
        path = tmp_path / f'{number}.mp4'
        path.write_bytes(bytes(100 + 100 * (number == 3)))
        clips.append(
            Task(ClipInput(str(path), VIDEO), f'{number:016}', '', LabelOptions(), str(folder.folder))
        )
    write_clip(folder.clip_file(clips[0]), [FrameLabels(0, 0.0, 0.0, None)], {})
    shown = RunProgress(folder, clips)
    frames = [FrameLabels(number, 0.0, 0.0, None) for number in range(30)]
    write_clip(folder.clip_file(clips[1]), frames, {})
    with Attempt(folder.marker(clips[2])):
        folder.marker(clips[2]).write_text('{"attempts": 1, "frames": 20}')
        text = shown._text(10.0)
    assert text == '2 of 4 clips, 5 frames/s, 30 s left'


def test_borders():
    assert [part.stop_ns for part in segments(None, 300)] == [None]
    assert [part.stop_ns for part in segments(440, 300)] == [None]
    assert [part.start_ns for part in segments(460, 300)] == [0, 300_000_000_000]
    before = [[time, 4, 'left', 100.0, 100.0, 50.0] for time in range(5)]
    before += [[time, 5, 'left', 300.0, 100.0, 50.0] for time in range(5)]
    after = [[time, 1, 'left', 302.0, 101.0, 50.0] for time in range(3, 8)]
    after += [[time, 2, 'right', 100.0, 100.0, 50.0] for time in range(3, 8)]
    assert matches(before, after) == {1: 5}
