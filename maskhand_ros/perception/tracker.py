"""Which hands are in the picture: detector when there is room for one more, last frame's hands otherwise."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.association import covers, distance, is_known, likeness
from maskhand_ros.perception.crop import crop_hand, crop_to_camera, roi_from_keypoints
from maskhand_ros.perception.cues import CueNetwork
from maskhand_ros.perception.detector import PalmDetector
from maskhand_ros.perception.side import SURE, SideComparison
from maskhand_ros.perception.track import Track, View
from maskhand_ros.perception.types import Frame, HandRoi
from maskhand_ros.skeleton import LEFT, RIGHT

ZOOMS = (1.0, 0.5)
"""Of the detector, in turn until a hand is found: as it is, and drawn smaller for hands that fill the
picture."""
LOOK_FRAMES = 3
"""Frames for which a hand that is not seen is looked for where it was."""
REMEMBER = 1.5
"""Seconds for which a hand that is not seen keeps its id: it may come out from behind another, or back into
the picture."""


@dataclass
class Glance:
    """What the landmark network saw of a Frame and its Camera at `rois` (HandRoi[]), in `seconds`."""

    frame: Frame
    camera: Camera
    rois: list
    views: list
    seconds: float


class Tracker:
    """Finds hands and follows them in the picture; ids are never used twice until `reset`. `tracks`: the
    hands that are followed or may come back."""

    def __init__(
        self,
        detector: PalmDetector,
        cue_network: CueNetwork,
        compare_sides: SideComparison,
        max_hands: int = 2,
        presence_threshold: float = 0.5,
        detect_interval: int = 5,
    ) -> None:
        """`detect_interval`: frames between runs of the detector while some, but fewer than max_hands, are
        followed."""
        self._detector, self._cues, self._compare_sides = detector, cue_network, compare_sides
        self.max_hands, self._threshold, self.detect_interval = max_hands, presence_threshold, detect_interval
        self._warned = False
        self.reset()

    def allow(self, max_hands, keep=()):
        """Follows at most so many hands from now on. Of more, those in sight stay before others, then those
        whose ids are in `keep`, then the oldest; the rest are lost."""
        if max_hands < self.max_hands:
            order = sorted(self.tracks, key=lambda track: (track.missed > 0, track.id not in keep, track.id))
            self.tracks, surplus = order[:max_hands], order[max_hands:]
            self._lost_ids += [track.id for track in surplus]
        self.max_hands = max_hands

    def reset(self):
        """Forgets every hand, and begins with id 1 again."""
        self._next_id = 1
        self.tracks, self._since_detection, self._blank_frames = [], self.detect_interval, 0
        self._stamp, self._lost_ids = None, []

    def end_tracks(self):
        """Ends every track: what is seen next is another's hand. Ids go on."""
        lost, next_id = self._lost_ids + [track.id for track in self.tracks], self._next_id
        self.reset()
        self._lost_ids, self._next_id = lost, next_id

    def take_lost_ids(self):
        """Ids of the tracks that have ended since the last call."""
        lost, self._lost_ids = self._lost_ids, []
        return lost

    def begin(self, stamp):
        """A new frame at `stamp` seconds. Every track ends where the time has gone back, or on by more than
        REMEMBER."""
        if stamp == self._stamp and not self._warned:
            self._warned = True
            warnings.warn(
                f'two frames in a row have the same time ({stamp:.6f} s), so motion and smoothing are wrong. '
                'Fix: give each frame of a video its stamp_ns, round(1e9 * seconds); before a picture that '
                'has nothing to do with the last, call reset()',
                stacklevel=4,  # the caller of HandPipeline.process
            )
        if self._stamp is not None and not 0 <= stamp - self._stamp <= REMEMBER:
            self.end_tracks()
        self._stamp = stamp

    def glance(self, frame, camera):
        """A Glance at the next Frame where the hands were last, for its `follow`. This alone may run in a
        thread of its own, beside what is still to be done with the picture before."""
        begin = time.perf_counter()
        rois = [track.look_where() for track in self._looked_for()]
        views = self._look(frame.rgb, camera, rois)
        return Glance(frame, camera, rois, views, time.perf_counter() - begin)

    def follow(self, rgb, camera, glance=None):
        """Views of the hands of the last frame: [(Track, View)]. One that cannot be seen counts as missed.

        A Glance at this picture saves the look if it went where it has to go: what was done since may have
        ended or replaced a track."""
        tracks = self._looked_for()
        rois = [track.look_where() for track in tracks]
        fits = glance is not None and list(map(id, rois)) == list(map(id, glance.rois))
        views = glance.views if fits else self._look(rgb, camera, rois)
        looks = [
            (track, view)
            for track, view in zip(tracks, views, strict=True)
            if view.presence >= self._threshold
        ]
        # Where two tracks have run into one hand, it is that one's whose side and place it has.
        looks.sort(key=lambda look: likeness(*look), reverse=True)
        found = []
        for track, view in looks:
            if not is_known(view, [other for _, other in found]):
                found.append((track, view))
        for track in self.tracks:
            if not any(track is other for other, _ in found):
                track.seen, track.missed = 0, track.missed + 1
        return sorted(found, key=lambda look: look[0].id)

    def wants_detection(self, followed):
        """Whether the detector should run on this frame, with `followed` hands in sight."""
        self._since_detection += 1
        missing = any(0 < track.missed <= LOOK_FRAMES for track in self.tracks)
        return followed < self.max_hands and (
            missing or not followed or self._since_detection >= self.detect_interval
        )

    def detect(self, rgb, camera, known):
        """Views of hands that are not among the `known` views, from the whole picture."""
        self._since_detection = 0
        # An empty scene is not worth the second look in every frame.
        zooms = ZOOMS if not known and self._blank_frames % self.detect_interval == 0 else ZOOMS[:1]
        views = []
        for zoom in zooms:
            rois = [roi for roi in self._detector(rgb, zoom) if not any(covers(view, roi) for view in known)]
            views = self.look_at(rgb, camera, rois, known)
            if views:
                break
        self._blank_frames = 0 if views or known else self._blank_frames + 1
        return views

    def look_at(
        self, rgb: np.ndarray, camera: Camera, rois: Iterable[HandRoi], known: Sequence[View] = ()
    ) -> list[View]:
        """Views of the hands at `rois`, best first, each looked at twice: to learn its side and place, then
        in a crop made for them. The side that a HandRoi has is kept; one that is open and stays in doubt
        takes a third look and a comparison."""
        views: list[View] = []
        for roi in rois:
            if len(known) + len(views) == self.max_hands:
                break
            (first,) = self._look(rgb, camera, [roi])
            if first.presence < self._threshold:
                continue
            side = roi.side or (RIGHT if first.right_probability > 0.5 else LEFT)
            (view,) = self._look(rgb, camera, [roi_from_keypoints(first.keypoints_px, side)])
            view.right_probability = (first.right_probability + view.right_probability) / 2
            if not self._is_new_hand(view, [*known, *views]):
                continue
            if roi.side is None and view.probability_of(view.side) < SURE:
                view = self._on_likelier_side(rgb, camera, first, view, [*known, *views])
            views.append(view)
        return views

    def _on_likelier_side(
        self, rgb: np.ndarray, camera: Camera, first: View, view: View, others: list[View]
    ) -> View:
        """The View of a hand whose side is in doubt, or one of it on the other side if the hand is likelier
        to be that; `first` was the look that told the hand's place."""
        opposite = LEFT if view.side == RIGHT else RIGHT
        (other,) = self._look(rgb, camera, [roi_from_keypoints(first.keypoints_px, opposite)])
        if not self._is_new_hand(other, others):
            return view
        left, right = (other, view) if opposite == LEFT else (view, other)
        probability = self._compare_sides(left, right, view.right_probability, rgb, camera)
        likelier = right if probability > 0.5 else left
        likelier.right_probability = probability
        return likelier

    def _is_new_hand(self, view: View, others: list[View]) -> bool:
        return view.presence >= self._threshold and not is_known(view, others)

    def update(
        self, followed: list[tuple[Track, View]], fresh: list[View], stamp: float
    ) -> list[tuple[Track, View]]:
        """Tracks for this frame's views at `stamp` seconds: the followed ones and then one for each fresh
        view.

        A fresh view that can be a hand that was lost goes on with its id.
        """
        pairs = list(followed)
        for view in fresh:
            taken = [track for track, _ in pairs]
            away = [
                (distance(track, view, stamp), track.id, track)
                for track in self.tracks
                if track.missed and not any(track is other for other in taken)
            ]
            apart, _, track = min(away, default=(np.inf, 0, None))
            if track is None or apart > 1:
                track = self._new_track(view)
                self.tracks.append(track)
            pairs.append((track, view))
        for track, view in pairs:
            track.update(view, stamp)
            # A track keeps its side until the evidence has clearly turned, and the frame in which it turns
            # was reconstructed on the old one: 0.5 says that the side is undecided.
            view.side_probability = max(0.5, track.probability_of(view.side))
            view.learned_length = track.length.value
        ended = [track for track in self.tracks if track.missed and stamp - track.stamp > REMEMBER]
        self.tracks = [track for track in self.tracks if not any(track is other for other in ended)]
        self._lost_ids += [track.id for track in ended]
        return pairs

    def replace(self, track, view, stamp):
        """A new Track in the place of one that has run on into another hand."""
        new = self._new_track(view)
        new.update(view, stamp)
        self.tracks[[other is track for other in self.tracks].index(True)] = new
        self._lost_ids.append(track.id)
        return new

    def _looked_for(self):
        return [track for track in self.tracks if track.missed < LOOK_FRAMES]

    def _new_track(self, view):
        track = Track(self._next_id, view.side, view.right_probability, view.keypoints_px)
        self._next_id += 1
        return track

    def _look(self, rgb, camera, rois):
        """A View of each HandRoi; one whose side is open is looked at unmirrored."""
        if not rois:
            return []
        mirrors = [roi.side == LEFT for roi in rois]
        looks = [crop_hand(rgb, camera, roi, mirror) for roi, mirror in zip(rois, mirrors, strict=True)]
        cues = self._cues(np.stack([crop for crop, _ in looks]))
        views = []
        for k, (mirror, (_, crop_camera)) in enumerate(zip(mirrors, looks, strict=True)):
            one = {name: values[k : k + 1] for name, values in cues.items()}
            right = float(one['handedness'][0, 0])
            views.append(
                View(
                    LEFT if mirror else RIGHT,
                    crop_camera,
                    one,
                    crop_to_camera(one['landmarks'][0], crop_camera, camera, mirror),
                    1 - right if mirror else right,
                )
            )
        return views
