"""Picture in, hands out: the steps in their order."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from maskhand_ros.errors import ModelError
from maskhand_ros.geometry import CROP_SIZE, Camera
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.lens import FISHEYE
from maskhand_ros.perception.budget import reduced, savings
from maskhand_ros.perception.config import PipelineConfig
from maskhand_ros.perception.continuity import Continuity
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.detector import PalmDetector
from maskhand_ros.perception.device import Device, together
from maskhand_ros.perception.gates import PlausibleHand
from maskhand_ros.perception.operator import Operator
from maskhand_ros.perception.placement import Placement
from maskhand_ros.perception.reconstructor import Reconstructor
from maskhand_ros.perception.side import SideComparison
from maskhand_ros.perception.skinning import skin
from maskhand_ros.perception.tracker import Tracker
from maskhand_ros.perception.types import Frame
from maskhand_ros.perception.weights import INDEX, REQUIRED_FILES, find_weights


@dataclass
class Look:
    """A Frame (turned back if it came mirrored) and what was found in it at `stamp` seconds: `pairs` [(Track,
    View)]."""

    frame: Frame
    camera: Camera
    stamp: float
    pairs: list
    timings: dict


class HandPipeline:
    """Turns frames into hands: `process`, or in two halves `look` and `describe`, with `glance` beside the
    second half of the frame before. `timings` {stage: s} and `lost_ids` speak of the last frame that was
    described; `saved` is what it goes without (`save`), {field of PipelineConfig: value}."""

    def __init__(self, config=None):
        """Loads and checks the models; ModelError says what is missing and how to get it."""
        self.config = config = config or PipelineConfig()
        self.device = Device(config.device, config.threads, config.allow_cpu_fallback, config.max_hands)
        folder = find_weights(config.weights_dir)
        try:
            self.hand_model = HandModel.load(config.hand_model or None, config.keypoint_set)
            at_landmarks = HandModel.load(config.hand_model or None, 'mediapipe')
        except (OSError, ValueError) as error:
            raise ModelError(
                f'the hand model cannot be loaded: {error}', 'leave hand_model empty for the open hand'
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
        self._cues = CueNetwork(folder / 'landmarks.onnx', self.device)
        self._place = Placement(self.hand_model, at_landmarks, config.hand_length)
        plausible = PlausibleHand(self.hand_model)
        self._tracker = Tracker(
            PalmDetector(folder / 'palm_detector.onnx', config.detection_threshold, self.device),
            self._cues,
            SideComparison(self._reconstruct, self._place, plausible),
            config.max_hands,
            config.presence_threshold,
            config.detect_interval,
        )
        self._continuity = Continuity(self._tracker, plausible, config.smoothing, config.predict)
        self._operator = Operator(config.operator_choice, config.operator_timeout)
        description = self._reconstruct.description
        self.model_name = f'{description["name"]} {description["version"]}'
        self.model_hash = sha256((folder / INDEX).read_bytes()).hexdigest()
        self.timings, self.lost_ids = {}, []
        self.saved = {}

    @property
    def refused(self):
        """{reason: hands} that were found in the last frame and not given out, as they cannot be."""
        return self._continuity.refused

    def save(self, level):
        """Goes without the first `level` of budget.savings, for the sake of time; `saved` names them. Where
        hands are among them, the operator's stay, then those that were followed longest."""
        config, self.saved = reduced(self.config, level), dict(savings(self.config)[:level])
        self._reconstruct.hypotheses, self._reconstruct.iterations = config.hypotheses, config.iterations
        self._tracker.detect_interval = config.detect_interval
        self._tracker.allow(config.max_hands, self._operator.ids)

    def reset(self):
        """Forgets all: the next frame is the first, and its first hand has id 1."""
        self._tracker.reset()
        self._operator.reset()
        self.lost_ids = []

    def end_tracks(self):
        """The next frame has nothing to do with the last: its hands are new ones, with the old ids among its
        `lost_ids`. The operator's places stay taken for operator_timeout."""
        self._tracker.end_tracks()

    def select_operator(self, id):
        """Makes hand `id` the operator's of its side, 0: chooses anew (Operator.select); from any thread."""
        return self._operator.select(id)

    def warm_up(self):
        """Runs every network once, so that the first frame is not slow."""
        blank = np.zeros((240, 320, 3), np.uint8)
        camera = Camera.default(320, 240)
        self._tracker.detect(blank, camera, [])
        self._reconstruct(self._cues(np.zeros((1, CROP_SIZE, CROP_SIZE, 3), np.uint8)))
        self.reset()

    def process(self, frame, rois=None):
        """Hand[] in a Frame. Given `rois` (HandRoi[]), it looks there and nowhere else.

        A mirrored picture (`mirrored_input`) is turned back first: sides and 3D are those of the world, in
        the frame of the camera without its mirror; `keypoints_px` and `roi` are in the picture as received.
        """
        return self.describe(self.look(frame, rois))

    def glance(self, frame):
        """A Glance at the next Frame, for its `look`. May run in another thread once `look` is done with the
        frame before."""
        return self._tracker.glance(*self._turned_back(frame))

    def look(self, frame, rois=None, glance=None):
        """A Look at a Frame: the first half of `process`. With or without its Glance it finds the same."""
        clock, tracker = Stopwatch(), self._tracker
        frame, camera = self._turned_back(frame) if glance is None else (glance.frame, glance.camera)
        stamp = frame.stamp_ns * 1e-9
        tracker.begin(stamp)
        self._continuity.begin(frame.camera)
        followed = tracker.follow(frame.rgb, camera, glance)
        clock.lap('cues')
        if glance is not None:
            clock.laps['cues'] += glance.seconds
        known, fresh = [view for _, view in followed], []
        if rois is not None:
            fresh = tracker.look_at(frame.rgb, camera, rois, known)
        elif tracker.wants_detection(len(known)):
            fresh = tracker.detect(frame.rgb, camera, known)
        clock.lap('detect')
        pairs = tracker.update(followed, fresh, stamp)
        clock.lap('track')
        return Look(frame, camera, stamp, pairs, clock.laps)

    def describe(self, look):
        """The Hand[] of a Look, before there is another: the second half of `process`."""
        clock, continuity = Stopwatch(), self._continuity
        frame, camera, stamp, pairs = look.frame, look.camera, look.stamp, look.pairs
        hands = []
        if pairs:
            prediction = self._reconstruct(together([view.cues for _, view in pairs]))
            clock.lap('reconstruct')
            pairs, prediction = continuity.finite(pairs, prediction)
            placed = self._place(prediction, [view for _, view in pairs], frame, camera)
            pairs, placed, prediction = continuity.admit(pairs, placed, prediction, stamp)
            placed, delays = continuity.smooth(pairs, placed, prediction, stamp)
            clock.lap('place')
            hands = skin(self.hand_model, placed, prediction, [view for _, view in pairs], frame, camera)
            continuity.finish(pairs, hands, delays)
            clock.lap('skin')
        self._operator(hands, stamp)
        hands += continuity.predict(hands, stamp, camera)
        self.timings, self.lost_ids = {**look.timings, **clock.laps}, self._tracker.take_lost_ids()
        width = frame.rgb.shape[1]
        return [_as_received(hand, width) for hand in hands] if self.config.mirrored_input else hands

    def _turned_back(self, frame):
        """The Frame without its mirror, if it has one, and its Camera or a likely one."""
        frame = unmirrored(frame) if self.config.mirrored_input else frame
        height, width = frame.rgb.shape[:2]
        return frame, frame.camera or Camera.default(width, height)


class Stopwatch:
    """Seconds since the last lap, by name."""

    def __init__(self):
        self.laps, self._last = {}, time.perf_counter()

    def lap(self, name):
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def unmirrored(frame):
    """The Frame of a mirror image as the camera would have seen it without the mirror."""
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


def _as_received(hand, width):
    """A Hand found in the picture turned back, with its pixels in the mirrored picture as received."""
    x, y, w, h = hand.roi
    pixels = hand.keypoints_px * [-1, 1] + [width - 1, 0]
    return dataclasses.replace(hand, roi=(width - x - w, y, w, h), keypoints_px=pixels)
