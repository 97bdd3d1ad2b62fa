"""Whose hands the robot follows: at most one left and one right, held until lost, never swapped silently."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from maskhand_ros.perception.types import TRACKED, Hand
from maskhand_ros.skeleton import Handedness


@dataclass
class _Slot:
    """The operator's slot of one side."""

    id: int = 0
    """Of the hand that has it; 0: none."""
    last_seen: float = 0.0
    """Seconds, when that hand was last in view."""
    pause: bool = False
    """The next frame has no operator's hand on this side, so that a follower sees that the hand changes."""


class Operator:
    """Says which hands are the operator's.

    A side's hand is chosen once, from the tracked ones: the largest in the image, or the one nearest to
    the camera. It keeps its slot while it is not seen, and nobody else is the operator then; a slot is free
    again `timeout` seconds after its hand was last in view. So a change of id leaves a gap of at least that,
    or of one frame where somebody asked for it (`select`). Safe to use from several threads.
    """

    def __init__(self, choice: str = 'largest', timeout: float = 2.0) -> None:
        """`choice`: 'largest', or 'nearest' (largest while distances are not known); `timeout` seconds."""
        self._choice, self._timeout = choice, timeout
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Frees both slots at once."""
        with self._lock:
            self._slots = {side: _Slot() for side in Handedness}
            self._hands: list[Hand] = []
            self._stamp = 0.0

    @property
    def ids(self) -> list[int]:
        """Ids of the hands that have a slot."""
        with self._lock:
            return [slot.id for slot in self._slots.values() if slot.id]

    def __call__(self, hands: list[Hand], stamp: float) -> None:
        """Fills `operator` of the Hands of one frame, taken at `stamp` seconds. An empty one counts as
        well."""
        with self._lock:
            self._hands, self._stamp = list(hands), stamp
            for side, slot in self._slots.items():
                chosen = self._follow(slot, [hand for hand in hands if hand.side == side])
                for hand in hands:
                    if hand.side == side:
                        hand.operator = hand is chosen
                slot.pause = False

    def select(self, id: int) -> str:
        """Gives the tracked hand `id` the slot of its side, or frees both slots to be chosen again (0), from
        the next frame but one. Returns what was done; LookupError names the hands in view."""
        with self._lock:
            if not id:
                for side in self._slots:
                    self._slots[side] = _Slot(pause=True)
                return 'both hands are chosen anew'
            hand = next((hand for hand in self._hands if hand.id == id and hand.state == TRACKED), None)
            if hand is None:
                raise LookupError(f'no tracked hand {id} in view; in view: {self._in_view()}')
            if self._slots[hand.side].id != id:
                self._slots[hand.side] = _Slot(id, self._stamp, pause=True)
            return f"{id} is the operator's {hand.side} hand"

    def _follow(self, slot: _Slot, hands: list[Hand]) -> Hand | None:
        """The operator's hand among those of one side in view, None in a gap; brings the place up to date."""
        # Where time went back, the wait begins anew.
        slot.last_seen = min(slot.last_seen, self._stamp)
        own = next((hand for hand in hands if hand.id == slot.id), None)
        if own is None and self._stamp - slot.last_seen >= self._timeout:
            slot.id = 0
        if not (slot.id or slot.pause):
            own = self._choose(hands)
        if own is not None:
            slot.id, slot.last_seen = own.id, self._stamp
        return own if own is not None and own.state == TRACKED and not slot.pause else None

    def _choose(self, hands: list[Hand]) -> Hand | None:
        # A hand whose side is in doubt does not take the other slot as well.
        taken = {slot.id for slot in self._slots.values()}
        free = [hand for hand in hands if hand.state == TRACKED and hand.id not in taken]
        return max(free, key=self._rank, default=None)

    def _rank(self, hand: Hand) -> float:
        if self._choice == 'nearest' and hand.wrist_position is not None:
            return -float(np.linalg.norm(hand.wrist_position))
        return float(np.ptp(hand.keypoints_px, axis=0).max())

    def _in_view(self) -> str:
        names = [
            f'{hand.id} ({hand.side}{"" if hand.state == TRACKED else ", tentative"})' for hand in self._hands
        ]
        return ', '.join(names) or 'none'
