"""Errors before and after fine-tuning, on held-out pictures and on renders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..data_engine.shard_store import ShardStore
from ..evaluation.answers import our_answers
from ..evaluation.evaluate_scores import FIGURES_3D, summarise
from ..evaluation.labels import Images
from ..evaluation.mean_hand import mean_hand
from ..hand_model.torch_hand import TorchHand
from ..model.maskhand import MaskHand
from ..perception.config import PipelineConfig
from ..perception.pipeline import HandPipeline
from ..perception.search import NominalCosts
from .train_maskhand import measure

Figures = dict[str, float]
"""Row of the table: its value; rows that cannot be measured are missing."""

_NAMES = {
    'pa_mpjpe_mm': 'PA-MPJPE, mm',
    'pa15_mpjpe_mm': 'PA-MPJPE of 15 joints, mm',
    'mpjpe_mm': 'MPJPE, mm',
}
_WHOLE = 'held-out pictures, whole pipeline'


@dataclass
class Measured:
    """What is measured on: `labelled` pictures held out, below `folder`, and `crops` {row: crops and truth
    for the network alone}."""

    folder: Path
    labelled: Images
    crops: dict[str, ShardStore]


def pipeline_for(weights: Path, keypoint_set: str) -> HandPipeline:
    """The pipeline of a weights folder for single pictures, as `maskhand evaluate` has it."""
    config = PipelineConfig(
        weights_dir=str(weights), keypoint_set=keypoint_set, search_budget=0.0, max_hands=8
    )
    pipeline = HandPipeline(config)
    pipeline.search.costs = NominalCosts()
    return pipeline


def figures_of(measured: Measured, model: MaskHand, pipeline: HandPipeline) -> Figures:
    """The Figures of a model, in torch and in its pipeline."""
    figures = {}
    for row, store in measured.crops.items():
        found = measure(model.eval(), TorchHand(), store.once(256))
        figures[f'{row}: {_NAMES["pa_mpjpe_mm"]}'] = found['pa_mm'].mean().item()
        figures[f'{row}: {_NAMES["mpjpe_mm"]}'] = found['mpjpe_mm'].mean().item()
    if measured.labelled:
        figures |= _of_pipeline(measured, pipeline)
    return figures


def _of_pipeline(measured: Measured, pipeline: HandPipeline) -> Figures:
    images = {
        name: [replace(label, source='own') for label in labels] for name, labels in measured.labelled.items()
    }
    answers, _ = our_answers(pipeline, images, measured.folder)
    scored = [pair for answer in answers for pair in answer.scores()]
    if not scored:
        return {}
    hands = {side: mean_hand(pipeline.hand_model, side) for side in (None, 'left', 'right')}
    entry = summarise(scored, hands)['own']
    figures = {f'{_WHOLE}: hands found, of {entry["hands"]}': float(entry['found'])}
    for key in FIGURES_3D:
        if entry[key] is not None:
            figures[f'{_WHOLE}: {_NAMES[key]}'] = entry[key]
    if entry['err2d_over_box'] is not None:
        figures[f'{_WHOLE}: 2D error, % of the box'] = 100 * entry['err2d_over_box']
    return figures
