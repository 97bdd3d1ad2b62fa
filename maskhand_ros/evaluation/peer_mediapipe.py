"""MediaPipe Hands on images: runs in an environment of its own (see peer.py), without maskhand_ros.

    python peer_mediapipe.py REQUEST.json REPLY.json

REQUEST: {"images": [path, ...], "max_hands": n, "threshold": palm detector's, "video": whether the images
are the frames of a video, which MediaPipe then tracks and smooths}. REPLY: {"version": text,
"hands": {path: [hand, ...]}, "seconds": {path: time of its answer}, "cpu_seconds": {path: CPU time of all its
threads}}; a hand has side ("left" or "right"), score, keypoints_px (21 x 2, pixels of the
image) and world_landmarks (21 x 3, metres, along the image's axes: x right, y down, z away).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

SMALL = 400
"""An image whose longer side is at most this many pixels is taken for a crop of a hand: it is framed and
enlarged, since the palm detector looks for hands that are small in a whole image."""

SIDES = {'Left': 'right', 'Right': 'left'}
"""MediaPipe's Python solution names sides as in a mirror image."""


def framed(cv2: Any, rgb: Any) -> tuple[Any, int, tuple[int, int]]:
    """The image as the detector gets it, its enlargement, and the (x, y) at which the original starts."""
    height, width = rgb.shape[:2]
    if max(height, width) > SMALL:
        return rgb, 1, (0, 0)
    y, x = height // 2, width // 2
    large = cv2.copyMakeBorder(rgb, y, y, x, x, cv2.BORDER_CONSTANT)
    return cv2.resize(large, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR), 2, (x, y)


def describe(
    result: Any, shape: tuple[int, ...], enlargement: int, start: tuple[int, int]
) -> list[dict[str, Any]]:
    """The hands of a MediaPipe result on a framed image of `shape`."""
    hands = []
    for handedness, landmarks, world in zip(
        result.multi_handedness or (),
        result.multi_hand_landmarks or (),
        result.multi_hand_world_landmarks or (),
        strict=True,
    ):
        category = handedness.classification[0]
        hands.append(
            {
                'side': SIDES[category.label],
                'score': category.score,
                'keypoints_px': [
                    [p.x * shape[1] / enlargement - start[0], p.y * shape[0] / enlargement - start[1]]
                    for p in landmarks.landmark
                ],
                'world_landmarks': [[p.x, p.y, p.z] for p in world.landmark],
            }
        )
    return hands


def main(request_path: str, reply_path: str) -> None:
    import cv2
    import mediapipe

    with open(request_path) as file:
        request = json.load(file)
    hands: dict[str, Any] = {}
    seconds, cpu_seconds = {}, {}
    with mediapipe.solutions.hands.Hands(
        static_image_mode=not request['video'],
        model_complexity=1,
        max_num_hands=request['max_hands'],
        min_detection_confidence=request['threshold'],
    ) as solution:
        for path in request['images']:
            image = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            large, enlargement, start = framed(cv2, image)
            begun, cpu_begun = time.perf_counter(), time.process_time()
            result = solution.process(large)
            seconds[path], cpu_seconds[path] = time.perf_counter() - begun, time.process_time() - cpu_begun
            hands[path] = describe(result, large.shape, enlargement, start)
    reply = {'version': mediapipe.__version__, 'hands': hands, 'seconds': seconds, 'cpu_seconds': cpu_seconds}
    with open(reply_path, 'w') as file:
        json.dump(reply, file)


if __name__ == '__main__':
    main(*sys.argv[1:])
