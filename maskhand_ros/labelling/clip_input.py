"""Inputs of a labelling run: files and folders on the command line or in a manifest to clips."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskhand_ros.errors import CommandError
from maskhand_ros.files import BAG_SUFFIXES, IMAGE_SUFFIXES

VIDEO_SUFFIXES = (
    *('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts', '.wmv'),
    *('.flv', '.3gp', '.ogv', '.insv'),
)

VIDEO, IMAGES, BAG = 'video', 'images', 'bag'

BUCKET_FIX = 'copy it to a disk first (aws s3 sync, gcloud storage rsync, rclone), or mount the bucket'

_METADATA_PREFIX = '._'
"""Prefix of the metadata files of macOS, which have the names of videos and images."""


@dataclass(frozen=True)
class ClipInput:
    """One clip to label: a video, a folder of images in order, or a recorded bag."""

    path: str
    kind: str
    """VIDEO, IMAGES or BAG."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy in px, from the manifest."""
    topic: str | None = None
    """Image topic of a bag, from the manifest."""


def find_clips(inputs: Iterable[str], manifest: str | None, out: Path) -> Iterator[ClipInput | CommandError]:
    """The clips of files, folders (with all folders inside) and glob patterns, then those of a manifest; a
    CommandError in place of an input that is not there. Hidden folders and `out` are left out."""
    for text in inputs:
        matches = [text] if os.path.lexists(text) else sorted(glob.glob(text, recursive=True))
        if not matches:
            yield _not_there(text)
        for match in matches:
            yield from _clips_at(Path(os.path.abspath(match)), out)
    if manifest:
        yield from _clips_of_manifest(Path(manifest), out)


def is_url(text: str) -> bool:
    """Whether a text is an address, such as that of an object in a bucket, and no path."""
    return '://' in text and not os.path.lexists(text)


def image_files(folder: Path) -> list[Path]:
    """The images directly in a folder in the order of their names, numbers in names by value."""
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.')
    ]
    return sorted(found, key=lambda path: _natural(path.name))


def files_of(clip: ClipInput) -> list[Path]:
    """The files that a clip consists of."""
    path = Path(clip.path)
    if clip.kind == IMAGES:
        return image_files(path)
    if path.is_dir():
        return sorted(each for each in path.iterdir() if each.is_file())
    return [path]


def _not_there(text: str) -> CommandError:
    if is_url(text):
        return CommandError(f'{text} is an address, and only files are read', BUCKET_FIX)
    return CommandError(f'no file or folder {text}', 'check the path; put patterns in quotes')


def _clips_at(path: Path, out: Path) -> Iterator[ClipInput | CommandError]:
    if not path.is_dir():
        kind = BAG if path.suffix.lower() in BAG_SUFFIXES else VIDEO
        yield ClipInput(str(path), kind)
        return
    found = False
    for folder, folders, names in os.walk(path):
        here = Path(folder)
        if _is_bag(here, names):
            folders.clear()
            found = True
            yield ClipInput(folder, BAG)
            continue
        folders[:] = sorted(name for name in folders if not _is_left_out(here / name, out))
        names = [name for name in names if not name.startswith(_METADATA_PREFIX)]
        for name in sorted(names, key=_natural):
            suffix = Path(name).suffix.lower()
            if suffix in VIDEO_SUFFIXES or suffix in BAG_SUFFIXES:
                found = True
                yield ClipInput(str(here / name), BAG if suffix in BAG_SUFFIXES else VIDEO)
        if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names):
            found = True
            yield ClipInput(folder, IMAGES)
    if not found:
        yield CommandError(
            f'no videos, images or bags in {path}',
            f'name a folder with files of these endings: {", ".join(VIDEO_SUFFIXES + BAG_SUFFIXES)}, '
            f'{", ".join(IMAGE_SUFFIXES)}',
        )


def _is_bag(folder: Path, names: list[str]) -> bool:
    """Whether a folder is a recording of rosbag2."""
    return 'metadata.yaml' in names and any(Path(name).suffix in BAG_SUFFIXES for name in names)


def _is_left_out(folder: Path, out: Path) -> bool:
    return folder.name.startswith('.') or folder.resolve() == out.resolve()


def _clips_of_manifest(path: Path, out: Path) -> Iterator[ClipInput | CommandError]:
    """A path or a JSON object with `path`, and optionally `intrinsics` and `topic`, in each line; paths are
    relative to the manifest."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f'the manifest {path} cannot be read ({error})', 'check the path') from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        try:
            entry = _entry(line.strip())
        except (ValueError, KeyError, TypeError) as error:
            fix = 'write a path, or {"path": "a.mp4", "intrinsics": [fx, fy, cx, cy], "topic": "/image"}'
            yield CommandError(f'line {number} of {path} is no clip ({error})', fix)
            continue
        if is_url(entry['path']):
            yield _not_there(entry['path'])
            continue
        target = Path(os.path.abspath(path.parent / entry['path']))
        if not os.path.lexists(target):
            yield CommandError(f'no file or folder {target} (line {number} of {path})', 'check the path')
            continue
        for clip in _clips_at(target, out):
            if isinstance(clip, ClipInput):
                clip = ClipInput(clip.path, clip.kind, entry['intrinsics'], entry['topic'])
            yield clip


def _entry(line: str) -> dict[str, Any]:
    """path, intrinsics and topic of a line."""
    values = json.loads(line) if line.startswith('{') else {'path': line}
    numbers = values.get('intrinsics')
    if numbers is not None:
        fx, fy, cx, cy = (float(number) for number in numbers)
        numbers = fx, fy, cx, cy
    topic = values.get('topic')
    return {
        'path': str(values['path']),
        'intrinsics': numbers,
        'topic': None if topic is None else str(topic),
    }


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key: img2 before img10."""
    parts = re.split(r'(\d+)', name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
