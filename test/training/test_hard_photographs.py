"""Photographs made hard: the mask follows the hand, a glove covers it alone, part of it stays in sight."""

from __future__ import annotations

import cv2
import numpy as np

from maskhand_ros.training.hand_masks import hand_mask, keypoint_mask
from maskhand_ros.training.hard_photographs import (
    LEAST_SEEN,
    Cutout,
    Hardness,
    made_hard,
    recoloured,
)
from maskhand_ros.training.landmark_batches import PhotographBatches
from maskhand_ros.training.photographs import Photographs

SIZE = 336
SKIN, WALL = (205, 150, 125), (70, 90, 80)


def open_hand() -> tuple[np.ndarray, np.ndarray]:
    """A flat drawing of an open hand (SIZE, SIZE, 3), wider than its keypoints' own mask, and keypoints."""
    wrist = np.array([168.0, 240.0])
    points = [wrist]
    for angle, reach in zip((-1.0, -0.35, -0.05, 0.25, 0.55), (60, 78, 80, 78, 70), strict=True):
        way = np.array([np.sin(angle), -np.cos(angle)])
        points += [wrist + way * (reach + 22 * k) for k in range(4)]
    keypoints = np.array(points)
    image = np.full((SIZE, SIZE, 3), WALL, np.uint8)
    image[cv2.dilate(keypoint_mask(keypoints, SIZE), np.ones((5, 5), np.uint8)) > 0] = SKIN
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), keypoints


def test_the_mask_follows_the_hands_edge() -> None:
    image, keypoints = open_hand()
    truth = np.abs(image.astype(float) - SKIN).sum(-1) < 60
    mask = hand_mask(image, keypoints) > 0.5
    assert (mask & truth).sum() / (mask | truth).sum() > 0.93
    drawn = keypoint_mask(keypoints, SIZE) > 0
    assert (drawn & truth).sum() / (drawn | truth).sum() < 0.9  # the keypoints alone do not know the edge


def test_a_glove_colours_the_hand_and_nothing_else() -> None:
    image, keypoints = open_hand()
    mask = hand_mask(image, keypoints)
    for seed in range(8):
        gloved = recoloured(image, mask, np.random.default_rng(seed), np.array([20.0, 40.0, 220.0]))
        np.testing.assert_array_equal(gloved[mask == 0], image[mask == 0])
        inside = gloved[mask > 0.95].mean(0)
        assert inside[2] > inside[0]  # blue, where the skin was red


def test_other_hands_and_objects_leave_part_of_the_hand_in_sight() -> None:
    image, keypoints = open_hand()
    hand = Cutout(image, hand_mask(image, keypoints), keypoints)
    scene = np.full((SIZE, SIZE, 3), 200, np.uint8)
    hardness = Hardness(glove=0, other_hands=1, objects=1, dark=0)
    shares = []
    for seed in range(30):
        changed, seen = made_hard(hand, [hand] * 8, scene, np.random.default_rng(seed), hardness)
        shares.append(seen.sum() / hand.mask.sum())
        untouched = seen > 0.999  # what is said to be seen is as it was
        assert np.abs(changed[untouched].astype(int) - image[untouched]).max() <= 3  # rounding
    assert min(shares) >= LEAST_SEEN
    assert np.mean(shares) < 0.95


def test_the_share_of_hard_photographs_is_the_one_asked_for() -> None:
    image, keypoints = open_hand()
    scale = 224 / SIZE
    small = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    landmarks = np.column_stack([scale * keypoints, np.zeros(21)]).astype(np.float32)
    photographs = Photographs(small[None], landmarks[None], np.zeros((1, 21, 3), np.float32))

    def batch(hard: float) -> tuple[np.ndarray, np.ndarray]:
        images, labels = PhotographBatches(photographs, hard).batch(60, np.random.default_rng(3))
        return images.astype(float), labels['pixels'].numpy()

    plain, _ = batch(0)
    hard, pixels = batch(1)
    levels = np.abs(plain.mean((1, 2)) - plain.mean((0, 1, 2))).max(1)
    changed = np.abs(hard.mean((1, 2)) - plain.mean((0, 1, 2))).max(1) > levels.max()
    assert 0.4 < changed.mean() <= 1
    assert np.isfinite(pixels).all()
