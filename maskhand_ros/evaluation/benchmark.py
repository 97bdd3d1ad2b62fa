"""A public benchmark by its own definitions, on the data as published (`maskhand train index` lists splits).

The hands are looked for in the benchmark's own boxes, each on its own and with its side known, as its
competitors do; `--boxes detect` finds them in the whole image instead. Millimetres are over the hands that
were found, PCK counts a missed hand as wrong. Vertices, tips and joints are the benchmark's own only with
`--hand-model`, a MANO file from `maskhand convert-mano`; another mesh has no vertices to compare. Without
`--keypoint-set` they are as the labels: `mano` where those are fits of MANO, else `mediapipe` or
`anatomical`.
The hands of an image that cannot be read count as missed; such images are named at the end and as
`unreadable` in the JSON, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros import cli_arguments, files
from maskhand_ros.datasets import LabelledHand, read
from maskhand_ros.datasets.mano_mesh import ManoMesh
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.evaluate import report_unreadable
from maskhand_ros.evaluation.labels import label_from, roi_of_box
from maskhand_ros.evaluation.matching import match
from maskhand_ros.evaluation.protocols import (
    PROTOCOLS,
    Prediction,
    Protocol,
    figures,
    measure,
    prediction_from,
)
from maskhand_ros.geometry import Camera
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame, Hand, HandRoi
from maskhand_ros.progress import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand benchmark`."""
    parser.add_argument('name', choices=PROTOCOLS)
    parser.add_argument(
        '--root', required=True, type=Path, help="the data set's folder, laid out as published"
    )
    parser.add_argument('--split', help="a split of the data set (default: the benchmark's own)")
    parser.add_argument('--boxes', choices=('given', 'detect'), default='given')
    parser.add_argument(
        '--limit', type=cli_arguments.whole(1), metavar='N', help='only the first N hands of each split'
    )
    parser.add_argument('--json', metavar='OUT', help='write the figures to this file')
    cli_arguments.add_pipeline_arguments(parser)
    parser.set_defaults(search_budget=0.0)  # single images
    parser.set_defaults(max_hands=4, keypoint_set=None)


def run(args: argparse.Namespace) -> int:
    """Prints the figures of each split as it is done; writes all of them to --json."""
    protocol = PROTOCOLS[args.name]
    args.keypoint_set = args.keypoint_set or protocol.keypoints
    # In a given box there is a hand, however unsure the network is.
    changes = {'presence_threshold': 0.0} if args.boxes == 'given' else {}
    predictor = Predictor(cli_arguments.build_offline_pipeline(args, **changes), protocol, args.boxes)
    mesh = ManoMesh(args.hand_model) if predictor.has_mesh else None
    splits, report = [args.split] if args.split else protocol.splits, {}
    for split in splits:
        # FreiHAND's and HO-3D's evaluation images come with meshes; elsewhere parameters tell the mesh.
        published = {'vertices': True} if mesh and split == 'evaluation' else {}
        try:
            hands = itertools.islice(read(args.name, args.root, split, **published), args.limit)
            report[split] = measure_split(hands, predictor, protocol, mesh)
        except CommandError as error:
            if len(splits) == 1:
                raise
            print(f'{args.name} {split} is left out: {error}')  # Ego4D's frames need a licence of their own
            continue
        print(
            '{} {}: {found} of {hands} hands, boxes {}'.format(args.name, split, args.boxes, **report[split])
        )
        for name, value in report[split]['figures'].items():
            print(f'  {name:40} {_text(value)}')
    if args.json:
        settings = {
            'boxes': args.boxes,
            'keypoints': args.keypoint_set,
            'network': predictor.model_name,
            'hand_model': predictor.hand_model_name,
        }
        files.write_json(
            args.json,
            {
                'benchmark': args.name,
                'settings': settings,
                'unreadable': predictor.unreadable,
                'splits': report,
            },
        )
    return report_unreadable(predictor.unreadable) if report else 1


def measure_split(
    hands: Iterable[LabelledHand], predictor: Predictor, protocol: Protocol, mesh: ManoMesh | None
) -> dict[str, Any]:
    """{hands, found, figures: {name: value}} of LabelledHand; `mesh`: ManoMesh if the hand model is MANO."""
    results = []
    for hand, prediction in progress(predictor(hands), None, 'hands'):
        results.append(measure(hand, prediction, protocol, mesh.vertices(hand) if mesh else None))
    found = sum(result.prediction is not None for result in results)
    measured = figures(results, protocol, predictor.has_mesh)
    return {'hands': len(results), 'found': found, 'figures': measured}


class Predictor:
    """Runs the pipeline on labelled hands, each image on its own.

    Boxes that come again in another split, as in the subsets of HInt, are answered from memory. `unreadable`
    {path: why} are the images whose hands count as missed.
    """

    def __init__(self, pipeline: HandPipeline, protocol: Protocol, boxes: str) -> None:
        self._pipeline, self._protocol, self._boxes = pipeline, protocol, boxes
        self._known: dict[tuple, Prediction | None] = {}
        self.model_name = pipeline.model_name
        self.hand_model_name = pipeline.hand_model.name
        self.has_mesh = self.hand_model_name == 'mano'
        self.unreadable: dict[str, str] = {}

    def __call__(self, hands: Iterable[LabelledHand]) -> Iterator[tuple[LabelledHand, Prediction | None]]:
        """Yields (LabelledHand, Prediction or None) of LabelledHand whose images come one after another."""
        for image, of_image in itertools.groupby(hands, key=lambda hand: hand.image):
            group = list(of_image)
            keys = [(image, hand.side, *hand.box.tolist()) for hand in group]
            if not all(key in self._known for key in keys):
                self._known.update(zip(keys, self._predict(image, group), strict=True))
            yield from ((hand, self._known[key]) for hand, key in zip(group, keys, strict=True))
            if len(self._protocol.splits) == 1:
                self._known.clear()

    def _predict(self, image: Path, group: list[LabelledHand]) -> list[Prediction | None]:
        try:
            rgb = files.read_image(image)
        except files.ImageError as error:
            self.unreadable[str(image)] = str(error)
            return [None] * len(group)
        if self._boxes == 'given':
            found = [
                next(iter(self._hands(rgb, hand.K, [roi_of_box(hand.box, hand.side)])), None)
                for hand in group
            ]
        else:
            labels = [label_from(hand.index_entry(image.parent)) for hand in group]
            found = match(labels, self._hands(rgb, group[0].K, None))
        return [
            None if hand is None else prediction_from(hand, self._pipeline.hand_model, self._protocol)
            for hand in found
        ]

    def _hands(self, rgb: np.ndarray, K: np.ndarray | None, rois: list[HandRoi] | None) -> list[Hand]:
        height, width = rgb.shape[:2]
        self._pipeline.reset()
        frame = Frame(rgb=rgb, camera=None if K is None else Camera(K, width, height))
        return self._pipeline.process(frame, rois=rois)


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else '-' if math.isnan(value) else f'{value:.3f}'
