"""Reading and writing of images, JSON, PLY meshes and output folders."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import cv2
import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.json_text import to_json
from maskhand_ros.undecodable import explain, is_apple_double, is_cut_off_jpeg

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
ROSBAG2_SUFFIXES = '.mcap', '.db3'
BAG_SUFFIXES = (*ROSBAG2_SUFFIXES, '.bag')
"""Recordings of ROS 2 and of ROS 1."""


class ImageError(CommandError):
    """File that is not a complete image; a batch continues with the next one."""


class MetadataFileError(ImageError):
    """Metadata file of macOS with the name of an image; a batch can ignore it."""


def read_image(path: str | pathlib.Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image file, rotated by its EXIF orientation. ImageError if the file is
    missing or not a complete image; it names the kind of file if known.
    """
    path = pathlib.Path(path)
    try:
        if path.is_dir():
            raise ImageError(f'{path} is a folder, not an image', 'name it as an input of its own')
        if not path.is_file():
            raise ImageError(f'no file {path}', 'check the path, and the target if it is a link')
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f'{path} cannot be read ({error.strerror})', 'check its permissions') from error
    bgr = None if is_cut_off_jpeg(data) else _decoded(data)
    if bgr is None:
        what, fix = explain(data)
        raise (MetadataFileError if is_apple_double(data) else ImageError)(f'{path} {what}', fix)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _decoded(data: bytes) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, or None if OpenCV cannot decode it."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # no bytes, or more pixels than OpenCV allows
        return None


def write_image(path: str | pathlib.Path, rgb: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 RGB in the format that the path's suffix names."""
    path = pathlib.Path(path)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise CommandError(f'cannot encode {path}', f'use one of the formats {IMAGE_SUFFIXES}')
    write_file(path, data.tobytes())


def write_file(path: str | pathlib.Path, data: bytes) -> None:
    """Writes a file atomically: to a temporary name in the same folder, then renamed. CommandError if
    that fails."""
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
    """The folder, created if missing. CommandError if that fails."""
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
