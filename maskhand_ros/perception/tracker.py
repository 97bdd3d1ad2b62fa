"""Tracking of hands in the image, after SORT (Bewley et al. 2016). A tracked hand is found again from a crop
at its last position; new hands come from the search (search.py)."""

from __future__ import annotations

import warnings
from collections.abc import Collection

import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.association import is_known, match_score, relative_distance, touch
from maskhand_ros.perception.crop import nearly_same, roi_from_keypoints
from maskhand_ros.perception.observer import Observer
from maskhand_ros.perception.occlusion import hides, is_visible, painted_over
from maskhand_ros.perception.track import SETTLED_HITS, Observation, Track

SEARCH_FRAMES = 3
"""Maximum frames without an observation in which a track is still searched at its last position. A track
that touches another hand is searched there until it ends."""
MAX_AGE = 1.5
"""Maximum seconds without an observation before a track ends (SORT). Until then the hand may return from
an occlusion or from outside the image with the same id."""
_CENTRED = {'place': 0.1, 'size': 0.15, 'roll': 0.35}
"""Tolerances within which a hand is in the middle of its crop (crop.nearly_same)."""

Pairs = list[tuple[Track, Observation]]


class Tracker:
    """Tracks hands in the image. Ids are not reused until `reset`.

    `tracks`: visible hands, and hands lost for less than MAX_AGE.
    """

    def __init__(self, observer: Observer, max_hands: int = 2) -> None:
        self._observer, self.max_hands = observer, max_hands
        self._warned = False
        self.tracks: list[Track] = []
        self.reset()

    def limit_hands(self, max_hands: int, keep: Collection[int] = ()) -> None:
        """Sets the maximum number of hands. Surplus tracks end; kept are, in this order, visible tracks,
        tracks with an id in `keep`, and older tracks."""
        if max_hands < self.max_hands:
            order = sorted(
                self.tracks,
                key=lambda track: (track.time_since_update > 0, track.id not in keep, track.id),
            )
            self.tracks, surplus = order[:max_hands], order[max_hands:]
            self._lost_ids += [track.id for track in surplus]
        self.max_hands = max_hands

    def reset(self) -> None:
        """Drops every track. Ids start at 1 again."""
        self._next_id = 1
        self.tracks = []
        self._stamp: float | None = None
        self._lost_ids: list[int] = []

    def end_tracks(self) -> None:
        """Ends every track. Ids are not reused."""
        lost, next_id = self._lost_ids + [track.id for track in self.tracks], self._next_id
        self.reset()
        self._lost_ids, self._next_id = lost, next_id

    def take_lost_ids(self) -> list[int]:
        """Ids of the tracks that have ended since the last call."""
        lost, self._lost_ids = self._lost_ids, []
        return lost

    def begin(self, stamp: float) -> None:
        """Starts a frame at `stamp` seconds. Ends every track if time went back or advanced by more than
        MAX_AGE."""
        if stamp == self._stamp and not self._warned:
            self._warned = True
            warnings.warn(
                f'two frames in a row have the same time ({stamp:.6f} s), so motion and smoothing are wrong. '
                'Fix: give each frame of a video its stamp_ns, round(1e9 * seconds); before an unrelated '
                'image, call reset()',
                stacklevel=4,  # the caller of HandPipeline.process
            )
        if self._stamp is not None and not 0 <= stamp - self._stamp <= MAX_AGE:
            self.end_tracks()
        self._stamp = stamp

    def follow(self, rgb: np.ndarray, camera: Camera) -> Pairs:
        """Existing tracks with their Observations in this image (H, W, 3). Tracks that are not found count
        one more frame without an update."""
        tracks = [track for track in self.tracks if self._is_searched(track)]
        observations = self._observer(rgb, camera, [track.search_region() for track in tracks])
        observations = self._recentred(tracks, observations, rgb, camera)
        candidates = [
            (track, observation if self._shows(observation, track) else None)
            for track, observation in zip(tracks, observations, strict=True)
        ]
        # If two tracks find the same hand, the track that matches its side and position better keeps it.
        candidates.sort(key=lambda pair: match_score(*pair), reverse=True)
        found: Pairs = []
        for track, observation in candidates:
            front = [other for _, other in found if hides(other, track)]
            if front and not (observation and is_visible(track, observation, front)):
                (observation,) = self._observer(painted_over(rgb, front), camera, [track.search_region()])
                observation = observation if self._shows(observation, track) else None
            if observation and not is_known(observation, [other for _, other in found], followed=True):
                found.append((track, observation))
        followed = [track for track, _ in found]
        for track in self.tracks:
            if track not in followed:
                track.hit_streak, track.time_since_update = 0, track.time_since_update + 1
        return sorted(found, key=lambda pair: pair[0].id)

    def _recentred(
        self, tracks: list[Track], observations: list[Observation], rgb: np.ndarray, camera: Camera
    ) -> list[Observation]:
        """The `observations` of `tracks`. A hand that may touch another one and is not in the middle of its
        crop is observed again, in a crop around its landmarks: where a crop shows half of each of two hands,
        landmarks lie between the hands, and the side may be that of either."""
        regions = {
            k: roi_from_keypoints(observation.keypoints_px, track.side)
            for k, (track, observation) in enumerate(zip(tracks, observations, strict=True))
            if observation.presence >= self._observer.threshold and self._touching(track)
        }
        moved = {
            k: region
            for k, region in regions.items()
            if not nearly_same(tracks[k].search_region(), region, **_CENTRED)
        }
        again = dict(zip(moved, self._observer(rgb, camera, list(moved.values())), strict=True))
        return [again.get(k, observation) for k, observation in enumerate(observations)]

    def lost(self) -> list[Track]:
        """Tracks that were not found in this frame."""
        return [track for track in self.tracks if track.time_since_update]

    def _is_searched(self, track: Track) -> bool:
        return track.time_since_update < SEARCH_FRAMES or any(
            not other.time_since_update for other in self._touching(track)
        )

    def _touching(self, track: Track) -> list[Track]:
        """Other Tracks whose hands may touch that of `track`."""
        return [other for other in self.tracks if other is not track and touch(track, other)]

    def _shows(self, observation: Observation, track: Track) -> bool:
        """Whether an Observation can be the hand of a Track. While a hand of the other side may touch it, it
        must be of the track's side, so that neither track goes over to the other hand."""
        touched = any(other.side != track.side for other in self._touching(track))
        return observation.presence >= self._observer.threshold and (
            not touched or observation.probability_of(track.side) >= 0.5
        )

    def update(self, followed: Pairs, fresh: list[Observation], stamp: float) -> Pairs:
        """Tracks with their Observations at `stamp` seconds: `followed`, then one for each of the `fresh`
        Observations, with the id of a lost track if it can be the same hand."""
        pairs = list(followed)
        for observation in fresh:
            track = self._lost_track_of(observation, [track for track, _ in pairs], stamp)
            if track is None:
                if any(self._is_in_doubt(other, observation, stamp) for other, _ in followed):
                    continue
                track = self._new_track(observation)
                self.tracks.append(track)
            pairs.append((track, observation))
        for track, observation in pairs:
            track.update(observation, stamp)
            # The track changes sides with hysteresis (Track.update), so its side may be the less probable
            # one for some frames. These report 0.5: undecided.
            observation.side_probability = max(0.5, track.probability_of(observation.side))
            observation.learned_length = track.length.value
        ended = [track for track in self.tracks if track.time_since_update and stamp - track.stamp > MAX_AGE]
        self.tracks = [track for track in self.tracks if track not in ended]
        self._lost_ids += [track.id for track in ended]
        return pairs

    def replace(self, track: Track, observation: Observation, stamp: float) -> Track:
        """A new Track that takes over the Observation of `track`, which has jumped to another hand and
        ends."""
        new = self._new_track(observation)
        new.update(observation, stamp)
        self.tracks[self.tracks.index(track)] = new
        self._lost_ids.append(track.id)
        return new

    def _is_in_doubt(self, track: Track, observation: Observation, stamp: float) -> bool:
        """Whether a new Observation may be the hand of a followed Track. A track that touches another one and
        has just been lost may follow the wrong hand: until it has settled or is lost again, no hand that it
        may belong to gets another id."""
        return (
            track.hit_streak < min(track.hits, SETTLED_HITS)
            and bool(self._touching(track))
            and relative_distance(track, observation, stamp) <= 1
        )

    def _lost_track_of(self, observation: Observation, taken: list[Track], stamp: float) -> Track | None:
        """The nearest lost Track that can be the hand of a new Observation; None if there is none."""
        away = [
            (relative_distance(track, observation, stamp), track.id, track)
            for track in self.tracks
            if track.time_since_update and track not in taken
        ]
        nearest, _, track = min(away, default=(np.inf, 0, None))
        return track if nearest <= 1 else None

    def _new_track(self, observation: Observation) -> Track:
        track = Track(
            self._next_id, observation.side, observation.right_probability, observation.keypoints_px
        )
        self._next_id += 1
        return track
