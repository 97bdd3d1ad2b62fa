"""Selection of the operator's hands: at most one left and one right, kept until lost."""

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
    """Id of the hand that has the slot; 0: free."""
    last_seen: float = 0.0
    """Time of the last frame with that hand, seconds."""
    pause: bool = False
    """Leave the next frame without an operator's hand on this side, so that subscribers notice the change."""


class Operator:
    """Selection of the operator's hands, one slot per side.

    A free slot goes to a TRACKED hand of its side: the largest in the image, or the nearest to the camera.
    The hand keeps the slot until it has been lost for `timeout` seconds; meanwhile no other hand of that side
    is the operator's. So before the id changes there is a gap of at least `timeout`, or of one frame after
    `select`. Thread-safe.
    """

    def __init__(self, choice: str = 'largest', timeout: float = 2.0) -> None:
        """`choice`: 'largest', or 'nearest' ('largest' while distances are unknown). `timeout`: seconds."""
        self._choice, self._timeout = choice, timeout
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Frees both slots immediately."""
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
        """Sets `operator` of the Hands of the frame at `stamp` seconds. Call it for frames without hands
        too."""
        with self._lock:
            self._hands, self._stamp = list(hands), stamp
            for side, slot in self._slots.items():
                chosen = self._follow(slot, [hand for hand in hands if hand.side == side])
                for hand in hands:
                    if hand.side == side:
                        hand.operator = hand is chosen
                slot.pause = False

    def select(self, id: int) -> str:
        """Gives the slot of its side to the TRACKED hand `id`; 0 frees both slots. It takes effect after a
        gap of one frame. Returns a text that says what was done. LookupError if no such hand is visible."""
        with self._lock:
            if not id:
                for side in self._slots:
                    self._slots[side] = _Slot(pause=True)
                return 'both operator hands are chosen again'
            hand = next((hand for hand in self._hands if hand.id == id and hand.state == TRACKED), None)
            if hand is None:
                raise LookupError(f'no tracked hand {id} in view; in view: {self._in_view()}')
            if self._slots[hand.side].id != id:
                self._slots[hand.side] = _Slot(id, self._stamp, pause=True)
            return f"{id} is the operator's {hand.side} hand"

    def _follow(self, slot: _Slot, hands: list[Hand]) -> Hand | None:
        """The operator's hand among the visible `hands` of one side, None in a gap. Updates the slot."""
        # If time went back, the timeout starts again.
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
        # A hand whose side changes must not take the second slot as well.
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
