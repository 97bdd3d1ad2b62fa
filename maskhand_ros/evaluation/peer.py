"""MediaPipe Hands as a peer: its own environment, its hands on our images, paired differences.

The packages go into a virtual environment in the user's cache folder the first time that they are asked for,
so that ours stays as it is; peer_mediapipe.py runs there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from maskhand_ros.crop_camera import crop_camera_for
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.crop import roi_from_keypoints
from maskhand_ros.perception.placement import fit_pose
from maskhand_ros.skeleton import LEFT, MIDDLE_CHAIN, Handedness

if TYPE_CHECKING:
    from maskhand_ros.evaluation.peer_keypoints import Redefinition

Image = TypeVar('Image', str, Path)


VERSION = '0.10.14'
"""The last MediaPipe whose models are those that ours was built on."""

# Without its dependencies: they would bring an OpenCV that needs a display.
ALONE = (f'mediapipe=={VERSION}',)
BESIDE = (
    'absl-py==2.1.0',
    'attrs==23.2.0',
    'flatbuffers==24.3.25',
    'jax==0.4.26',
    'jaxlib==0.4.26',
    'matplotlib==3.8.4',
    'numpy==1.26.4',
    'opencv-python-headless==4.9.0.80',
    'protobuf==4.25.3',
)
PYTHONS = ((3, 10), (3, 12))
"""First and last Python that these have wheels for."""

SCRIPT = Path(__file__).with_name('peer_mediapipe.py')


@dataclass
class PeerHand:
    """A hand as evaluate scores it; `keypoints_wrist` (21, 3) metres is along the image's axes already."""

    side: Handedness | None
    keypoints_px: np.ndarray
    """(21, 2)"""
    keypoints_wrist: np.ndarray
    wrist_rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    score: float = 1.0
    """What the system gives as its confidence, 0..1."""


def environment_folder() -> Path:
    """Where the peer's virtual environment lies: XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return (
        Path(cache) / 'maskhand' / f'peer-mediapipe-{VERSION}-py{sys.version_info[0]}.{sys.version_info[1]}'
    )


def environment_python() -> Path:
    """The Python of the peer's environment, which is made if it is not there or not complete.

    CommandError if this Python is too new or old for MediaPipe's wheels, or pip fails.
    """
    folder = environment_folder()
    python, complete = folder / 'bin' / 'python', folder / 'complete.txt'
    recipe = '\n'.join((*ALONE, *BESIDE))
    if complete.is_file() and complete.read_text() == recipe:
        return python
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        lowest, highest = ('.'.join(map(str, version)) for version in PYTHONS)
        raise CommandError(
            f'mediapipe {VERSION} has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}',
            f'run this command with Python {lowest} to {highest}',
        )
    print(f'installing mediapipe {VERSION} into {folder} (once; 0.9 GB) ...', flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _call([sys.executable, '-m', 'venv', str(folder)], 'python -m venv', 'install the venv module')
    for options in (('--no-deps', *ALONE), BESIDE):
        _call(
            [str(python), '-I', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *options],
            'pip install',
            "check the network and pip's settings, then run the command again",
        )
    complete.write_text(recipe)
    return python


def _call(command: Sequence[str], name: str, fix: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or 'no message').splitlines()[-1]
        raise CommandError(f'{name} failed for the peer: {last}', fix)


def ask_mediapipe(
    images: Sequence[Image],
    max_hands: int = 4,
    threshold: float = 0.3,
    python: Path | None = None,
    video: bool = False,
) -> tuple[dict[Image, list[PeerHand]], str]:
    """{path: [PeerHand, ...]} for the `images` (paths), and MediaPipe's version, in one subprocess.

    `video`: the pictures are the frames of a video in their order. `threshold` is its palm detector's.
    `python` is the interpreter of an environment that has mediapipe; by default the one in the cache folder.
    """
    reply = _reply(images, max_hands, threshold, python, video)
    hands = {path: [_hand(entry) for entry in reply['hands'][str(path)]] for path in images}
    return hands, reply['version']


@dataclass(frozen=True)
class PeerTimes:
    """Seconds that MediaPipe took for each frame of a video (T,), the CPU time of all its threads in them
    (T,), the hands that it found (T,), and its version."""

    seconds: np.ndarray
    cpu_seconds: np.ndarray
    hands: np.ndarray
    version: str

    def without_first(self, count: int) -> PeerTimes:
        """The same without the first `count` frames."""
        return PeerTimes(self.seconds[count:], self.cpu_seconds[count:], self.hands[count:], self.version)


def time_mediapipe(frames: Sequence[Path], max_hands: int = 2, threshold: float = 0.5) -> PeerTimes:
    """PeerTimes of image files, the frames of a video in their order, with MediaPipe's own settings."""
    reply = _reply(frames, max_hands, threshold, None, video=True)
    seconds, cpu_seconds = (
        np.array([reply[name][str(path)] for path in frames]) for name in ('seconds', 'cpu_seconds')
    )
    hands = np.array([len(reply['hands'][str(path)]) for path in frames])
    return PeerTimes(seconds, cpu_seconds, hands, reply['version'])


def _reply(
    images: Sequence[Image], max_hands: int, threshold: float, python: Path | None, video: bool
) -> dict[str, Any]:
    """The REPLY of peer_mediapipe.py for `images`."""
    python = python or environment_python()
    names = [str(path) for path in images]
    request = {'images': names, 'max_hands': max_hands, 'threshold': threshold, 'video': video}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / 'request.json', Path(folder) / 'reply.json'
        asked.write_text(json.dumps(request))
        # -I: no module of ours or of a sourced ROS gets in.
        _call(
            [str(python), '-I', str(SCRIPT), str(asked), str(answered)],
            'MediaPipe',
            f'remove {environment_folder()} and run the command again',
        )
        reply: dict[str, Any] = json.loads(answered.read_text())
    lacking = [name for name in names if name not in reply['hands']]
    if lacking:
        raise CommandError(f'MediaPipe gave no answer for {lacking[0]}', 'check that the image can be read')
    return reply


def _hand(entry: dict[str, Any]) -> PeerHand:
    points, pixels = np.array(entry['world_landmarks'], float), np.array(entry['keypoints_px'], float)
    if points.shape != (21, 3) or pixels.shape != (21, 2):
        raise CommandError(f'MediaPipe answered with points of shape {points.shape}', 'report this')
    return PeerHand(Handedness.named(entry['side']), pixels, points - points[0], score=entry['score'])


def redefined(hand: PeerHand, redefinition: Redefinition) -> PeerHand:
    """The PeerHand with its points where `redefinition` (peer_keypoints.Redefinition) puts them."""
    left = hand.side == LEFT
    points = redefinition(hand.keypoints_wrist, left)
    pixels = redefinition.in_image(hand.keypoints_px, hand.keypoints_wrist, left)
    return replace(hand, keypoints_px=pixels, keypoints_wrist=points - points[0])


def placed(hand: PeerHand, camera: Camera, length: float) -> np.ndarray:
    """Keypoints (21, 3) of a PeerHand in the frame of a Camera, metres, by the rigid fit that places ours,
    the hand scaled to `length` metres from wrist to middle fingertip along the bones.

    As with ours the fit is made in a virtual camera that looks at the hand, along whose axes the landmarks
    are taken: a network that is shown a crop cannot know from where in the image it is.
    """
    roi = roi_from_keypoints(hand.keypoints_px, hand.side)
    crop = crop_camera_for(camera, roi.center_px, roi.size_px, roll=0.0)
    pixels = crop.project(camera.unproject_rays(hand.keypoints_px)) - crop.matrix[:2, 2]
    bones = np.diff(hand.keypoints_wrist[MIDDLE_CHAIN], axis=0)
    points = hand.keypoints_wrist * length / max(np.linalg.norm(bones, axis=1).sum(), 1e-9)
    fit = fit_pose(points[None], pixels[None], np.array([crop.focal]))
    return (points @ fit.rotation[0].T + fit.translation[0]) @ crop.rotation
