"""Hands of one image as JSON on stdout, without ROS.

    python3 image_to_json.py photo.jpg
    python3 image_to_json.py photo.jpg --intrinsics 600 600 320 240    # with positions in the camera frame

`maskhand image` writes all fields, an overlay and meshes as well.
"""

import argparse
import json
from typing import Any

import cv2
import numpy as np

from maskhand_ros import Camera, Frame, HandPipeline, PipelineConfig, __version__
from maskhand_ros.perception.types import Hand


def read_rgb(path: str) -> np.ndarray:
    """Return the image at `path`, (H, W, 3) uint8 RGB."""
    bgr = cv2.imread(path, cv2.IMREAD_COLOR)
    if bgr is None:
        raise SystemExit(f'{path} is missing or no image that OpenCV reads')
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def describe(hand: Hand) -> dict[str, Any]:
    """Return what most programs need of a Hand: names, pixels, metres."""
    return {
        'side': str(hand.side),
        'confidence': round(hand.confidence, 3),
        'keypoints_px': np.round(hand.keypoints_px, 1).tolist(),
        'keypoints_wrist': np.round(hand.keypoints_wrist, 4).tolist(),
        # None without a camera matrix: the distance is unknown then.
        'keypoints': None if hand.keypoints is None else np.round(hand.keypoints, 4).tolist(),
    }


def main() -> None:
    """Find the hands and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('image')
    parser.add_argument('--intrinsics', type=float, nargs=4, metavar=('FX', 'FY', 'CX', 'CY'))
    args = parser.parse_args()

    rgb, camera = read_rgb(args.image), None
    if args.intrinsics:
        fx, fy, cx, cy = args.intrinsics
        height, width = rgb.shape[:2]
        camera = Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), width, height)
    # search_budget 0: the whole search in one image.
    pipeline = HandPipeline(PipelineConfig(max_hands=2, search_budget=0.0))
    hands = pipeline.process(Frame(rgb=rgb, camera=camera))
    print(json.dumps({'version': __version__, 'hands': [describe(hand) for hand in hands]}, indent=1))


if __name__ == '__main__':
    main()
