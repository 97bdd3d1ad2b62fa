"""Detection and errors of the whole pipeline on labelled images, for each source in an index.

INDEX.json is a list of objects, all but image optional: image (path beside the file), source, sequence,
handedness (left, right, null), bbox [x, y, w, h] px, box_kind (tight; rough: says only where the hand is),
cats (letters: o open, f fist, h holding, t touching, e egocentric, s small, g glove, b blurred, d dark, p
partly out of view), gesture, fingers (index, middle, ring, little: 1 straight, 0 bent), keypoints_2d 21 x
[x, y] px, keypoints_valid 21 booleans, keypoints_3d_mm 21 x [x, y, z] in the camera frame, camera_K 3 x 3.
`"hand": false` says that the image shows no hand. Every image is taken on its own.

Detection: a hand is found if its square overlaps a tight label's by 0.3 (IoU), or has its centre in a rough
label's box and 0.5 to 2 times its size. Hands without a label are `unlabelled`; `precision at least` takes
all of them as false, --sheet shows them. A finger is straight if its last bone is less than 75 degrees from
its metacarpal. --shrink scales the images until each hand has 16 to 112 px on a canvas of 1280x720, and
gives the smallest size at which half of the hands are found that are found at the best. --judged takes the
confidence.json that --sheet writes, `right` filled in by eye, and tells how well the confidence ranks these.

Errors: millimetre figures are over the hands that were found, PCK counts the keypoints of a missed hand as
wrong, and `with_misses` scores a missed hand as the mean hand: flat, fingers up, back to the camera.
[low, high] are 95 % block-bootstrap intervals: images of one sequence in motion order, images in none
taken as independent. Keypoints are `mediapipe`, which people label much alike; give `--keypoint-set mano` for
labels that are fits of MANO.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskhand_ros import cli_arguments, files
from maskhand_ros.evaluation.answers import Answer, our_answers, peer_answers
from maskhand_ros.evaluation.detection import detection_figures, unlabelled_entries
from maskhand_ros.evaluation.detection_table import detection_table
from maskhand_ros.evaluation.evaluate_scores import Case, Score, differences, summarise
from maskhand_ros.evaluation.evaluate_tables import error_table
from maskhand_ros.evaluation.judged import judged_figures, judged_line, read_judgements
from maskhand_ros.evaluation.labels import Images, Label, read_index
from maskhand_ros.evaluation.mean_hand import mean_hand
from maskhand_ros.perception.pipeline import HandPipeline

OURS = 'ours'
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
        '--judged',
        type=Path,
        metavar='JSON',
        help='confidence.json of a sheet, `right` filled in',
    )
    parser.add_argument('--shrink', action='store_true', help='measure the smallest hand that is found')
    parser.add_argument(
        '--sheet',
        metavar='DIR',
        help='write contact sheets to this folder: random and worst hands of each source, all found hands by '
        'confidence, unlabelled and missed ones',
    )
    cli_arguments.add_pipeline_arguments(parser)
    parser.set_defaults(search_budget=0.0)  # single images
    parser.set_defaults(max_hands=8, keypoint_set='mediapipe')


def run(args: argparse.Namespace) -> int:
    """Prints the figures; returns 1 if an image could not be read."""
    index = Path(args.index)
    images = read_index(index)
    pipeline = cli_arguments.build_offline_pipeline(args)
    ours, unreadable = our_answers(pipeline, images, index.parent, args.boxes)
    peers = peer_answers(args, ours, index.parent) if args.peer else {}
    report = _errors(pipeline, ours, peers)
    # Where the keypoints are moved to another set the same hands are found, so the first peer says it all.
    systems = {OURS: ours, **dict(list(peers.items())[:1])}
    detection = {name: detection_figures(answers) for name, answers in systems.items()}
    if args.shrink:
        for name, figures in _shrunk(args, pipeline, images, index.parent).items():
            detection[name]['shrunk'] = figures
    judged = ''
    if args.judged:
        detection[OURS]['judged'] = judged_figures(ours, read_judgements(args.judged))
        judged = judged_line(detection[OURS]['judged'])
    print('\n\n'.join(filter(None, (detection_table(detection), judged, error_table(report)))))
    if args.sheet:
        _write_sheets(args.sheet, ours, index.parent, pipeline)
    if args.json:
        _write_report(args, pipeline, report, detection, ours, peers, unreadable)
    return report_unreadable(unreadable)


def _scored(answers: Sequence[Answer]) -> list[tuple[Label, Score]]:
    return [pair for answer in answers for pair in answer.scores()]


def _errors(
    pipeline: HandPipeline, ours: Sequence[Answer], peers: Mapping[str, Sequence[Answer]]
) -> dict[str, dict[str, Any]]:
    """Figures of each source and of its peers."""
    sides = (None, 'left', 'right')
    mean_hands = {side: mean_hand(pipeline.hand_model, side) for side in sides}
    scored = _scored(ours)
    report = summarise(scored, mean_hands)
    for peer, answers in peers.items():
        theirs = _scored(answers)
        figures, gaps = summarise(theirs, mean_hands), differences(scored, theirs)
        for source, entry in report.items():
            entry.setdefault('peer', {})[peer] = {**figures[source], 'difference': gaps[source]}
    return report


def _shrunk(
    args: argparse.Namespace, pipeline: HandPipeline, images: Images, folder: Path
) -> dict[str, dict[str, Any]]:
    from maskhand_ros.evaluation.shrunk import shrunk_figures

    def answer(shrunk: Images, place: Path) -> dict[str, list[Answer]]:
        ours, _ = our_answers(pipeline, shrunk, place)
        peers = peer_answers(args, ours, place) if args.peer else {}
        return {OURS: ours, **dict(list(peers.items())[:1])}

    return shrunk_figures(images, folder, answer)


def _write_sheets(folder: str, ours: Sequence[Answer], root: Path, pipeline: HandPipeline) -> None:
    from maskhand_ros.evaluation.sheets import write_real_sheets
    from maskhand_ros.evaluation.sheets_detection import write_detection_sheets

    out, readable = files.output_folder(folder), [answer for answer in ours if answer.width is not None]
    cases: list[Case] = [
        (answer.image, label, hand, score)
        for answer in readable
        for hand, (label, score) in zip(answer.matched, answer.scores(), strict=True)
    ]
    write_real_sheets(out, cases, root, pipeline.hand_model.faces)
    write_detection_sheets(out, readable, root, pipeline.hand_model.faces)


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


def _write_report(
    args: argparse.Namespace,
    pipeline: HandPipeline,
    report: Mapping[str, Any],
    detection: Mapping[str, Any],
    ours: Sequence[Answer],
    peers: Mapping[str, Sequence[Answer]],
    unreadable: Mapping[str, str],
) -> None:
    entries = _entries(ours)
    for peer, answers in peers.items():
        for entry, (_, score) in zip(entries, _scored(answers), strict=True):
            entry.setdefault('peer', {})[peer] = _figures_of(score)
    settings = {
        **{name: getattr(args, name) for name in ('max_hands', 'detection_threshold', 'presence_threshold')},
        'boxes': args.boxes,
        'keypoints': args.keypoint_set,
        'network': pipeline.model_name,
        'hand_model': pipeline.hand_model.name,
        'device': args.device,
    }
    unlabelled = {name: unlabelled_entries(answers) for name, answers in {OURS: ours, **peers}.items()}
    content = {
        **report,
        'detection': detection,
        'settings': settings,
        'unreadable': unreadable,
        'entries': entries,
        'unlabelled': unlabelled,
    }
    files.write_json(args.json, content)


def _entries(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """What every label got."""
    return [
        {
            'image': answer.image,
            'source': label.source,
            'categories': label.categories,
            'side': label.side,
            **_figures_of(score),
        }
        for answer in answers
        for label, score in answer.scores()
    ]


def _figures_of(score: Score) -> dict[str, Any]:
    return {k: v for k, v in vars(score).items() if k not in ('relative', 'standardised')}
