"""What the picture commands share: arguments, the pipeline, picture files in, result files out."""

from __future__ import annotations

import argparse
import math
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from maskhand_ros.commands.json_text import to_json
from maskhand_ros.commands.undecodable import explain, is_apple_double, is_cut_off_jpeg
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import Camera
from maskhand_ros.option import Option, OptionError, Value, short
from maskhand_ros.options import OPTIONS

if TYPE_CHECKING:
    from maskhand_ros.perception.pipeline import HandPipeline

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')


class PictureError(CommandError):
    """A file that is not a whole picture: a batch goes on with the next one."""


class MetadataFileError(PictureError):
    """A Mac's metadata file under the name of a picture: nothing is lost without it."""


PIPELINE_OPTIONS = (
    'device',
    'threads',
    'weights_dir',
    'hand_model',
    'keypoint_set',
    'iterations',
    'max_hands',
    'detection_threshold',
    'presence_threshold',
    'hand_length',
    'smoothing',
)
"""Fields of PipelineConfig that every command takes which runs the pipeline."""
_METAVARS = {int: 'N', float: 'X', str: 'PATH'}
HYPOTHESIS_OPTIONS = 'hypotheses', 'temperature', 'top_k'


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that choose the model, where it runs and how hands are found: PIPELINE_OPTIONS."""
    _add_options(parser.add_argument_group('model'), PIPELINE_OPTIONS)


def add_hypothesis_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the poses that are drawn beside the estimate: HYPOTHESIS_OPTIONS."""
    _add_options(parser.add_argument_group('hypotheses'), HYPOTHESIS_OPTIONS)


def _add_options(group: argparse._ArgumentGroup, names: tuple[str, ...]) -> None:
    """An argument for each of OPTIONS that is named: hand_length becomes --hand-length."""
    for name in names:
        option = OPTIONS[name]
        text = f'{option.description} ({option.range_text}; default %(default)s)'
        group.add_argument(
            f'--{name.replace("_", "-")}',
            type=_type_of(option),
            default=option.default,
            metavar=f'{{{",".join(option.choices)}}}' if option.choices else _METAVARS[type(option.default)],
            help=text if option.default != '' else option.description,
        )


def _type_of(option: Option) -> Callable[[str], Value]:
    """The argparse type of an Option."""

    def convert(text: str) -> Value:
        try:
            return option.parse(text)
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def whole(least: int, most: int | None = None, unit: str = '') -> Callable[[str], int]:
    """An argparse type: a whole number from `least` to `most`, without an upper limit where that is None."""
    limits = f'{least} or more' if most is None else f'{least} to {most}'

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f'{short(text)} is not a whole number, {limits} {unit}'.rstrip())
        return value

    return convert


def number(least: float, most: float, unit: str = '') -> Callable[[str], float]:
    """An argparse type: a number from `least` to `most`, both finite."""
    limits = f'{least:g} to {most:g}'

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f'{short(text)} is not a number, {limits} {unit}'.rstrip())
        return value

    return convert


def hypothesis_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_hypothesis_arguments` parsed, as fields of a PipelineConfig."""
    return {name: getattr(args, name) for name in HYPOTHESIS_OPTIONS}


def pipeline_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_pipeline_arguments` parsed, as fields of a PipelineConfig, which are parameters of hand_node
    too."""
    return {name: getattr(args, name) for name in PIPELINE_OPTIONS}


def add_camera_arguments(parser):
    parser.add_argument(
        '--intrinsics',
        type=float,
        nargs=4,
        metavar=('FX', 'FY', 'CX', 'CY'),
        help='camera matrix in pixels of this picture; without it hands have no metric place',
    )
    parser.add_argument('--mirrored', action='store_true', help='the picture is a mirror image (selfie view)')


def build_pipeline(args: argparse.Namespace, **changes: Any) -> HandPipeline:
    """The HandPipeline that the parsed `args` ask for; `changes` replace fields of its config."""
    from maskhand_ros.perception.config import PipelineConfig
    from maskhand_ros.perception.pipeline import HandPipeline

    return HandPipeline(PipelineConfig(**{**pipeline_options(args), **changes}))


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


def read_picture(path: str | pathlib.Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image file, turned as its EXIF tag says.

    PictureError if there is no file or no whole picture in it; it names the kind of file where that is known.
    """
    path = pathlib.Path(path)
    try:
        if path.is_dir():
            raise PictureError(f'{path} is a folder, not a picture', 'name it as an input of its own')
        if not path.is_file():
            raise PictureError(f'no file {path}', 'check the path, and the target if it is a link')
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(f'{path} cannot be read ({error.strerror})', 'check its permissions') from error
    bgr = None if is_cut_off_jpeg(data) else _decoded(data)
    if bgr is None:
        what, fix = explain(data)
        raise (MetadataFileError if is_apple_double(data) else PictureError)(f'{path} {what}', fix)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _decoded(data: bytes) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, or None where OpenCV cannot decode it."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # no bytes, or more pixels than OpenCV allows
        return None


def write_picture(path: str | pathlib.Path, rgb: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 RGB in the format that the path's suffix names."""
    path = pathlib.Path(path)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise CommandError(f'cannot encode {path}', f'use one of the formats {PICTURE_SUFFIXES}')
    write_file(path, data.tobytes())


def write_file(path: str | pathlib.Path, data: bytes) -> None:
    """Writes the whole file or nothing: beside its place and then renamed, so that a run that is interrupted
    leaves no half file. CommandError if it cannot be written."""
    path = pathlib.Path(path)
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(data)  # a link, /dev/stdout or a pipe: renaming would put a file in its place
            return
        partial = path.with_name(f'.{path.name}.{os.getpid()}.part')
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(
            f'cannot write {path} ({error.strerror})',
            'check that the folder is writable and the disk not full',
        ) from error


def output_folder(path: str | pathlib.Path) -> pathlib.Path:
    """The folder, made if it is not there; CommandError if it cannot be."""
    folder = pathlib.Path(path)
    if folder.exists() and not folder.is_dir():
        raise CommandError(f'{folder} is a file', 'name a folder with --out')
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f'cannot make the folder {folder} ({error.strerror})', 'name a folder that you may write to'
        ) from error
    return folder


def write_json(path: str | pathlib.Path, value: Any) -> None:
    """Writes strict, indented JSON (json_text.to_json)."""
    write_file(path, (to_json(value) + '\n').encode())


def write_ply(path: str | pathlib.Path, vertices: np.ndarray, faces: np.ndarray, comment: str = '') -> None:
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
    body = np.asarray(vertices, '<f4').tobytes() + rows.tobytes()
    write_file(path, '\n'.join(header).encode() + body)
