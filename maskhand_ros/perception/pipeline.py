"""HandPipeline: one image in, its hands out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from maskhand_ros.errors import ModelError
from maskhand_ros.geometry import CROP_SIZE, Camera
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.lens import FISHEYE
from maskhand_ros.perception.config import PipelineConfig
from maskhand_ros.perception.continuity import Continuity
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.detector import PalmDetector
from maskhand_ros.perception.device import Device, concatenate
from maskhand_ros.perception.gates import PlausibleHand
from maskhand_ros.perception.huge_pages import use_huge_pages
from maskhand_ros.perception.load_shedding import degradation_steps
from maskhand_ros.perception.observer import Observer
from maskhand_ros.perception.operator import Operator
from maskhand_ros.perception.placement import Placement
from maskhand_ros.perception.reconstructor import Reconstructor
from maskhand_ros.perception.search import HandSearch
from maskhand_ros.perception.side import SideComparison
from maskhand_ros.perception.skinning import skin
from maskhand_ros.perception.tracker import Pairs, Tracker
from maskhand_ros.perception.types import Frame, Hand, HandRoi
from maskhand_ros.perception.weights import INDEX, REQUIRED_FILES, find_weights, landmarks_file


class HandPipeline:
    """Pipeline from image to hands; call `process` once per frame, in order of time.

    `timings` {stage: s} and `lost_ids` are of the last frame. `degradations` {field of PipelineConfig: value}
    are the options that load shedding has reduced (`degrade`). `search` is the HandSearch; its `counts`
    are of the last frame.
    """

    def __init__(self, config: PipelineConfig | None = None) -> None:
        """Loads and checks the models; ModelError says what is missing and how to get it."""
        self.config = config = config or PipelineConfig()
        self.device = Device(config.device, config.threads, config.allow_cpu_fallback, config.max_hands)
        folder = find_weights(config.weights_dir)
        try:
            self.hand_model = HandModel.load(config.hand_model or None, config.keypoint_set)
            at_landmarks = HandModel.load(config.hand_model or None, 'mediapipe')
        except (OSError, ValueError) as error:
            raise ModelError(
                f'the hand model cannot be loaded: {error}',
                "leave hand_model empty for the package's own hand model",
            ) from error
        self._reconstruct = Reconstructor(
            folder,
            self.hand_model,
            self.device,
            config.iterations,
            config.hypotheses,
            config.temperature,
            config.top_k,
            required_files=REQUIRED_FILES,
        )
        self._cues = CueNetwork(landmarks_file(folder, self.device.on_gpu), self.device)
        self._place = Placement(
            self.hand_model, at_landmarks, config.hand_length, self._reconstruct.calibration
        )
        plausible = PlausibleHand(self.hand_model)
        observer = Observer(
            self._cues,
            SideComparison(self._reconstruct, self._place, plausible),
            config.presence_threshold,
            self.device,
        )
        detector = PalmDetector(folder / 'palm_detector.onnx', config.detection_threshold, self.device)
        self.search = HandSearch(detector, observer, config.search_budget)
        self._tracker = Tracker(observer, config.max_hands)
        self._continuity = Continuity(
            self._tracker, plausible, config.smoothing, config.predict, single_images=not config.search_budget
        )
        self._operator = Operator(config.operator_choice, config.operator_timeout)
        description = self._reconstruct.description
        self.model_name = f'{description["name"]} {description["version"]}'
        self.model_hash = sha256((folder / INDEX).read_bytes()).hexdigest()
        self.timings: dict[str, float] = {}
        self.lost_ids: list[int] = []
        self.degradations: dict[str, float] = {}

    @property
    def rejected(self) -> dict[str, int]:
        """{reason: hands} that were found in the last frame and rejected as implausible."""
        return self._continuity.rejected

    def degrade(self, level: int) -> None:
        """Applies the first `level` steps of load_shedding.degradation_steps; `degradations` names them. A
        lower max_hands ends the surplus tracks, the operator's last (Tracker.limit_hands)."""
        changes: dict[str, Any] = dict(degradation_steps(self.config)[:level])
        config, self.degradations = dataclasses.replace(self.config, **changes), changes
        self._reconstruct.hypotheses, self._reconstruct.iterations = config.hypotheses, config.iterations
        self.search.budget = config.search_budget
        self._tracker.limit_hands(config.max_hands, self._operator.ids)

    def reset(self) -> None:
        """Clears all state. Ids start at 1 again."""
        self._tracker.reset()
        self.search.reset()
        self._operator.reset()
        self.lost_ids = []

    def end_tracks(self) -> None:
        """Ends every track. Hands in the next frame get new ids, and the old ids are in its `lost_ids`.
        The operator's slots stay reserved for operator_timeout."""
        self._tracker.end_tracks()

    def select_operator(self, id: int) -> str:
        """Makes hand `id` the operator's hand of its side; 0 chooses again (Operator.select). Thread-safe."""
        return self._operator.select(id)

    def warm_up(self) -> None:
        """Runs every network once, so that the first frame is not slow, and puts their memory on huge
        pages."""
        blank = np.zeros((240, 320, 3), np.uint8)
        self.search(blank, Camera.default(320, 240), 0.0, [], [], 1)
        # As many hands as there may be: each thread allocates memory of its own.
        self._reconstruct(self._cues(np.zeros((self.config.max_hands, CROP_SIZE, CROP_SIZE, 3), np.uint8)))
        use_huge_pages()
        self.reset()

    def process(self, frame: Frame, rois: Sequence[HandRoi] | None = None) -> list[Hand]:
        """Hands in a Frame. With `rois` only these regions are searched.

        With `mirrored_input` the image is flipped back first. Sides and 3D are then in the real camera's
        frame; `keypoints_px` and `roi` refer to the image as received.
        """
        clock = Stopwatch()
        frame = unmirrored(frame) if self.config.mirrored_input else frame
        height, width = frame.rgb.shape[:2]
        camera, stamp = frame.camera or Camera.default(width, height), frame.stamp_ns * 1e-9
        pairs = self._detect_and_track(frame, camera, stamp, rois, clock)
        hands = self._reconstruct_hands(pairs, frame, camera, stamp, clock)
        self._operator(hands, stamp)
        hands += self._continuity.predict(hands, stamp, camera)
        self.timings, self.lost_ids = clock.laps, self._tracker.take_lost_ids()
        return [_as_received(hand, width) for hand in hands] if self.config.mirrored_input else hands

    def _detect_and_track(
        self,
        frame: Frame,
        camera: Camera,
        stamp: float,
        rois: Sequence[HandRoi] | None,
        clock: Stopwatch,
    ) -> Pairs:
        """Tracks of the visible hands, each with its Observation in this frame."""
        tracker = self._tracker
        tracker.begin(stamp)
        self._continuity.begin(frame.camera)
        followed = tracker.follow(frame.rgb, camera)
        clock.lap('cues')
        known = [observation for _, observation in followed]
        room = tracker.max_hands - len(known)
        if rois is None:
            fresh = self.search(frame.rgb, camera, stamp, known, tracker.lost(), room)
        else:
            fresh = self.search.at_regions(frame.rgb, camera, rois, known, room)
        clock.lap('detect')
        pairs = tracker.update(followed, fresh, stamp)
        clock.lap('track')
        return pairs

    def _reconstruct_hands(
        self, pairs: Pairs, frame: Frame, camera: Camera, stamp: float, clock: Stopwatch
    ) -> list[Hand]:
        """Hands of (Track, Observation) pairs: pose, placement, plausibility, smoothing, mesh."""
        if not pairs:
            return []
        continuity = self._continuity
        output = self._reconstruct(concatenate([observation.cues for _, observation in pairs]))
        clock.lap('reconstruct')
        pairs, output = continuity.finite(pairs, output)
        placed = self._place(output, [observation for _, observation in pairs], frame, camera)
        pairs, placed, output = continuity.admit(pairs, placed, output, stamp)
        placed, delays = continuity.smooth(pairs, placed, output, stamp)
        clock.lap('place')
        observations = [observation for _, observation in pairs]
        hands = skin(self.hand_model, placed, output, observations, frame, camera)
        continuity.finish(pairs, hands, delays)
        clock.lap('skin')
        return hands


class Stopwatch:
    """Seconds since the last lap, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Stores the seconds since the last lap under `name`."""
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def unmirrored(frame: Frame) -> Frame:
    """A mirrored Frame flipped back: image, depth and calibration."""
    camera = frame.camera
    if camera is not None:
        K, distortion = camera.K.copy(), camera.distortion.copy()
        K[0, 2] = camera.width - 1 - K[0, 2]
        # Tangential, thin prism and tilt terms that are odd in x, in OpenCV's order; fisheye has none.
        odd = [k for k in (3, 8, 9, 13) if k < distortion.size and camera.lens != FISHEYE]
        distortion[odd] *= -1
        camera = dataclasses.replace(camera, K=K, distortion=distortion)
    depth = None if frame.depth is None else np.ascontiguousarray(frame.depth[:, ::-1])
    return Frame(np.ascontiguousarray(frame.rgb[:, ::-1]), frame.stamp_ns, camera, depth)


def _as_received(hand: Hand, width: int) -> Hand:
    """A Hand of the flipped-back image with its pixel fields in the image as received."""
    x, y, w, h = hand.roi
    pixels = hand.keypoints_px * [-1, 1] + [width - 1, 0]
    return dataclasses.replace(hand, roi=(width - x - w, y, w, h), keypoints_px=pixels)
