"""Errors of the whole pipeline on labelled pictures, for each source in an index.

INDEX.json is a list of objects: image (path beside the file), source, sequence (optional), handedness (left,
right, null), bbox [x, y, w, h], keypoints_2d 21 x [x, y] px, keypoints_valid 21 booleans (optional),
keypoints_3d_mm 21 x [x, y, z] in the camera frame (optional), camera_K 3 x 3 (optional). Every picture is
taken on its own. Millimetre figures are over the hands that were found; `found` says how many were, and PCK
counts the keypoints of a missed hand as wrong. Keypoints are `anatomical`, as in labels made by people; give
`--keypoints mano` for labels that are fits of MANO.
"""

from __future__ import annotations

import math
import pathlib
from dataclasses import dataclass

import numpy as np

from maskhand_ros.commands import common
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import SIDE_NAMES, Frame
from maskhand_ros.skeleton import CONVENTION_LIGHT
from maskhand_ros.training import metrics
from maskhand_ros.training.labels import match, read_index, roi_of


@dataclass
class Score:
    """What one labelled hand got; NaN where it cannot be measured."""

    found: bool
    wrong_side: bool = False
    pa_mpjpe_mm: float = math.nan
    pa15_mpjpe_mm: float = math.nan
    mpjpe_mm: float = math.nan
    err2d_over_box: float = math.nan
    relative: np.ndarray | None = None
    """(21,) 2D errors over the box: NaN not labelled, inf missed."""


def add_arguments(parser):
    parser.add_argument('index', metavar='INDEX.json')
    parser.add_argument(
        '--json', metavar='OUT', help='write the figures, and those of every hand, to this file'
    )
    parser.add_argument(
        '--boxes',
        choices=('detect', 'given'),
        default='detect',
        help='find the hands, or start at the labelled ones (default detect)',
    )
    common.add_pipeline_arguments(parser)
    # Labels made by people mark joints where the bones meet.
    parser.set_defaults(max_hands=4, keypoints='anatomical')


def run(args):
    index = pathlib.Path(args.index)
    pictures = read_index(index)
    pipeline = common.build_pipeline(args)
    scores = []
    for number, ((_, name), labels) in enumerate(pictures.items(), 1):
        rgb = common.read_picture(index.parent / name)
        hands = predict(pipeline, rgb, labels, args.boxes)
        scores += [
            (name, label, score_hand(label, hand))
            for label, hand in zip(labels, match(labels, hands), strict=True)
        ]
        if number % 50 == 0:
            print(f'{number} of {len(pictures)} pictures', flush=True)
    report = summarise([(label, score) for _, label, score in scores])
    print(table(report))
    if args.json:
        settings = {
            'boxes': args.boxes,
            'keypoints': args.keypoints,
            'model': pipeline.model_name,
            'device': args.device,
        }
        common.write_json(
            args.json,
            plain(
                {
                    **report,
                    'settings': settings,
                    'entries': [
                        {
                            'image': name,
                            'source': label.source,
                            'side': label.side,
                            **{k: v for k, v in vars(score).items() if k != 'relative'},
                        }
                        for name, label, score in scores
                    ],
                }
            ),
        )


def predict(pipeline, rgb, labels, boxes):
    """Hands in one picture, nothing remembered from the one before; from the labelled boxes if `boxes` is
    'given' and there are any."""
    height, width = rgb.shape[:2]
    K = next((label.K for label in labels if label.K is not None), None)
    frame = Frame(rgb=rgb, camera=None if K is None else Camera(K, width, height))
    pipeline.reset()
    rois = [roi for roi in map(roi_of, labels) if roi is not None] if boxes == 'given' else None
    return pipeline.process(frame, rois=rois or None)


def score_hand(label, hand):
    """The Score of one label against its hand, or against nothing."""
    seen = None if label.points_px is None else np.isfinite(label.points_px).all(1)
    if hand is None:
        return Score(False, relative=None if seen is None else np.where(seen, np.inf, np.nan))
    score = Score(True, wrong_side=label.side is not None and SIDE_NAMES[hand.side] != label.side)
    if seen is not None and seen.any():
        score.relative = metrics.relative_errors_2d(hand.keypoints_px, label.points_px, seen)
        score.err2d_over_box = float(np.nanmean(score.relative))
    if label.points is not None:
        predicted = hand.keypoints_wrist @ hand.wrist_rotation.T  # camera axes; the root is taken out anyway
        known = np.isfinite(label.points).all(1)
        light = np.intersect1d(CONVENTION_LIGHT, np.flatnonzero(known))
        if known.sum() >= 4:
            score.pa_mpjpe_mm = 1000 * metrics.pa_mpjpe(predicted[known], label.points[known])
        if len(light) >= 4:
            score.pa15_mpjpe_mm = 1000 * metrics.pa_mpjpe(predicted[light], label.points[light])
        if known[0]:
            score.mpjpe_mm = 1000 * metrics.mpjpe(predicted[known], label.points[known])
    return score


FIGURES = ('pa_mpjpe_mm', 'pa15_mpjpe_mm', 'mpjpe_mm', 'err2d_over_box')


def summarise(scored):
    """Figures of each source: {source: {hands, found, missed, wrong_side, ..., pck, intervals}}."""
    report = {}
    for source in dict.fromkeys(label.source for label, _ in scored):
        rows = [(label, score) for label, score in scored if label.source == source]
        scores = [score for _, score in rows]
        found = sum(score.found for score in scores)
        entry = {
            'hands': len(rows),
            'found': found,
            'missed': len(rows) - found,
            'wrong_side': sum(score.wrong_side for score in scores),
        }
        intervals = {}
        for figure in FIGURES:
            values = np.array([getattr(score, figure) for score in scores])
            finite = values[np.isfinite(values)]
            entry[figure] = float(finite.mean()) if len(finite) else None
            in_motion = np.array([label.sequence is not None for label, _ in rows])
            if in_motion.any():
                interval = metrics.block_bootstrap(
                    values[in_motion], [label.sequence for label, _ in rows if label.sequence is not None]
                )
                if interval:
                    intervals[figure] = interval
        relative = [score.relative for score in scores if score.relative is not None]
        entry['pck'] = {f'{t:.2f}': v for t, v in metrics.pck(relative).items()} if relative else None
        entry['interval95'] = intervals or None
        report[source] = entry
    return report


def plain(value):
    """The same with NaN and infinity as null, numpy scalars as Python's: strict JSON."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(report):
    """The report as text, a row a source; [low, high] are 95 % block-bootstrap intervals."""
    head = (
        'source',
        'hands',
        'found',
        'missed',
        'wrong side',
        'PA-MPJPE mm',
        'PA15 mm',
        'MPJPE mm',
        '2D error / box',
        'PCK@0.05',
        'PCK@0.10',
    )
    rows = [head]
    for source, entry in report.items():
        cells = [source, *(str(entry[key]) for key in ('hands', 'found', 'missed', 'wrong_side'))]
        for figure in FIGURES:
            factor, unit = (100, ' %') if figure == 'err2d_over_box' else (1, '')
            value, interval = entry[figure], (entry['interval95'] or {}).get(figure)
            text = '-' if value is None else f'{value * factor:.2f}{unit}'
            cells.append(
                text + (f' [{interval[0] * factor:.2f}, {interval[1] * factor:.2f}]' if interval else '')
            )
        cells += [
            '-' if entry['pck'] is None else f'{100 * entry["pck"][key]:.1f} %' for key in ('0.05', '0.10')
        ]
        rows.append(tuple(cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
