"""Which hands are in the picture: detector when there is room for one more, last frame's hands otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from maskhand_ros.geometry import CropCamera
from maskhand_ros.perception.crop import crop_hand, crop_to_camera, roi_from_keypoints
from maskhand_ros.perception.types import LEFT, RIGHT, TENTATIVE, TRACKED

ZOOMS = (1.0, 0.5)
"""Of the detector, in turn until a hand is found: as it is, and drawn smaller for hands that fill the
picture."""
CONFIRM_FRAMES = 3
"""Frames in a row that make a tentative hand a tracked one."""
KEEP_FRAMES = 3
"""Frames without a hand after which its id is given up. In between it is looked for and not reported."""
_SIDE_MEMORY, _SIDE_SWITCH = 0.8, 0.7
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

    @property
    def presence(self):
        return float(self.cues['presence'][0, 0])

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
    operator: bool = field(default=False)

    def update(self, view):
        """Takes in a new view; the side changes only when the evidence has clearly turned."""
        self.right_probability += (1 - _SIDE_MEMORY) * (view.right_probability - self.right_probability)
        if self.right_probability > _SIDE_SWITCH:
            self.side = 'right'
        elif self.right_probability < 1 - _SIDE_SWITCH:
            self.side = 'left'
        self.keypoints_px, self.seen, self.missed = view.keypoints_px, self.seen + 1, 0


class Tracker:
    """Finds hands and follows them; ids are never used twice."""

    def __init__(self, detector, cue_network, max_hands=2, presence_threshold=0.5, detect_interval=5):
        """`detect_interval`: frames between runs of the detector while some, but fewer than max_hands, are
        followed."""
        self._detector, self._cues = detector, cue_network
        self._max_hands, self._threshold, self._interval = max_hands, presence_threshold, detect_interval
        self._next_id = 1
        self.reset()

    def reset(self):
        """Forgets every hand; ids go on."""
        self._tracks, self._since_detection, self._blank_frames = [], self._interval, 0
        self.lost_ids = []

    def follow(self, rgb, camera):
        """Views of the hands of the last frame: [(Track, View)]. One that cannot be seen counts as missed."""
        self.lost_ids = []
        rois = [roi_from_keypoints(track.keypoints_px, track.side) for track in self._tracks]
        found = []
        for track, view in zip(self._tracks, self._look(rgb, camera, rois), strict=True):
            # The older track keeps a hand that two have run into.
            if view.presence >= self._threshold and not _known(view, [other for _, other in found]):
                found.append((track, view))
            else:
                track.seen, track.missed = 0, track.missed + 1
        return found

    def wants_detection(self, followed):
        """Whether the detector should run on this frame, with `followed` hands in sight."""
        self._since_detection += 1
        missing = any(track.missed for track in self._tracks)
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

    def update(self, followed, fresh):
        """Tracks for this frame's views: [(Track, View)], the followed ones and then one for each fresh view.

        A fresh view where a hand was just lost goes on with its id. Tracks that ended are in `lost_ids`.
        """
        pairs = list(followed)
        for view in fresh:
            gone = [track for track in self._tracks if track.missed and _near(track.keypoints_px, view)]
            if gone:
                track = gone[0]
            else:
                track = Track(self._next_id, view.side, view.right_probability, view.keypoints_px)
                self._next_id += 1
                self._tracks.append(track)
            pairs.append((track, view))
        for track, view in pairs:
            track.update(view)
            right = track.right_probability
            view.side_probability = right if view.side == 'right' else 1 - right
        ended = [track for track in self._tracks if track.missed >= KEEP_FRAMES]
        self._tracks = [track for track in self._tracks if track.missed < KEEP_FRAMES]
        self.lost_ids = [track.id for track in ended]
        return pairs

    def finish(self, pairs, hands):
        """Fills id, state and operator of `hands`, in the order of `pairs` (Track, View)."""
        for (track, _), hand in zip(pairs, hands, strict=True):
            hand.id = track.id
            hand.state = TRACKED if track.seen >= CONFIRM_FRAMES else TENTATIVE
        for side in (LEFT, RIGHT):
            # The operator's hand stays the operator's; else it is the largest tracked hand of its side.
            rank = {
                hand.id: (track.operator, view.size_px)
                for (track, view), hand in zip(pairs, hands, strict=True)
                if hand.side == side and hand.state == TRACKED
            }
            chosen = max(rank, key=rank.get, default=None)
            for (track, _), hand in zip(pairs, hands, strict=True):
                if hand.side == side:
                    hand.operator = track.operator = hand.id == chosen

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
