"""One hand in a calibrated pair of videos: the distance between the positions that each view alone gives it.

    maskhand evaluate-stereo FOLDER [--peer mediapipe]

FOLDER holds calibration.json, a list of two objects: video (file in FOLDER), fps, image_size [w, h], camera_K
3 x 3, distortion (OpenCV's order), world_to_cam_R 3 x 3 and world_to_cam_t in a unit of the world's own. The
videos are synchronised and show one hand. Each view is run by itself and brings metres; one factor, metres in
a world unit, is found from all wrists: the median over the frames of the baseline's length as the two wrists
have it. What all distances have in common, such as a hand of another size than the population's, goes into
that factor and does not show.

`wrist` is the pose that the node publishes, `keypoints` the mean over 21, both as shares of the mean depth.
The triangulated points are made of the 2D keypoints of both views, ours or the peer's as named: another
source of depth than a hand's size, but no labels, and where two systems have their keypoints in different
places on the hand, that is in the figure (`--keypoint-set mediapipe` puts ours where the peer's are). [low,
high] are 95 % block-bootstrap intervals of the mean paired difference, ours - the peer's. Exits 1 where a
limit is missed.

--peer mediapipe runs MediaPipe Hands 0.10.14 on the same images (installed, the first time, into a cache
folder of its own), each taken by itself. Its world landmarks are scaled to the population's hand length and
placed by the same fit as ours; its wrist is its landmark.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.evaluation.figure import Figure
from maskhand_ros.evaluation.metrics import block_bootstrap
from maskhand_ros.evaluation.peer import PeerHand, ask_mediapipe, placed
from maskhand_ros.evaluation.two_views import HandView, Pair, StereoCamera, read_cameras
from maskhand_ros.geometry import Camera
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.types import Frame
from maskhand_ros.video_reader import VideoFrame, VideoReader

Gaps = dict[str, dict[str, Any]]
"""{figure: {mean, interval95}} of paired differences."""


LIMIT = 6
"""Per cent of the depth that the wrist of one view may be from the other's, in the median."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folder', metavar='FOLDER', type=Path)
    parser.add_argument('--json', metavar='OUT', help='write the figures to this file')
    parser.add_argument('--peer', choices=('mediapipe',), help='measure this system in the same run')
    parser.add_argument(
        '--every',
        type=cli_arguments.whole(1),
        default=1,
        metavar='N',
        help='take each N-th image (default 1)',
    )
    cli_arguments.add_pipeline_arguments(parser)
    parser.set_defaults(max_hands=1)


def run(args: argparse.Namespace) -> int:
    """Watch both views, print, and say by the exit code whether every limit is held."""
    cameras = read_cameras(args.folder)
    systems = {
        f'smoothing {name}': Pair(cameras, [watch(args, camera, smoothing=name) for camera in cameras])
        for name in dict.fromkeys((args.smoothing, 'off'))
    }
    ours, peer = f'smoothing {args.smoothing}', None
    if args.peer:
        peer, systems[args.peer] = args.peer, ask_peer(args, cameras)
    truths = {name: systems[name].triangulated() for name in (ours, peer) if name}
    figures = {name: measure(pair, truths) for name, pair in systems.items()}
    gaps = differences(figures[ours], figures[peer]) if peer else {}
    print(table(systems, figures, gaps))
    found = limits(figures[ours], gaps, peer)
    print('\n'.join(figure.row() for figure in found))
    if args.json:
        files.write_json(args.json, report(systems, figures, gaps))
    return 0 if all(figure.held for figure in found) else 1


def images(camera: StereoCamera, every: int) -> Iterator[VideoFrame]:
    """Each `every`-th VideoFrame of a StereoCamera's video; CommandError if there are none."""
    with VideoReader(camera.video) as video:
        yield from itertools.islice(video, None, None, every)


def watch(args: argparse.Namespace, camera: StereoCamera, **changes: Any) -> list[HandView | None]:
    """[HandView or None] of each image of a StereoCamera, by a pipeline of its own."""
    pipeline = cli_arguments.build_offline_pipeline(args, **changes)
    views: list[HandView | None] = []
    for rgb, time_ns in images(camera, args.every):
        hands = pipeline.process(Frame(rgb, time_ns, camera.intrinsics))
        best = max(hands, key=lambda hand: hand.score, default=None)
        views.append(
            None
            if best is None
            else HandView(best.wrist_position, best.keypoints, best.keypoints_px, best.side)
        )
    print(f'{camera.video.name}: {len(views)} images, {sum(map(bool, views))} with a hand', flush=True)
    return views


def ask_peer(args: argparse.Namespace, cameras: list[StereoCamera]) -> Pair:
    """MediaPipe's Pair."""
    length = float(HandModel.load(args.hand_model, 'mediapipe').length(np.zeros(10)))
    views = []
    for camera in cameras:
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, (rgb, _) in enumerate(images(camera, args.every)):
                paths.append(str(Path(folder) / f'{number}.png'))
                files.write_image(paths[-1], rgb)
            answer, _ = ask_mediapipe(paths, max_hands=1)
        views.append([peer_view(answer[path], camera.intrinsics, length) for path in paths])
    return Pair(cameras, views)


def peer_view(hands: list[PeerHand], camera: Camera, length: float) -> HandView | None:
    """The HandView of the first of PeerHands, or None."""
    if not hands:
        return None
    points = placed(hands[0], camera, length)
    return HandView(points[0], points, hands[0].keypoints_px, hands[0].side)


def measure(pair: Pair, truths: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{figure: (T,)} of a Pair, against each of the triangulated `truths` {system: (T, 21, 3)} too."""
    figures = pair.between()
    for name, points in truths.items():
        figures.update({f'{figure}, {name}': values for figure, values in pair.against(points).items()})
    return figures


def differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> Gaps:
    """{figure: {mean, interval95}} of ours - the peer's, over the images in which both have both views."""
    gaps = {name: ours[name] - theirs[name] for name in ours}
    return {
        name: {'mean': np.nanmean(gap), 'interval95': block_bootstrap(gap, ['video'] * len(gap))}
        for name, gap in gaps.items()
        if np.isfinite(gap).any()
    }


def limits(figures: dict[str, np.ndarray], gaps: Gaps, peer: str | None) -> list[Figure]:
    """What is asked for: [Figure]. Better than the `peer` (None: not asked) is an interval that ends below
    0."""
    apart = 100 * np.nanmedian(figures['wrist'])
    found = [Figure('wrist of one view from the other, median', apart, 0, LIMIT, '%')]
    for name, text in (('wrist', 'wrist'), ('pa_mpjpe_mm', 'PA-MPJPE')) if peer else ():
        _, high = gaps.get(name, {}).get('interval95') or (np.nan, np.inf)
        factor, unit = _unit(name)
        found.append(Figure(f'ours - {peer}, {text}, upper end', factor * high, -np.inf, 0, unit))
    return found


def _unit(name: str) -> tuple[float, str]:
    """The factor by which a figure is printed, and its unit."""
    return (1, 'mm') if '_mm' in name else (100, '%')


def summary(values: np.ndarray) -> dict[str, float]:
    """Mean, median and 90th percentile of a figure (T,), by name."""
    return {
        'mean': np.nanmean(values),
        'median': np.nanmedian(values),
        'p90': np.nanpercentile(values, 90),
    }


def report(systems: dict[str, Pair], figures: dict[str, dict[str, np.ndarray]], gaps: Gaps) -> dict[str, Any]:
    """All that is measured, for JSON."""
    return {
        'systems': {
            name: {
                **pair.counts(),
                'metres_in_a_unit': pair.unit,
                **{figure: summary(values) for figure, values in figures[name].items()},
            }
            for name, pair in systems.items()
        },
        'difference': gaps,
    }


TEXTS = {
    'wrist': 'wrist, % of depth',
    'keypoints': 'keypoints, % of depth',
    'pa_mpjpe_mm': 'PA-MPJPE, mm',
    'mpjpe_mm': 'MPJPE from the wrist, mm',
    'view_0': 'first view, % of depth',
    'view_0_pa_mm': 'first view, PA-MPJPE, mm',
    'view_1': 'second view, % of depth',
    'view_1_pa_mm': 'second view, PA-MPJPE, mm',
}


def table(systems: dict[str, Pair], figures: dict[str, dict[str, np.ndarray]], gaps: Gaps) -> str:
    """The report as text: a column a system, and one of the paired differences."""
    rows = [['', *systems, *(['ours - peer, paired'] if gaps else [])]]
    counts = [pair.counts() for pair in systems.values()]
    for key, text in (
        ('both', 'images: both views have the hand'),
        ('one', 'one has it'),
        ('none', 'none has it'),
        ('sides_differ', 'they tell different sides'),
    ):
        rows.append([text, *(str(count[key]) for count in counts)])
    rows.append(['mm in a world unit', *(f'{1e3 * pair.unit:.1f}' for pair in systems.values())])
    rows.append(['one view from the other (mean, median, 90 %)'])
    for name in next(iter(figures.values())):
        figure, _, truth = name.partition(', ')
        if figure == 'view_0':
            rows.append([f'from points triangulated from the 2D of {truth}'])
        cells = [_cell(name, summary(values[name]).values()) for values in figures.values()]
        if name in gaps:
            low_high = _cell(name, gaps[name]['interval95'] or (), '+')
            cells.append(f'{_cell(name, [gaps[name]["mean"]], "+")} [{low_high}]')
        rows.append([f'  {TEXTS[figure]}', *cells])
    widths = [max(len(row[k]) for row in rows if len(row) > max(k, 1)) for k in range(len(rows[0]))]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    )


def _cell(name: str, values: Iterable[float], sign: str = '') -> str:
    """Numbers of a figure, in its unit."""
    factor, _ = _unit(name)
    return ', '.join(f'{factor * value:{sign}.1f}' for value in values)
