"""Labels of synthetic hands, and folders of finished clips made of them."""

import json
from fractions import Fraction

import numpy as np

from maskhand_ros.geometry import MIRROR_X, mirror_rotation, project, rotvec_to_matrix, wrist_frame
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.labelling.records import FrameLabels, HandLabels
from maskhand_ros.perception.types import SCALE_NONE, SCALE_POPULATION
from maskhand_ros.skeleton import LEFT, RIGHT

RATE, K = 30.0, np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
MODEL = HandModel.load()


def hand(second, side=RIGHT, noise=None, size=1.0, betas=None, track=1, source=SCALE_POPULATION):
    """HandLabels of a hand that waves, turns and bends its fingers; `noise`: a generator of errors."""

    def error(*shape):
        return noise.standard_normal(shape) if noise else np.zeros(shape)

    orient = rotvec_to_matrix(np.array([0.3, 0.4 * np.sin(2 * second), 0.2]) + 0.05 * error(3))
    bend = np.zeros((15, 3))
    bend[:, 2] = 0.4 + 0.3 * np.sin(3 * second)
    pose = rotvec_to_matrix(bend + 0.05 * error(15, 3))
    betas = (np.zeros(10) if betas is None else betas) + 0.3 * error(10)
    position = np.array([0.1 * np.sin(4 * second), 0.05, 0.6]) + np.array([0.002, 0.002, 0.01]) * error(3)
    relative = size * MODEL(betas[None], orient[None], pose[None], vertices=False).keypoints[0].astype(float)
    if side == LEFT:
        orient, pose, relative = mirror_rotation(orient), mirror_rotation(pose), relative * MIRROR_X
    wrist = wrist_frame(orient, side)
    metric = source != SCALE_NONE
    return HandLabels(
        track_id=track,
        side=side,
        handedness_probability=0.9,
        presence=1.0,
        confidence=0.8,
        scale_source=source,
        operator=True,
        kp2d=project(relative + position, K),
        kp3d=relative + position if metric else None,
        kp3d_wrist=relative @ wrist,
        kp_stddev=np.full((21, 2), 0.004),
        wrist_position=position if metric else None,
        wrist_rotation=wrist,
        wrist_covariance=1e-4 * np.eye(6) if metric else None,
        global_orient=orient,
        hand_pose=pose,
        betas=betas,
        size=size,
        kp_visibility=np.full(21, 0.7),
    )


def clip(count=120, absent=(), **options):
    """Frames of `hand` at RATE, without it in the frames `absent`; and the true HandLabels."""
    times = np.arange(count) / RATE
    truth = [hand(second, **{**options, 'noise': None}) for second in times]
    hands = [hand(second, **options) for second in times]
    frames = [
        FrameLabels(k, second, second, K, [] if k in absent else [hands[k]]) for k, second in enumerate(times)
    ]
    return frames, truth


def write_video(path, times_ms, size=(64, 48), codec='libx264'):
    """Write an MP4 file with a frame at each of `times_ms`, frame k of grey level 5 k."""
    import av

    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = *size, 'yuv420p'
        stream.codec_context.time_base = Fraction(1, 3000)
        for number, time in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 5 * number, np.uint8))
            frame.pts, frame.time_base = round(3 * time), Fraction(1, 3000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def finished_run(folder, clips):
    """Make the folder of a run, given {name: (times of frames in ms, frames without a hand)}; returns the
    FrameLabels by name. Each clip has a right hand, and a left one in its first half."""
    from maskhand_ros.labelling.parquet import write_clip

    lines, labels = [], {}
    for name, (times, absent) in clips.items():
        source = folder / 'in' / f'{name}.mp4'
        source.parent.mkdir(parents=True, exist_ok=True)
        write_video(source, times)
        frames = []
        for k, time in enumerate(times):
            hands = [hand(time / 1e3)] + (
                [hand(time / 1e3, side=LEFT, track=2)] if k < len(times) / 2 else []
            )
            frames.append(FrameLabels(k, k / RATE, time / 1e3, K, [] if k in absent else hands))
        metadata = {
            'source': str(source),
            'rate': RATE,
            'width': 64,
            'height': 48,
            'damaged': 0,
            'camera': {'K': K.tolist(), 'distortion': [0.1, 0, 0, 0, 0], 'lens': 'pinhole'},
            'options': {'topic': None, 'rate': None},
        }
        write_clip(folder / 'clips' / f'{name}-0.parquet', frames, metadata)
        lines.append(json.dumps({'path': str(source), 'key': '0', 'file': f'clips/{name}-0.parquet'}) + '\n')
        labels[name] = frames
    (folder / 'clips.jsonl').write_text(''.join(lines))
    return labels
