"""Whose hands the robot follows: at most one left and one right, held until lost, never swapped silently."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from maskhand_ros.perception.types import TRACKED
from maskhand_ros.skeleton import Handedness


@dataclass
class _Place:
    """The operator's place on one side."""

    id: int = 0
    """Of the hand that has it; 0: nobody's."""
    seen: float = 0.0
    """Seconds, when that hand was last in view."""
    pause: bool = False
    """The next picture goes without: whoever follows the side is to see that its hand changes."""


class Operator:
    """Says which hands are the operator's.

    A side's hand is chosen once, from the tracked ones: the largest in the picture, or the one nearest to
    the camera. It keeps its place while it is away, and nobody else is the operator then; a place is free
    again `timeout` seconds after its hand was last in view. So a change of id leaves a gap of at least that,
    or of one picture where somebody asked for it (`select`). Safe to use from several threads.
    """

    def __init__(self, choice='largest', timeout=2.0):
        """`choice`: 'largest', or 'nearest' (largest while distances are not known); `timeout` seconds."""
        self._choice, self._timeout = choice, timeout
        self._lock = threading.Lock()
        self.reset()

    def reset(self):
        """Both places are free at once."""
        with self._lock:
            self._places = {side: _Place() for side in Handedness}
            self._hands, self._stamp = [], 0.0

    @property
    def ids(self):
        """Of the hands that have a place."""
        with self._lock:
            return [place.id for place in self._places.values() if place.id]

    def __call__(self, hands, stamp):
        """Fills `operator` of the Hands of one picture, taken at `stamp` seconds. An empty one counts as
        well."""
        with self._lock:
            self._hands, self._stamp = list(hands), stamp
            for side, place in self._places.items():
                chosen = self._follow(place, [hand for hand in hands if hand.side == side])
                for hand in hands:
                    if hand.side == side:
                        hand.operator = hand is chosen
                place.pause = False

    def select(self, id):
        """Gives the tracked hand `id` the place of its side, or frees both places to be chosen anew (0), with
        the next picture but one. Returns what was done; LookupError names the hands in view."""
        with self._lock:
            if not id:
                for side in self._places:
                    self._places[side] = _Place(pause=True)
                return 'both hands are chosen anew'
            hand = next((hand for hand in self._hands if hand.id == id and hand.state == TRACKED), None)
            if hand is None:
                raise LookupError(f'no tracked hand {id} in view; in view: {self._in_view()}')
            if self._places[hand.side].id != id:
                self._places[hand.side] = _Place(id, self._stamp, pause=True)
            return f"{id} is the operator's {hand.side} hand"

    def _follow(self, place, hands):
        """The operator's hand among those of one side in view, None in a gap; brings the place up to date."""
        # Where time went back, the wait begins anew.
        place.seen = min(place.seen, self._stamp)
        own = next((hand for hand in hands if hand.id == place.id), None)
        if own is None and self._stamp - place.seen >= self._timeout:
            place.id = 0
        if not (place.id or place.pause):
            own = self._choose(hands)
        if own is not None:
            place.id, place.seen = own.id, self._stamp
        return own if own is not None and own.state == TRACKED and not place.pause else None

    def _choose(self, hands):
        # A hand whose side is in doubt does not take the other place as well.
        taken = {place.id for place in self._places.values()}
        free = [hand for hand in hands if hand.state == TRACKED and hand.id not in taken]
        return max(free, key=self._rank, default=None)

    def _rank(self, hand):
        if self._choice == 'nearest' and hand.wrist_position is not None:
            return -np.linalg.norm(hand.wrist_position)
        return np.ptp(hand.keypoints_px, axis=0).max()

    def _in_view(self):
        names = [
            f'{hand.id} ({hand.side}{"" if hand.state == TRACKED else ", tentative"})' for hand in self._hands
        ]
        return ', '.join(names) or 'none'
