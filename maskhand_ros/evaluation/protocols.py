"""What each public benchmark measures, and on which points: definitions of the benchmarks' own scripts.

freihand        eval.py of lmb-freiburg/freihand: joints regressed from the posed mesh; joints and vertices
                are aligned each for themselves; F on the aligned vertices; area under the curve to 50 mm
ho3d            eval.py of shreyashampali/ho3d: the same, and joints aligned by scale and translation alone
dexycb          hpe_eval.py of NVlabs/dex-ycb-toolkit: absolute, relative to the wrist, aligned; the vertex
                errors that papers add are relative to the wrist joint
interhand       evaluate of facebookresearch/InterHand2.6M: relative to the wrist, mean of the 42 joints'
                means; MRRPE is the error of the left wrist relative to the right one
hint            eval.py of geopavlakos/hamer: PCK by the longest side of the unexpanded box, mean of the
                joints' shares
hand-graph-cnn  Ge et al. 2019: joints of a prediction that is told the wrist's depth and the hand's scale
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskhand_ros.datasets import LabelledHand
from maskhand_ros.datasets.record import FROM_MANO_21
from maskhand_ros.evaluation import metrics
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.types import Hand
from maskhand_ros.skeleton import LEFT

AUC_LIMIT = 0.05
"""Metres, with 100 thresholds from 0."""
NO_MESH = 'not with this mesh'


Statistic = Callable[[Sequence['Result']], float]


@dataclass(frozen=True)
class Protocol:
    """A benchmark: its splits, the points that it takes from MANO, and its figures."""

    splits: tuple[str, ...]
    keypoints: str
    """Our keypoint set for a hand model that is not MANO."""
    tips: tuple[int, ...]
    """MANO vertices that are the tips of thumb to little finger."""
    figures: tuple[tuple[str, bool, Statistic], ...]
    """(name, whether it needs MANO's mesh, function of Result[])."""
    tips_left: tuple[int, ...] | None = None
    regressed: bool = False
    """Whether joints are regressed from the posed mesh, instead of those that it turns about."""
    bone_length: float | None = None
    """Metres of the middle finger's first bone that predictions are told, where they are."""


@dataclass(frozen=True)
class Prediction:
    """One hand as a benchmark asks for it, camera axes, metres."""

    keypoints: np.ndarray
    """(21, 3); from the wrist unless `metric`."""
    keypoints_px: np.ndarray
    """(21, 2)"""
    vertices: np.ndarray | None
    """(778, 3) likewise; None if the hand model is not MANO."""
    metric: bool
    """Whether the place in the camera frame is known."""


@dataclass(frozen=True)
class Result:
    """A labelled hand, what was predicted for it (None: missed), and errors (N,) in metres by name."""

    hand: LabelledHand
    prediction: Prediction | None
    errors: dict[str, np.ndarray]


def prediction_from(hand: Hand, hand_model: HandModel, protocol: Protocol) -> Prediction:
    """The Prediction of a perception.types.Hand; with MANO its joints and tips are the protocol's own."""
    offset = np.zeros(3) if hand.wrist_position is None else hand.wrist_position
    keypoints, joints, vertices = (
        points @ hand.wrist_rotation.T + offset
        for points in (hand.keypoints_wrist, hand.joints_wrist, hand.vertices)
    )
    if hand_model.name != 'mano':
        return Prediction(keypoints, hand.keypoints_px, None, hand.wrist_position is not None)
    tips = protocol.tips_left if hand.side == LEFT and protocol.tips_left else protocol.tips
    if protocol.regressed:
        joints = hand_model.J_regressor @ vertices
    keypoints = np.concatenate([joints, vertices[list(tips)]])[FROM_MANO_21]
    return Prediction(keypoints, hand.keypoints_px, vertices, hand.wrist_position is not None)


def measure(
    hand: LabelledHand, prediction: Prediction | None, protocol: Protocol, vertices: np.ndarray | None = None
) -> Result:
    """The Result of a LabelledHand; `vertices` (778, 3) are its mesh where that is known."""
    if prediction is None:
        return Result(hand, None, {'relative_2d': np.where(hand.valid, np.inf, np.nan)})
    errors = {
        'relative_2d': metrics.relative_errors_2d(
            prediction.keypoints_px, hand.keypoints_px, hand.valid, hand.box[2:].max()
        )
    }
    if hand.keypoints is not None and hand.valid.sum() >= 4:
        errors |= _joint_errors(hand, prediction, protocol)
    if vertices is not None and prediction.vertices is not None:
        root, aligned = prediction.keypoints[0], metrics.freihand_align(prediction.vertices, vertices)
        errors['vertices_pa'] = metrics.keypoint_errors(aligned, vertices)
        errors['vertices_root'] = metrics.keypoint_errors(
            prediction.vertices - root, vertices - hand.keypoints[0]
        )
        for millimetres in (5, 15):
            errors[f'f{millimetres}'] = np.array([metrics.f_score(aligned, vertices, millimetres / 1000)])
    return Result(hand, prediction, errors)


def _joint_errors(hand: LabelledHand, prediction: Prediction, protocol: Protocol) -> dict[str, np.ndarray]:
    valid, truth = hand.valid, hand.keypoints
    variants = {'joints_st': metrics.scale_translation_align(prediction.keypoints, truth)}
    variants['joints_root'] = prediction.keypoints - prediction.keypoints[0] + truth[0]
    variants['joints_pa'] = np.full((21, 3), np.nan)
    variants['joints_pa'][valid] = metrics.freihand_align(prediction.keypoints[valid], truth[valid])
    if prediction.metric:
        variants['joints_camera'] = prediction.keypoints
    if protocol.bone_length:
        variants['joints_told'] = metrics.known_root_and_scale(
            prediction.keypoints, prediction.keypoints_px, hand.K, truth[0, 2], protocol.bone_length
        )
    return {name: metrics.keypoint_errors(points, truth) for name, points in variants.items()}


def _stack(results: Sequence[Result], name: str) -> np.ndarray:
    rows = [result.errors[name] for result in results if name in result.errors]
    return np.stack(rows) if rows else np.empty((0, 1))


def _millimetres(name: str) -> Statistic:
    return lambda results: 1000 * metrics.mean_over_points(_stack(results, name))


def _area(name: str) -> Statistic:
    return lambda results: metrics.mean_auc(_stack(results, name), AUC_LIMIT)


def _share(name: str) -> Statistic:
    return lambda results: metrics.mean_over_points(_stack(results, name))


def _pck(threshold: float) -> Statistic:
    return lambda results: metrics.pck(_stack(results, 'relative_2d'), (threshold,))[threshold]


def _interhand_mpjpe(which: str) -> Statistic:
    """MPJPE over the 42 joints of 'single' or 'interacting' hands (which share a box), or of both."""

    def figure(results: Sequence[Result]) -> float:
        rows = []
        for result in results:
            kind = 'single' if result.hand.bbox is not None else 'interacting'
            if which in (kind, 'all') and 'joints_root' in result.errors:
                row = np.full((2, 21), np.nan)
                row[int(result.hand.side == 'left')] = result.errors['joints_root']
                rows.append(row.ravel())
        return 1000 * metrics.mean_over_points(np.stack(rows)) if rows else float('nan')

    return figure


def _mrrpe(results: Sequence[Result]) -> float:
    pairs: dict[Path, dict[str, Result]] = {}
    errors = []
    for result in results:
        if result.prediction is not None and result.prediction.metric and result.hand.valid[0]:
            pairs.setdefault(result.hand.image, {})[result.hand.side] = result
    for pair in pairs.values():
        if len(pair) == 2:
            left, right = pair['left'], pair['right']
            predicted = left.prediction.keypoints[0] - right.prediction.keypoints[0]
            errors.append(predicted - (left.hand.keypoints[0] - right.hand.keypoints[0]))
    return 1000 * float(np.linalg.norm(errors, axis=1).mean()) if errors else float('nan')


_ALIGNED = (
    ('PA-MPJPE mm', False, _millimetres('joints_pa')),
    ('AUC_J', False, _area('joints_pa')),
    ('PA-MPVPE mm', True, _millimetres('vertices_pa')),
    ('AUC_V', True, _area('vertices_pa')),
    ('F@5', True, _share('f5')),
    ('F@15', True, _share('f15')),
)
_HAMER_TIPS = (744, 320, 443, 554, 671)

PROTOCOLS = {
    'freihand': Protocol(
        splits=('evaluation',),
        keypoints='mano',
        tips=(744, 320, 443, 555, 672),
        regressed=True,
        figures=_ALIGNED,
    ),
    'ho3d': Protocol(
        splits=('evaluation',),
        keypoints='mano',
        tips=(744, 333, 444, 555, 672),
        figures=(*_ALIGNED, ('scale and translation aligned MPJPE mm', False, _millimetres('joints_st'))),
    ),
    'dexycb': Protocol(
        splits=('s0_test',),
        keypoints='mano',
        tips=(745, 317, 444, 556, 673),
        tips_left=(745, 317, 445, 556, 673),
        figures=(
            ('absolute MPJPE mm', False, _millimetres('joints_camera')),
            ('absolute AUC', False, _area('joints_camera')),
            ('MPJPE mm', False, _millimetres('joints_root')),
            ('AUC', False, _area('joints_root')),
            ('PA-MPJPE mm', False, _millimetres('joints_pa')),
            ('PA-AUC', False, _area('joints_pa')),
            ('MPVPE mm', True, _millimetres('vertices_root')),
            ('PA-MPVPE mm', True, _millimetres('vertices_pa')),
        ),
    ),
    'interhand': Protocol(
        splits=('test',),
        keypoints='anatomical',
        tips=_HAMER_TIPS,
        figures=(
            *(
                (f'MPJPE {which} mm', False, _interhand_mpjpe(which))
                for which in ('single', 'interacting', 'all')
            ),
            ('MRRPE mm', False, _mrrpe),
        ),
    ),
    'hint': Protocol(
        splits=tuple(
            f'TEST_{source}_img_{subset}'
            for source in ('newdays', 'epick', 'ego4d')
            for subset in ('all', 'vis', 'occ')
        ),
        keypoints='mediapipe',
        tips=_HAMER_TIPS,
        figures=tuple((f'PCK@{t:.2f}', False, _pck(t)) for t in metrics.PCK_THRESHOLDS),
    ),
    'hand-graph-cnn': Protocol(
        splits=('all',),
        keypoints='mediapipe',
        tips=_HAMER_TIPS,
        bone_length=0.05,
        figures=(
            ('MPJPE mm, depth and scale told', False, _millimetres('joints_told')),
            ('MPJPE mm', False, _millimetres('joints_root')),
            ('PA-MPJPE mm', False, _millimetres('joints_pa')),
        ),
    ),
}


def figures(results: Sequence[Result], protocol: Protocol, has_mesh: bool) -> dict[str, float | str]:
    """{name: value}; NaN where nothing was measured, NO_MESH where that needs MANO's mesh."""
    return {
        name: NO_MESH if needs_mesh and not has_mesh else function(results)
        for name, needs_mesh, function in protocol.figures
    }
