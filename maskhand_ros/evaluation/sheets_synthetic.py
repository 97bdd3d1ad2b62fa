"""Contact sheets of rendered hands: shards keep no images, so new ones are rendered and measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskhand_ros import files
from maskhand_ros.evaluation.metrics import mpjpe, pa_mpjpe
from maskhand_ros.evaluation.sheets import choose, contact_sheet, tile
from maskhand_ros.geometry import CROP_SIZE, Camera
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.overlay import MESH_COLOURS, draw_mesh
from maskhand_ros.perception.reconstructor import HandPrediction, Reconstructor
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.skeleton import RIGHT

BATCH = 20
SEED = 70_003
"""Apart from every seed of `maskhand train data`, which has three parts."""


def write_synthetic_sheets(folder: Path, reconstructor: Reconstructor, count: int, seed: int = SEED) -> None:
    """KIND_worst.png and KIND_random.png into `folder`: of `count` new hands of each kind of scene, the ones
    with the largest PA-MPJPE and random good ones. The predicted mesh is drawn at the true place."""
    from maskhand_ros.data_engine.samples import SampleMaker
    from maskhand_ros.data_engine.scenes import HAND_KINDS

    folder = files.output_folder(folder)
    maker = SampleMaker(reconstructor.hand_model)
    network = CueNetwork(SHIPPED / 'landmarks.onnx')
    for kind in HAND_KINDS:
        rng, tiles, errors = np.random.default_rng([seed, HAND_KINDS.index(kind)]), [], []
        for start in range(0, count, BATCH):
            crops, truth = maker.make([kind] * min(BATCH, count - start), rng)
            prediction = reconstructor(network(crops))
            for i, crop in enumerate(crops):
                errors.append(1e3 * pa_mpjpe(prediction.keypoints[i], truth['keypoints'][i]))
                tiles.append(_tile(kind, crop, prediction, truth, i, errors[-1], reconstructor.hand_model))
        for name, rows in zip(('worst', 'random'), choose(errors), strict=True):
            if rows:
                path = folder / f'{kind}_{name}.png'
                files.write_image(path, contact_sheet([tiles[i] for i in rows]))
                print(f'written {path}')


def _tile(
    kind: str,
    crop: np.ndarray,
    prediction: HandPrediction,
    truth: dict[str, np.ndarray],
    i: int,
    pa_mm: float,
    hand: HandModel,
) -> np.ndarray:
    mesh = hand(
        prediction.betas[i : i + 1], prediction.global_orient[i : i + 1], prediction.hand_pose[i : i + 1]
    )
    centre = (CROP_SIZE - 1) / 2
    focal = float(truth['focal'][i])
    camera = Camera(np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]]), CROP_SIZE, CROP_SIZE)
    after = np.array(crop, order='C')
    draw_mesh(after, mesh.vertices[0] + truth['wrist'][i], hand.faces, camera, MESH_COLOURS[RIGHT])
    root_mm = 1e3 * mpjpe(prediction.keypoints[i], truth['keypoints'][i])
    stated = 1e3 * np.sqrt((prediction.keypoint_stddev[i, 1:] ** 2 @ [2.0, 1.0]).mean())
    text = (
        f'{kind}: PA {pa_mm:.1f} root {root_mm:.0f} mm, stated {stated:.0f}, {prediction.confidence[i]:.2f}'
    )
    side = CROP_SIZE / 1.5  # tile() shows 1.5 times the box: the whole crop
    return tile(crop, after, ((CROP_SIZE - side) / 2, (CROP_SIZE - side) / 2, side, side), text)
