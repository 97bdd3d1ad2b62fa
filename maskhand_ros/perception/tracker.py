"""Which hands are in the picture: detector when there is room for one more, last frame's hands otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import CropCamera
from maskhand_ros.perception.crop import crop_hand, crop_to_camera, nearly_same, roi_from_keypoints
from maskhand_ros.perception.gates import ELSEWHERE, NOT_FINITE, REASONS, TURNED, JumpGate
from maskhand_ros.perception.prediction import Forecast
from maskhand_ros.perception.scale import LearnedLength
from maskhand_ros.perception.smoothing import HandFilter
from maskhand_ros.perception.types import TENTATIVE, TRACKED, HandRoi

ZOOMS = (1.0, 0.5)
"""Of the detector, in turn until a hand is found: as it is, and drawn smaller for hands that fill the
picture."""
CONFIRM_FRAMES = 3
"""Frames in a row that make a tentative hand a tracked one."""
LOOK_FRAMES = 3
"""Frames for which a hand that is not seen is looked for where it was."""
REMEMBER = 1.5
"""Seconds for which a hand that is not seen keeps its id: it may come out from behind another, or back into
the picture."""
_REACH, _SPEED = 1.0, 6.0
"""How far from where it was last seen a hand may come back, in its own sizes: at once, and more a second."""
_GROWTH = 1.7
"""How much larger or smaller it may be then."""
_SIDE_MEMORY, _SIDE_SWITCH, _SETTLED = (0.8, 0.98), 0.7, 10
_SURE = 0.5
"""Confidence from which the length of a hand is learned."""
_SAME_HAND = 0.1
"""Two sets of landmarks are one hand if they differ by less than this share of the hand's square."""


@dataclass
class View:
    """What the landmark network saw in one crop; the crop shows a right hand (left ones mirrored)."""

    side: str
    """'left' or 'right', the side that the crop was made for."""
    crop_camera: CropCamera
    cues: dict
    """Cues of one crop, each with a leading axis of 1."""
    keypoints_px: np.ndarray
    """(21, 2) landmarks in the picture."""
    right_probability: float
    """That the hand is a right one, from this crop alone."""
    side_probability: float = 0.5
    """That `side` is right, over the frames of the track."""
    learned_length: float | None = None
    """Metres from wrist to middle fingertip, once the track knows."""

    @property
    def presence(self):
        """Probability of a hand in the crop; 0 where the network's landmarks are no numbers."""
        finite = all(np.isfinite(self.cues[name]).all() for name in ('landmarks', 'world_landmarks'))
        return float(self.cues['presence'][0, 0]) if finite else 0.0

    @property
    def landmarks(self):
        """(21, 3) in the crop, px / 224 - 0.5."""
        return self.cues['landmarks'][0]

    @property
    def size_px(self):
        return float(np.ptp(self.keypoints_px, axis=0).max())


@dataclass
class Track:
    """One hand over the frames."""

    id: int
    side: str
    right_probability: float
    keypoints_px: np.ndarray
    """Where it was last seen."""
    seen: int = 0
    """Frames in a row."""
    missed: int = 0
    age: int = 0
    """Frames in all."""
    stamp: float = 0.0
    """Seconds, when it was last seen."""
    roi: HandRoi | None = None
    """Where it was last looked for."""
    filter: HandFilter = field(default_factory=HandFilter)
    length: LearnedLength = field(default_factory=LearnedLength)
    jump: JumpGate = field(default_factory=JumpGate)
    forecast: Forecast = field(default_factory=Forecast)

    def look_where(self):
        """The HandRoi to look in. A hand at rest is always seen in the same square: a new one for each frame
        would change what is seen, and that the next one."""
        roi = roi_from_keypoints(self.keypoints_px, self.side)
        if self.roi is None or not nearly_same(self.roi, roi):
            self.roi = roi
        return self.roi

    def update(self, view, stamp):
        """Takes in a new view at `stamp` seconds; the side changes only when the evidence has clearly turned,
        and the longer a hand is known the more of it that takes."""
        memory = _SIDE_MEMORY[self.age > _SETTLED]
        self.right_probability += (1 - memory) * (view.right_probability - self.right_probability)
        self.age += 1
        self.stamp = stamp
        if self.right_probability > _SIDE_SWITCH:
            self.side = 'right'
        elif self.right_probability < 1 - _SIDE_SWITCH:
            self.side = 'left'
        self.keypoints_px, self.seen, self.missed = view.keypoints_px, self.seen + 1, 0


class Tracker:
    """Finds hands and follows them; ids are never used twice."""

    def __init__(
        self,
        detector,
        cue_network,
        max_hands=2,
        presence_threshold=0.5,
        detect_interval=5,
        smoothing='adaptive',
        predict=0.0,
        plausible=None,
    ):
        """`detect_interval`: frames between runs of the detector while some, but fewer than max_hands, are
        followed. `smoothing` 'off' leaves hands as they were measured. `predict`: seconds for which a hand
        that is not seen is given out as PREDICTED. `plausible`: a PlausibleHand."""
        self._smooth, self._predict, self._plausible = smoothing != 'off', predict, plausible
        self._detector, self._cues = detector, cue_network
        self._max_hands, self._threshold, self._interval = max_hands, presence_threshold, detect_interval
        self._next_id = 1
        self.reset()

    def reset(self):
        """Forgets every hand; ids go on."""
        self._tracks, self._since_detection, self._blank_frames = [], self._interval, 0
        self._stamp, self._lost_ids, self.refused = None, [], dict.fromkeys(REASONS, 0)

    def end_tracks(self):
        """Ends every track: what is seen next is another's hand."""
        lost = self._lost_ids + [track.id for track in self._tracks]
        self.reset()
        self._lost_ids = lost

    def take_lost_ids(self):
        """Ids of the tracks that have ended since the last call."""
        lost, self._lost_ids = self._lost_ids, []
        return lost

    def begin(self, stamp):
        """A new frame at `stamp` seconds. Every track ends where the time has gone back, or on by more than
        REMEMBER."""
        if self._stamp is not None and not 0 <= stamp - self._stamp <= REMEMBER:
            self.end_tracks()
        self._stamp, self.refused = stamp, dict.fromkeys(REASONS, 0)

    def follow(self, rgb, camera):
        """Views of the hands of the last frame: [(Track, View)]. One that cannot be seen counts as missed."""
        tracks = [track for track in self._tracks if track.missed < LOOK_FRAMES]
        rois = [track.look_where() for track in tracks]
        looks = [
            (track, view)
            for track, view in zip(tracks, self._look(rgb, camera, rois), strict=True)
            if view.presence >= self._threshold
        ]
        # Where two tracks have run into one hand, it is that one's whose side and place it has.
        looks.sort(key=lambda look: _likeness(*look), reverse=True)
        found = []
        for track, view in looks:
            if not _known(view, [other for _, other in found]):
                found.append((track, view))
        for track in self._tracks:
            if not any(track is other for other, _ in found):
                track.seen, track.missed = 0, track.missed + 1
        return sorted(found, key=lambda look: look[0].id)

    def wants_detection(self, followed):
        """Whether the detector should run on this frame, with `followed` hands in sight."""
        self._since_detection += 1
        missing = any(0 < track.missed <= LOOK_FRAMES for track in self._tracks)
        return followed < self._max_hands and (
            missing or not followed or self._since_detection >= self._interval
        )

    def detect(self, rgb, camera, known):
        """Views of hands that are not among the `known` views, from the whole picture."""
        self._since_detection = 0
        # An empty scene is not worth the second look in every frame.
        zooms = ZOOMS if not known and self._blank_frames % self._interval == 0 else ZOOMS[:1]
        views = []
        for zoom in zooms:
            rois = [roi for roi in self._detector(rgb, zoom) if not any(_covers(view, roi) for view in known)]
            views = self.look_at(rgb, camera, rois, known)
            if views:
                break
        self._blank_frames = 0 if views or known else self._blank_frames + 1
        return views

    def look_at(self, rgb, camera, rois, known=()):
        """Views of the hands at `rois`, best first, each looked at twice: to learn its side and place, then
        in a crop made for them."""
        views = []
        for roi in rois:
            if len(known) + len(views) == self._max_hands:
                break
            (first,) = self._look(rgb, camera, [roi])
            if first.presence < self._threshold:
                continue
            side = roi.side or ('right' if first.right_probability > 0.5 else 'left')
            (view,) = self._look(rgb, camera, [roi_from_keypoints(first.keypoints_px, side)])
            view.right_probability = (first.right_probability + view.right_probability) / 2
            if view.presence >= self._threshold and not _known(view, [*known, *views]):
                views.append(view)
        return views

    def update(self, followed, fresh, stamp):
        """Tracks for this frame's views at `stamp` seconds: [(Track, View)], the followed ones and then one
        for each fresh view.

        A fresh view that can be a hand that was lost goes on with its id.
        """
        pairs = list(followed)
        for view in fresh:
            taken = [track for track, _ in pairs]
            away = [
                (_distance(track, view, stamp), track.id, track)
                for track in self._tracks
                if track.missed and not any(track is other for other in taken)
            ]
            distance, _, track = min(away, default=(np.inf, 0, None))
            if distance > 1:
                track = Track(self._next_id, view.side, view.right_probability, view.keypoints_px)
                self._next_id += 1
                self._tracks.append(track)
            pairs.append((track, view))
        for track, view in pairs:
            track.update(view, stamp)
            right = track.right_probability
            view.side_probability = right if view.side == 'right' else 1 - right
            view.learned_length = track.length.value
        ended = [track for track in self._tracks if track.missed and stamp - track.stamp > REMEMBER]
        self._tracks = [track for track in self._tracks if not any(track is other for other in ended)]
        self._lost_ids += [track.id for track in ended]
        return pairs

    def finite(self, pairs, prediction):
        """The `pairs` (Track, View) and the rows of a HandPrediction that are numbers; the others count as
        refused."""
        good = prediction.finite
        self.refused[NOT_FINITE] += int((~good).sum())
        for (track, _), fine in zip(pairs, good, strict=True):
            track.seen *= fine
        return [pair for pair, fine in zip(pairs, good, strict=True) if fine], prediction.rows(good)

    def admit(self, pairs, placed, prediction, stamp):
        """The `pairs`, PlacedHands and rows of the prediction of what can be a hand at `stamp` seconds. The
        others are counted in `refused`, and their tracks have to be confirmed anew. A track that goes on
        elsewhere is another hand: it gets a new id."""
        admitted, pairs = [], list(pairs)
        for k, (reason, hand) in enumerate(zip(self._plausible(placed), placed, strict=True)):
            track, view = pairs[k]
            jump = None if reason else track.jump(hand, stamp)
            if jump == ELSEWHERE:
                track = self._another(track, view, stamp)
                pairs[k] = track, view
            elif jump == TURNED:
                track.filter = HandFilter()
            elif jump:
                reason = jump
            if reason:
                self.refused[reason] += 1
                track.seen = 0
                continue
            admitted.append(k)
            if hand.measured_length and prediction.confidence[k] > _SURE:
                track.length.add(hand.measured_length)
        pairs, placed = ([part[k] for k in admitted] for part in (pairs, placed))
        return pairs, placed, prediction.rows(admitted)

    def _another(self, track, view, stamp):
        """A new Track in the place of one that has run on into another hand."""
        new = Track(self._next_id, view.side, view.right_probability, view.keypoints_px)
        self._next_id += 1
        new.update(view, stamp)
        self._tracks[[other is track for other in self._tracks].index(True)] = new
        self._lost_ids.append(track.id)
        return new

    def predict(self, hands, stamp, camera):
        """PREDICTED Hands at `stamp` seconds in the place of those that were TRACKED and are not among
        `hands`."""
        given = {hand.id for hand in hands}
        away = [track for track in self._tracks if track.id not in given]
        found = (track.forecast.at(stamp, camera, self._predict) for track in away)
        return [hand for hand in found if hand is not None]

    def smooth(self, pairs, placed, prediction, stamp):
        """PlacedHands smoothed along their tracks, at `stamp` seconds, in the order of `pairs` (Track, View),
        and the delays in seconds that this puts on them."""
        if not placed or not self._smooth:
            return placed, [0.0] * len(placed)
        deviations = np.asarray(prediction.keypoint_stddev)[..., 0]
        steps = [
            track.filter(hand, stamp, stddev)
            for (track, _), hand, stddev in zip(pairs, placed, deviations, strict=True)
        ]
        hands, delays = zip(*steps, strict=True)
        return list(hands), list(delays)

    def finish(self, pairs, hands, delays):
        """Fills id, state and delay of `hands`, in the order of `pairs` (Track, View)."""
        for (track, _), hand, delay in zip(pairs, hands, delays, strict=True):
            hand.id, hand.filter_delay = track.id, delay
            hand.state = TRACKED if track.seen >= CONFIRM_FRAMES else TENTATIVE
        for (track, _), hand in zip(pairs, hands, strict=True):
            track.forecast.see(hand, track.stamp)

    def _look(self, rgb, camera, rois):
        """A View of each HandRoi; one whose side is open is looked at unmirrored."""
        if not rois:
            return []
        mirrors = [roi.side == 'left' for roi in rois]
        looks = [crop_hand(rgb, camera, roi, mirror) for roi, mirror in zip(rois, mirrors, strict=True)]
        cues = self._cues(np.stack([crop for crop, _ in looks]))
        views = []
        for k, (mirror, (_, crop_camera)) in enumerate(zip(mirrors, looks, strict=True)):
            one = {name: values[k : k + 1] for name, values in cues.items()}
            right = float(one['handedness'][0, 0])
            views.append(
                View(
                    'left' if mirror else 'right',
                    crop_camera,
                    one,
                    crop_to_camera(one['landmarks'][0], crop_camera, camera, mirror),
                    1 - right if mirror else right,
                )
            )
        return views


def _likeness(track, view):
    """How well a View fits the Track that it was looked for with: the probability of its side, less how far
    it has moved in hand sizes."""
    right = view.right_probability
    moved = np.linalg.norm(track.keypoints_px - view.keypoints_px, axis=1).mean() / max(view.size_px, 1.0)
    return (right if track.side == 'right' else 1 - right) - moved


def _distance(track, view, stamp):
    """How far a View is from a Track that was lost, over what it can have moved by `stamp`; infinite if it
    cannot be that hand."""
    size = max(float(np.ptp(track.keypoints_px, axis=0).max()), 1.0)
    growth = view.size_px / size
    if view.side != track.side or not 1 / _GROWTH < growth < _GROWTH:
        return np.inf
    moved = np.linalg.norm(track.keypoints_px.mean(0) - view.keypoints_px.mean(0)) / size
    return moved / (_REACH + _SPEED * (stamp - track.stamp))


def _known(view, others):
    """Whether `view` shows the hand of one of the `others`."""
    return any(_near(other.keypoints_px, view) for other in others)


def _near(keypoints_px, view):
    size = 2 * max(view.size_px, 1.0)
    return np.linalg.norm(keypoints_px - view.keypoints_px, axis=1).mean() < _SAME_HAND * size


def _covers(view, roi):
    """Whether a detection lies on the hand of `view`: not worth a look."""
    own = roi_from_keypoints(view.keypoints_px, view.side)
    return np.linalg.norm(own.center_px - roi.center_px) < 0.25 * min(own.size_px, roi.size_px)
