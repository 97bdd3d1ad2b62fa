"""Validation of image stamps: an image needs a time of its own, and jumps of time are reported."""

from __future__ import annotations

from maskhand_ros.errors import BadInput
from maskhand_ros.nodes.by_stamp import BACKWARDS_NS
from maskhand_ros.perception.tracker import MAX_AGE


class StampCheck:
    """Compares the stamp of each image with the last one's."""

    def __init__(self) -> None:
        self._last: int | None = None

    def __call__(self, stamp_ns: int, clock_was_set: bool = False) -> BadInput | None:
        """The jump of time before an image of this stamp, None if there is none. `clock_was_set`: the ROS
        clock was set since the last image. Raises BadInput if the image has no time of its own."""
        if stamp_ns == 0:
            raise BadInput('zero stamp', 'header.stamp is 0', 'The camera driver must stamp its images')
        if stamp_ns < 0:
            raise BadInput('negative stamp', f'{stamp_ns} ns', 'Time begins at 0: check the camera driver')
        since = None if self._last is None else stamp_ns - self._last
        if since == 0:
            remedy = 'Two publishers on one topic, or a driver that does not stamp'
            raise BadInput('repeated stamp', f'{stamp_ns} ns came twice', remedy)
        if since is not None and -BACKWARDS_NS <= since < 0:
            remedy = 'Two publishers on one topic, or a link that changes the order'
            raise BadInput('image out of order', f'{-since * 1e-9:.3f} s older than the last', remedy)
        self._last = stamp_ns
        return _jump(since or 0, clock_was_set)


def _jump(since: int, clock_was_set: bool) -> BadInput | None:
    """The jump of time `since` ns after the last image."""
    seconds = f'{abs(since) * 1e-9:.1f} s'
    if since < 0:
        remedy = 'All hands are new ones: a bag was started again, or there are two publishers'
        return BadInput('time went back', seconds, remedy)
    if since > MAX_AGE * 1e9:
        remedy = 'All hands are new ones: the camera paused, or its clock was set'
        return BadInput('time leapt', seconds, remedy)
    if clock_was_set:
        return BadInput('clock was set', 'back, or to another source', 'All hands are new ones')
    return None
