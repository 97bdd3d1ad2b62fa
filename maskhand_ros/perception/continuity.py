"""Continuity of hands in 3D from frame to frame: implausible hands are rejected, the others smoothed, and
hands that are not seen predicted."""

from __future__ import annotations

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.gates import ELSEWHERE, NOT_FINITE, REASONS, TURNED, PlausibleHand
from maskhand_ros.perception.reconstructor import HandPrediction
from maskhand_ros.perception.smoothing import HandFilter
from maskhand_ros.perception.tracker import Pairs, Tracker
from maskhand_ros.perception.types import TENTATIVE, TRACKED, Hand, PlacedHand

CONFIRM_FRAMES = 3
"""Frames in a row that make a tentative hand a tracked one."""
_SAME_CAMERA = 0.02
"""By how much a camera's matrix (relative) and its distortion (absolute) may change from frame to frame."""
_SURE = 0.5
"""Confidence from which the length of a hand is learned."""


class Continuity:
    """Keeps the placed hands of a Tracker's tracks continuous. `rejected` {reason: hands} is of the last
    frame."""

    def __init__(
        self, tracker: Tracker, plausible: PlausibleHand, smoothing: str = 'adaptive', predict: float = 0.0
    ) -> None:
        """`plausible`: a PlausibleHand. `smoothing` 'off' leaves hands as they were measured. `predict`:
        seconds for which a hand that is not seen is given out as PREDICTED."""
        self._tracker, self._plausible = tracker, plausible
        self._smooth, self._predict = smoothing != 'off', predict
        self._camera: Camera | None = None
        self.rejected = dict.fromkeys(REASONS, 0)

    def begin(self, camera: Camera | None) -> None:
        """Starts a frame of a Camera (None: unknown). Another camera gives hands other positions, so the old
        ones are forgotten."""
        if not _alike(camera, self._camera):
            for track in self._tracker.tracks:
                track.forget_positions()
        self._camera, self.rejected = camera, dict.fromkeys(REASONS, 0)

    def finite(self, pairs: Pairs, output: HandPrediction) -> tuple[Pairs, HandPrediction]:
        """The `pairs` and the rows of the network's output that are finite; the others count as rejected."""
        good = output.finite
        if good.all():
            return pairs, output
        self.rejected[NOT_FINITE] += int((~good).sum())
        for (track, _), fine in zip(pairs, good, strict=True):
            track.hit_streak *= fine
        return [pair for pair, fine in zip(pairs, good, strict=True) if fine], output.rows(good)

    def admit(
        self, pairs: Pairs, placed: list[PlacedHand], output: HandPrediction, stamp: float
    ) -> tuple[Pairs, list[PlacedHand], HandPrediction]:
        """The `pairs`, PlacedHands and rows of the prediction of what can be a hand at `stamp` seconds. The
        others are counted in `rejected`, and their tracks have to be confirmed anew. A track that goes on
        elsewhere is another hand: it gets a new id."""
        admitted, pairs = [], list(pairs)
        for k, (reason, hand) in enumerate(zip(self._plausible(placed), placed, strict=True)):
            track, view = pairs[k]
            jump = None if reason else track.jump(hand, stamp)
            if jump == ELSEWHERE:
                track = self._tracker.replace(track, view, stamp)
                pairs[k] = track, view
            elif jump == TURNED:
                track.filter = HandFilter()
            elif jump:
                reason = jump
            if reason:
                self.rejected[reason] += 1
                track.hit_streak = 0
                continue
            admitted.append(k)
            if hand.measured_length and output.confidence[k] > _SURE:
                track.length.add(hand.measured_length)
        if len(admitted) < len(pairs):
            pairs, placed = [pairs[k] for k in admitted], [placed[k] for k in admitted]
            output = output.rows(admitted)
        return pairs, placed, output

    def predict(self, hands: list[Hand], stamp: float, camera: Camera) -> list[Hand]:
        """PREDICTED Hands at `stamp` seconds in the place of those that were TRACKED and are not among
        `hands`."""
        given = {hand.id for hand in hands}
        away = [track for track in self._tracker.tracks if track.id not in given]
        found = (track.motion.predict(stamp, camera, self._predict) for track in away)
        return [hand for hand in found if hand is not None]

    def smooth(
        self, pairs: Pairs, placed: list[PlacedHand], output: HandPrediction, stamp: float
    ) -> tuple[list[PlacedHand], list[float]]:
        """PlacedHands smoothed along their tracks, at `stamp` seconds, in the order of `pairs` (Track,
        Observation), and the delays in seconds that this puts on them."""
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
        """Fills id, state and delay of `hands`, in the order of `pairs` (Track, Observation)."""
        for (track, _), hand, delay in zip(pairs, hands, delays, strict=True):
            hand.id, hand.filter_delay = track.id, delay
            hand.state = TRACKED if track.hit_streak >= CONFIRM_FRAMES else TENTATIVE
        for (track, _), hand in zip(pairs, hands, strict=True):
            track.motion.update(hand, track.stamp)


def _alike(one: Camera | None, other: Camera | None) -> bool:
    """Whether two Cameras (or None) put a hand in the same place, but for what autofocus changes."""
    if one is None or other is None:
        return one is other
    return one == other or (
        one.lens == other.lens
        and one.distortion.shape == other.distortion.shape
        and np.allclose(one.K, other.K, rtol=_SAME_CAMERA)
        and np.allclose(one.distortion, other.distortion, rtol=0, atol=_SAME_CAMERA)
    )
