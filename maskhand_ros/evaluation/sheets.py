"""Contact sheets: random successes and the worst cases, each image beside the hand found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from maskhand_ros import files
from maskhand_ros.evaluation.evaluate_scores import Case, Score
from maskhand_ros.evaluation.labels import Label
from maskhand_ros.evaluation.peer import PeerHand
from maskhand_ros.geometry import Camera, tight_box
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.perception.types import Hand

COUNT, COLUMNS = 20, 4
TILE = 224
"""Pixels of each half of a tile."""
_BAR = 22


@dataclass(frozen=True)
class Look:
    """What drawing a hand needs besides it: the image's Camera, and `faces` (F, 3) of a right hand."""

    camera: Camera
    faces: np.ndarray


def contact_sheet(tiles: Sequence[np.ndarray], columns: int = COLUMNS) -> np.ndarray:
    """One image (H, W, 3) of equal tiles (h, w, 3), row by row; the rest of the last row is black."""
    height, width = tiles[0].shape[:2]
    sheet = np.zeros((-(-len(tiles) // columns) * height, columns * width, 3), np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return sheet


def tile(before: np.ndarray, after: np.ndarray, box: Sequence[float] | np.ndarray, text: str) -> np.ndarray:
    """The square around `box` (x, y, w, h) in two images side by side, above a line of text."""
    moved = _square(box)
    return _labelled([_cut(image, moved) for image in (before, after)], text)


def hand_tile(
    rgb: np.ndarray, hand: Hand | PeerHand | None, box: Sequence[float] | np.ndarray, text: str, look: Look
) -> np.ndarray:
    """As `tile`, with the hand drawn after the square is cut: a small hand is drawn as fine as a large one.
    Of a peer, whose hands have no mesh, the keypoints."""
    moved = _square(box)
    before = _cut(rgb, moved)
    after = before.copy()
    if hand is not None:
        pixels = hand.keypoints_px @ moved[:, :2].T + moved[:, 2]
        if isinstance(hand, Hand):
            K = np.concatenate([moved, [[0, 0, 1]]]) @ look.camera.K
            shown = replace(hand, keypoints_px=pixels)
            after = draw_hands(after, [shown], Camera(K, TILE, TILE), look.faces, labels=False)
        for point in np.round(pixels).astype(int) if isinstance(hand, PeerHand) else ():
            cv2.circle(after, point.tolist(), 2, (255, 99, 72), -1, cv2.LINE_AA)
    return _labelled([before, after], text)


def _square(box: Sequence[float] | np.ndarray) -> np.ndarray:
    """(2, 3) from pixels of an image to those of a tile that shows the square around `box`."""
    side = int(np.ceil(1.5 * max(box[2], box[3], 8)))
    left, top = np.floor(np.add(box[:2], np.divide(box[2:], 2)) - side / 2).astype(int)
    return np.array([[1.0, 0, -left], [0, 1, -top]]) * TILE / side


def _cut(image: np.ndarray, moved: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(image, moved, (TILE, TILE), flags=cv2.INTER_AREA)


def _labelled(halves: Sequence[np.ndarray], text: str) -> np.ndarray:
    bar = np.zeros((_BAR, 2 * TILE, 3), np.uint8)
    cv2.putText(bar, text, (4, _BAR - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([np.concatenate(halves, 1), bar])


def choose(
    badness: Sequence[float] | np.ndarray, count: int = COUNT, seed: int = 0
) -> tuple[list[int], list[int]]:
    """Indices of the `count` worst of badness (N,), worst first, and of `count` random others that are not
    worse than the median; NaN is left out, infinity is a miss."""
    badness = np.asarray(badness, float)
    order = [i for i in np.argsort(-badness, kind='stable') if not np.isnan(badness[i])]
    worst = order[:count]
    good = [i for i in order[count:] if badness[i] <= np.median(badness[order])]
    drawn = np.random.default_rng(seed).permutation(len(good))[:count]
    return worst, [good[i] for i in drawn]


def write_real_sheets(folder: Path, cases: Sequence[Case], root: Path, faces: np.ndarray) -> None:
    """SOURCE_worst.png and SOURCE_random.png into `folder` for each source of evaluate's cases (image,
    Label, Hand or None, Score); images lie below `root`, `faces` (F, 3) are a right hand's."""
    for source in dict.fromkeys(label.source for _, label, _, _ in cases):
        chosen = [case for case in cases if case[1].source == source]
        worst, random = choose([_badness(score) for *_, score in chosen])
        for name, rows in (('worst', worst), ('random', random)):
            if rows:
                path = folder / f'{"".join(c if c.isalnum() else "_" for c in source)}_{name}.png'
                files.write_image(path, contact_sheet([_real_tile(*chosen[i], root, faces) for i in rows]))
                print(f'written {path}')


def _badness(score: Score) -> float:
    """What sheets sort by: a miss, then PA-MPJPE in mm, or the 2D error in % where there is no 3D label."""
    if not score.found:
        return np.inf
    return 100 * score.err2d_over_box if np.isnan(score.pa_mpjpe_mm) else score.pa_mpjpe_mm


def _real_tile(
    name: str, label: Label, hand: Hand | PeerHand | None, score: Score, root: Path, faces: np.ndarray
) -> np.ndarray:
    rgb = files.read_image(root / name)
    height, width = rgb.shape[:2]
    camera = Camera.default(width, height) if label.K is None else Camera(label.K, width, height)
    pixels = label.points_px
    if pixels is not None and np.isfinite(pixels).any():
        box: Sequence[float] | np.ndarray = tight_box(pixels[np.isfinite(pixels).all(1)])
    elif hand is not None:
        box = tight_box(hand.keypoints_px)
    else:
        box = (0, 0, width, height) if label.box is None else label.box
    if hand is None:
        return hand_tile(rgb, None, box, f'{name[-28:]}: missed', Look(camera, faces))
    text = f'{name[-28:]}: PA {score.pa_mpjpe_mm:.1f} root {score.mpjpe_mm:.0f} mm'
    text += f' 2D {100 * score.err2d_over_box:.1f} %'
    return hand_tile(rgb, hand, box, text, Look(camera, faces))
