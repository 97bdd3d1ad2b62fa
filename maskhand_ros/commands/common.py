"""What the picture commands share: arguments, pictures in, hands out as JSON and PLY."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib

import cv2
import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.skeleton import KEYPOINT_SETS

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')


class CommandError(Exception):
    """Something that the user can put right: `what` is wrong, and the `fix`."""

    def __init__(self, what, fix):
        super().__init__(f'{what}. Fix: {fix}')


def add_pipeline_arguments(parser):
    """Options that choose the model and where it runs."""
    group = parser.add_argument_group('model')
    group.add_argument('--device', default='cpu', choices=('cpu', 'cuda', 'tensorrt'))
    group.add_argument('--threads', type=int, default=2, help='CPU threads, for all hands (default 2)')
    group.add_argument(
        '--weights', metavar='DIR', help='folder with the ONNX files (default: the ones shipped)'
    )
    group.add_argument(
        '--hand-model', metavar='NPZ', help='from `maskhand convert-mano` (default: the open hand)'
    )
    group.add_argument(
        '--keypoints',
        choices=KEYPOINT_SETS,
        default=KEYPOINT_SETS[0],
        help='where the 21 keypoints sit (default %(default)s)',
    )
    group.add_argument('--iterations', type=whole(1), default=1, help='steps of decoding (default 1)')
    group.add_argument('--max-hands', type=int, default=2)
    group.add_argument(
        '--hand-length',
        type=float,
        default=0.0,
        metavar='M',
        help='wrist to middle fingertip of a stretched hand in metres (default: population mean)',
    )
    group.add_argument(
        '--smoothing',
        choices=('adaptive', 'off'),
        default='adaptive',
        help='of hands in video (default adaptive)',
    )


def whole(least):
    """An argparse type: a whole number that is `least` or more."""

    def convert(text):
        if int(text) < least:
            raise argparse.ArgumentTypeError(f'{text} is less than {least}')
        return int(text)

    return convert


def positive(text):
    """An argparse type: a number above 0."""
    if not 0 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not a number above 0')
    return float(text)


def add_hypothesis_arguments(parser):
    """Options of the poses that are drawn beside the estimate."""
    group = parser.add_argument_group('hypotheses')
    group.add_argument(
        '--hypotheses',
        type=whole(0),
        default=0,
        help='poses to draw beside the estimate, most probable first (default 0)',
    )
    group.add_argument('--temperature', type=positive, default=1.0, help='of the drawing (default 1)')
    group.add_argument(
        '--top-k',
        type=whole(0),
        default=0,
        help='draw among this many most probable tokens (default 0: all)',
    )


def hypothesis_options(args):
    """What `add_hypothesis_arguments` parsed, as fields of a PipelineConfig."""
    return {'hypotheses': args.hypotheses, 'temperature': args.temperature, 'top_k': args.top_k}


def add_camera_arguments(parser):
    parser.add_argument(
        '--intrinsics',
        type=float,
        nargs=4,
        metavar=('FX', 'FY', 'CX', 'CY'),
        help='camera matrix in pixels of this picture; without it hands have no metric place',
    )
    parser.add_argument('--mirrored', action='store_true', help='the picture is a mirror image (selfie view)')


def build_pipeline(args, **changes):
    """The HandPipeline that the parsed `args` ask for; `changes` replace fields of its config."""
    from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig

    values = dict(
        device=args.device,
        threads=args.threads,
        weights_dir=args.weights,
        hand_model=args.hand_model,
        keypoint_set=args.keypoints,
        max_hands=args.max_hands,
        iterations=args.iterations,
        hand_length=args.hand_length,
        smoothing=args.smoothing,
    )
    return HandPipeline(PipelineConfig(**{**values, **changes}))


def camera_from(args, width, height):
    """The Camera that --intrinsics names, or None."""
    if not args.intrinsics:
        return None
    fx, fy, cx, cy = args.intrinsics
    if min(fx, fy) <= 0:
        raise CommandError(
            f'--intrinsics: focal lengths {fx}, {fy} are not positive', 'give FX FY CX CY in pixels'
        )
    return Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), width, height)


def read_picture(path):
    """(H, W, 3) uint8 RGB of an image file, turned as its EXIF tag says."""
    if not pathlib.Path(path).is_file():
        raise CommandError(f'no file {path}', 'check the path')
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise CommandError(
            f'{path} is not a picture that OpenCV reads', f'convert it to one of {PICTURE_SUFFIXES}'
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def write_picture(path, rgb):
    if not cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)):
        raise CommandError(f'cannot write {path}', 'check that the folder is writable and the disk not full')


def output_folder(path):
    """The folder, made if it is not there."""
    folder = pathlib.Path(path)
    if folder.exists() and not folder.is_dir():
        raise CommandError(f'{folder} is a file', 'name a folder with --out')
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hand_to_dict(hand, vertices=True):
    """Every field of a Hand as JSON types; names instead of numbers for side, state and scale_source.

    `vertices` False leaves the mesh out. Units and frames are those of Hand.msg.
    """
    values = {'hypotheses': [{k: _plain(v) for k, v in vars(drawn).items()} for drawn in hand.hypotheses]}
    for field in dataclasses.fields(hand):
        value = getattr(hand, field.name)
        if field.name == 'hypotheses' or (field.name == 'vertices' and not vertices):
            continue
        values[field.name] = _plain(value)
    values.update(
        side=str(hand.side),
        state=str(hand.state),
        roi=[int(v) for v in hand.roi],
        scale_source=str(hand.scale_source),
    )
    return values


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return np.round(np.asarray(value, float), 6).tolist()
    return value


def write_json(path, value):
    pathlib.Path(path).write_text(json.dumps(value) + '\n')


def write_ply(path, vertices, faces, comment=''):
    """A binary PLY mesh: vertices (V, 3) metres, faces (F, 3) with outward winding."""
    header = [
        'ply',
        'format binary_little_endian 1.0',
        f'comment {comment}',
        f'element vertex {len(vertices)}',
        'property float x',
        'property float y',
        'property float z',
        f'element face {len(faces)}',
        'property list uchar int vertex_indices',
        'end_header',
        '',
    ]
    rows = np.empty(len(faces), [('n', 'u1'), ('v', '<i4', 3)])
    rows['n'], rows['v'] = 3, faces
    pathlib.Path(path).write_bytes(
        '\n'.join(header).encode() + np.asarray(vertices, '<f4').tobytes() + rows.tobytes()
    )
