"""Errors of the whole pipeline on labelled images, for each source in an index.

INDEX.json is a list of objects: image (path beside the file), source, sequence (optional), handedness (left,
right, null), bbox [x, y, w, h], keypoints_2d 21 x [x, y] px, keypoints_valid 21 booleans (optional),
keypoints_3d_mm 21 x [x, y, z] in the camera frame (optional), camera_K 3 x 3 (optional). Every image is
taken on its own. Millimetre figures are over the hands that were found; `found` says how many were, and PCK
counts the keypoints of a missed hand as wrong. [low, high] are 95 % block-bootstrap intervals: images of
one sequence in motion order, images in none taken as independent. Keypoints are `mediapipe`, which people
label much alike; give `--keypoint-set mano` for labels that are fits of MANO.

The labelled hands of an image that cannot be read count as missed, for ours and for a peer; the images are
named at the end and as `unreadable` in the JSON, and the exit status is 1.

--peer mediapipe runs MediaPipe Hands 0.10.14 on the same images with its own detector (installed, the first
time, into a cache folder of its own) and reports ours - its, paired by hand. Its world landmarks are taken
along the image's axes. It is scored with its points as they are (raw), and with another keypoint set than
its own a second time, with them moved by what the sets differ by on our hand model (redefined).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.evaluation.evaluate_scores import FIGURES, Case, Score, differences, score_hand, summarise
from maskhand_ros.evaluation.labels import Images, Label, match, read_index, roi_of
from maskhand_ros.evaluation.peer import PeerHand
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame, Hand
from maskhand_ros.progress import progress

Report = dict[str, dict[str, Any]]
"""Figures of each source, as `summarise` gives them, and those of its peers."""


_MOST_LINES = 20
"""Unreadable images that are named on the console."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument('--peer', choices=('mediapipe',), help='measure this system in the same run')
    parser.add_argument(
        '--sheet',
        metavar='DIR',
        help='write contact sheets of random and of the worst hands of each source to this folder',
    )
    cli_arguments.add_pipeline_arguments(parser)
    parser.set_defaults(search_budget=0.0)  # single images
    parser.set_defaults(max_hands=4, keypoint_set='mediapipe')


def run(args: argparse.Namespace) -> int:
    """Prints the figures; returns 1 if an image could not be read."""
    index = Path(args.index)
    images = read_index(index)
    pipeline = cli_arguments.build_offline_pipeline(args)
    cases, unreadable = _ours(pipeline, images, index.parent, args.boxes)
    peers = _theirs(args, images, index.parent, unreadable) if args.peer else {}
    scored = [(label, score) for _, label, _, score in cases]
    report = summarise(scored)
    for peer, theirs in peers.items():
        figures, gaps = summarise(theirs), differences(scored, theirs)
        for source, entry in report.items():
            entry.setdefault('peer', {})[peer] = {**figures[source], 'difference': gaps[source]}
    print(table(report))
    if args.sheet:
        from maskhand_ros.evaluation.sheets import write_real_sheets

        readable = [case for case in cases if case[0] not in unreadable]
        write_real_sheets(files.output_folder(args.sheet), readable, index.parent, pipeline.hand_model.faces)
    if args.json:
        _write_report(args, pipeline, report, cases, peers, unreadable)
    return report_unreadable(unreadable)


def _ours(
    pipeline: HandPipeline, images: Images, folder: Path, boxes: str
) -> tuple[list[Case], dict[str, str]]:
    """Our answers: [(image, Label, Hand or None, Score)], and {image: why it cannot be read}."""
    cases, unreadable = [], {}
    for (_, name), labels in progress(images.items(), len(images), 'images'):
        try:
            hands = match(labels, predict(pipeline, files.read_image(folder / name), labels, boxes))
        except files.ImageError as error:
            unreadable[name], hands = str(error), [None] * len(labels)
        cases += [
            (name, label, hand, score_hand(label, hand)) for label, hand in zip(labels, hands, strict=True)
        ]
    return cases, unreadable


def _theirs(
    args: argparse.Namespace, images: Images, folder: Path, unreadable: dict[str, str]
) -> dict[str, list[tuple[Label, Score]]]:
    """The peer's answers: {row of the table: [(Label, Score)]}, in the order of ours."""
    answers = _peer_answers(args, folder, [name for _, name in images if name not in unreadable])
    peers: dict[str, list[tuple[Label, Score]]] = {}
    for peer, found in answers.items():
        peers[peer] = []
        for (_, name), labels in images.items():
            hands = match(labels, found.get(name, []))
            peers[peer] += [
                (label, score_hand(label, hand)) for label, hand in zip(labels, hands, strict=True)
            ]
    return peers


def report_unreadable(unreadable: dict[str, str]) -> int:
    """Says on stderr which images {name: reason} could not be read; returns the exit status."""
    if not unreadable:
        return 0
    print(f'unreadable images, whose hands count as missed: {len(unreadable)}', file=sys.stderr)
    for reason in list(unreadable.values())[:_MOST_LINES]:
        print(reason, file=sys.stderr)
    if len(unreadable) > _MOST_LINES:
        print(f'... and {len(unreadable) - _MOST_LINES} more: --json lists all', file=sys.stderr)
    return 1


def predict(pipeline: HandPipeline, rgb: np.ndarray, labels: list[Label], boxes: str) -> list[Hand]:
    """Hands in one image, nothing remembered from the one before; from the labelled boxes if `boxes` is
    'given' and there are any."""
    height, width = rgb.shape[:2]
    K = next((label.K for label in labels if label.K is not None), None)
    frame = Frame(rgb=rgb, camera=None if K is None else Camera(K, width, height))
    pipeline.reset()
    rois = [roi for roi in map(roi_of, labels) if roi is not None] if boxes == 'given' else None
    return pipeline.process(frame, rois=rois or None)


def _peer_answers(
    args: argparse.Namespace, folder: Path, names: list[str]
) -> dict[str, dict[str, list[PeerHand]]]:
    """{row of the table: {image: [PeerHand, ...]}}: the peer as it is, and where another keypoint set is
    chosen, moved to that."""
    from maskhand_ros.evaluation.peer import ask_mediapipe, redefined
    from maskhand_ros.evaluation.peer_keypoints import Redefinition

    paths = {name: str((folder / name).resolve()) for name in names}
    answer, version = ask_mediapipe(list(dict.fromkeys(paths.values())), args.max_hands)
    raw = {name: answer[path] for name, path in paths.items()}
    if args.keypoint_set == 'mediapipe':
        return {f'mediapipe {version} raw': raw}
    redefinition = Redefinition(args.keypoint_set, args.hand_model)
    moved = {name: [redefined(hand, redefinition) for hand in hands] for name, hands in raw.items()}
    return {f'mediapipe {version} raw': raw, f'mediapipe {version} redefined': moved}


def _write_report(
    args: argparse.Namespace,
    pipeline: HandPipeline,
    report: Report,
    cases: list[Case],
    peers: dict[str, list[tuple[Label, Score]]],
    unreadable: dict[str, str],
) -> None:
    entries = [
        {'image': name, 'source': label.source, 'side': label.side, **_figures_of(score)}
        for name, label, _, score in cases
    ]
    for peer, theirs in peers.items():
        for entry, (_, score) in zip(entries, theirs, strict=True):
            entry.setdefault('peer', {})[peer] = _figures_of(score)
    settings = {
        'boxes': args.boxes,
        'keypoints': args.keypoint_set,
        'network': pipeline.model_name,
        'hand_model': pipeline.hand_model.name,
        'device': args.device,
    }
    files.write_json(
        args.json, {**report, 'settings': settings, 'unreadable': unreadable, 'entries': entries}
    )


def _figures_of(score: Score) -> dict[str, Any]:
    return {k: v for k, v in vars(score).items() if k not in ('relative', 'standardised')}


HEAD = (
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


def table(report: Report) -> str:
    """The report as text: a row a source, one below for each peer and one for ours - the peer's."""
    rows: list[tuple[str, ...]] = [HEAD]
    for source, entry in report.items():
        rows.append(_row(source, entry))
        for peer, figures in entry.get('peer', {}).items():
            rows.append(_row(f'  {peer}', figures))
            gaps = figures['difference']
            cells = [_cell(f, *_of_gap(gaps.get(f)), '+') for f in FIGURES]
            rows.append(('  ours - that, paired', *([''] * 4), *cells, '', ''))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    notes = [_uncertainty_line(s, e['uncertainty']) for s, e in report.items() if e['uncertainty']]
    return '\n'.join(lines + notes)


def _row(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    intervals = entry['interval95'] or {}
    return (
        name,
        *(str(entry[key]) for key in ('hands', 'found', 'missed', 'wrong_side')),
        *(_cell(figure, entry[figure], intervals.get(figure)) for figure in FIGURES),
        *('-' if entry['pck'] is None else f'{100 * entry["pck"][key]:.1f} %' for key in ('0.05', '0.10')),
    )


def _of_gap(gap: dict[str, Any] | None) -> tuple[float | None, tuple[float, float] | None]:
    return (gap['mean'], gap['interval95']) if gap else (None, None)


def _cell(figure: str, value: float | None, interval: tuple[float, float] | None, sign: str = '') -> str:
    """A figure with its interval; 2D errors as percentages."""
    if value is None:
        return '-'
    factor, unit = (100, ' %') if figure == 'err2d_over_box' else (1, '')
    numbers = [f'{number * factor:{sign}.2f}' for number in (value, *(interval or ()))]
    return f'{numbers[0]}{unit}' + (f' [{numbers[1]}, {numbers[2]}]' if interval else '')


def _uncertainty_line(source: str, uncertainty: dict[str, Any]) -> str:
    shares = ', '.join(
        f'{axis} {100 * part["68"]:.0f} % and {100 * part["95"]:.0f} %'
        for axis, part in uncertainty['coverage'].items()
    )
    return (
        f'{source}: stated 68 % and 95 % intervals hold {shares} of the keypoints; rank correlation of '
        f'stated and true error {uncertainty["hand_spearman"]:.2f}; mean confidence '
        f'{uncertainty["confidence"]:.2f} beside {100 * uncertainty["share_below_20_mm"]:.0f} % of hands '
        'below 20 mm'
    )
