"""Temporal consistency of hands in 3D: implausible hands are rejected, the others smoothed, and lost hands
predicted."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.association import are_parts
from maskhand_ros.perception.gates import (
    NEW_ORIENTATION,
    NEW_POSITION,
    NOT_FINITE,
    PART,
    REASONS,
    PlausibleHand,
)
from maskhand_ros.perception.reconstructor import HandPrediction
from maskhand_ros.perception.smoothing import HandFilter
from maskhand_ros.perception.tracker import Pairs, Tracker
from maskhand_ros.perception.types import TENTATIVE, TRACKED, Hand, PlacedHand

CONFIRM_FRAMES = 3
"""Consecutive frames with an observation after which a TENTATIVE hand is TRACKED."""
_SAME_CAMERA = 0.02
"""Tolerance within which two calibrations are the same: relative for K, absolute for the distortion."""
_MIN_CONFIDENCE = 0.5
"""Minimum confidence of a hand whose length is learned."""


class Continuity:
    """Gates, filters and motion models of a Tracker's tracks. `rejected` {reason: hands} is of the last
    frame."""

    def __init__(
        self,
        tracker: Tracker,
        plausible: PlausibleHand,
        smoothing: str = 'adaptive',
        predict: float = 0.0,
        single_images: bool = False,
    ) -> None:
        """`smoothing`: 'adaptive' or 'off'. `predict`: seconds for which a lost hand is published as
        PREDICTED. `single_images`: hands that are parts of others (association.are_parts) are rejected too;
        in a video they may be hands that others hide."""
        self._tracker, self._plausible, self._single_images = tracker, plausible, single_images
        self._smooth, self._predict = smoothing != 'off', predict
        self._camera: Camera | None = None
        self.rejected = dict.fromkeys(REASONS, 0)

    def begin(self, camera: Camera | None) -> None:
        """Starts a frame with its Camera (None: uncalibrated). A changed calibration moves all hands, so
        it clears the 3D state of the tracks."""
        if not _same_calibration(camera, self._camera):
            for track in self._tracker.tracks:
                track.forget_positions()
        self._camera, self.rejected = camera, dict.fromkeys(REASONS, 0)

    def finite(self, pairs: Pairs, output: HandPrediction) -> tuple[Pairs, HandPrediction]:
        """The `pairs` whose network output is finite, with their rows of it; the others count as rejected."""
        good = output.finite
        if good.all():
            return pairs, output
        self.rejected[NOT_FINITE] += int((~good).sum())
        for (track, _), finite in zip(pairs, good, strict=True):
            if not finite:
                track.hit_streak = 0
        return [pair for pair, finite in zip(pairs, good, strict=True) if finite], output.rows(good)

    def admit(
        self, pairs: Pairs, placed: list[PlacedHand], output: HandPrediction, stamp: float
    ) -> tuple[Pairs, list[PlacedHand], HandPrediction]:
        """The plausible ones of `pairs`, PlacedHands and rows of the network output, at `stamp` seconds.
        The others count as rejected, and their tracks are TENTATIVE again. A track that jumped
        (gates.NEW_POSITION) is another hand and gets a new id."""
        admitted, pairs, reasons = [], list(pairs), self._plausible(placed)
        if self._single_images:
            confidences = [
                0.0 if reason else hand.confidence for reason, hand in zip(reasons, placed, strict=True)
            ]
            parts = are_parts([observation for _, observation in pairs], confidences)
            reasons = [
                reason or (PART if part else None) for reason, part in zip(reasons, parts, strict=True)
            ]
        for k, (reason, hand) in enumerate(zip(reasons, placed, strict=True)):
            track, observation = pairs[k]
            jump = None if reason else track.jump(hand, stamp)
            if jump == NEW_POSITION:
                track = self._tracker.replace(track, observation, stamp)
                pairs[k] = track, observation
            elif jump == NEW_ORIENTATION:
                track.filter = HandFilter()
            elif jump:
                reason = jump
            if reason:
                self.rejected[reason] += 1
                track.hit_streak = 0
                continue
            admitted.append(k)
            if hand.measured_length and hand.confidence > _MIN_CONFIDENCE:
                track.length.add(hand.measured_length)
        if len(admitted) < len(pairs):
            pairs, placed = [pairs[k] for k in admitted], [placed[k] for k in admitted]
            output = output.rows(admitted)
        return pairs, placed, output

    def predict(self, hands: list[Hand], stamp: float, camera: Camera) -> list[Hand]:
        """PREDICTED Hands at `stamp` seconds for the TRACKED hands of earlier frames that are not in
        `hands`."""
        visible = {hand.id for hand in hands}
        lost = [track for track in self._tracker.tracks if track.id not in visible]
        predicted = (track.motion.predict(stamp, camera, self._predict) for track in lost)
        return [hand for hand in predicted if hand is not None]

    def smooth(
        self, pairs: Pairs, placed: list[PlacedHand], output: HandPrediction, stamp: float
    ) -> tuple[list[PlacedHand], list[float]]:
        """PlacedHands smoothed by the filters of their tracks at `stamp` seconds, in the order of `pairs`,
        and the delays that this adds, seconds."""
        if not placed or not self._smooth:
            return placed, [0.0] * len(placed)
        deviations = np.asarray(output.keypoint_stddev)[..., 0]
        steps = [
            track.filter(hand, stamp, stddev)
            for (track, _), hand, stddev in zip(pairs, placed, deviations, strict=True)
        ]
        hands, delays = zip(*steps, strict=True)
        return list(hands), list(delays)

    def finish(self, pairs: Pairs, hands: list[Hand], delays: list[float]) -> None:
        """Fills id, state and delay of `hands`, in the order of `pairs`, and updates the motion models."""
        for (track, _), hand, delay in zip(pairs, hands, delays, strict=True):
            hand.id, hand.filter_delay = track.id, delay
            hand.state = TRACKED if track.hit_streak >= CONFIRM_FRAMES else TENTATIVE
            track.motion.update(hand, track.stamp)


def _same_calibration(one: Camera | None, other: Camera | None) -> bool:
    """Whether two Cameras (or None) are the same within _SAME_CAMERA, a tolerance for autofocus."""
    if one is None or other is None:
        return one is other
    return one == other or (
        one.lens == other.lens
        and one.distortion.shape == other.distortion.shape
        and np.allclose(one.K, other.K, rtol=_SAME_CAMERA)
        and np.allclose(one.distortion, other.distortion, rtol=0, atol=_SAME_CAMERA)
    )
