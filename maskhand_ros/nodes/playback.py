"""The order and the times in which a recording is played into hand_node.

Messages are paired by header stamps, as in the live node. Where the stamps of a topic cannot be used, because
they are 0 or of another clock than the images', recording times stand in.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from statistics import median

from maskhand_ros.nodes.bag import Bag, header_stamp, with_stamp
from maskhand_ros.nodes.bag_storage import Recorded

AHEAD_NS = 50_000_000
"""Nanoseconds by which what goes with an image may be stamped later: the depth nearest to it may be."""

SAME_CLOCK_NS = 5_000_000_000
"""Nanoseconds by which recording may lag behind the stamps of one topic more than of another. A difference
beyond is that of two clocks."""

SAMPLES = 20
"""Messages of a topic whose stamps are looked at."""

STATIC = '/tf_static'


class Playback:
    """Iterates over (topic of hand_node, serialized message), in the order in which hand_node is to get them:
    static transforms, then each image after what is stamped up to AHEAD_NS later. So no image waits, and late
    recording does not matter. `assumptions`: what was assumed of the times, one line each."""

    def __init__(self, images: Bag, beside: Bag, image: str, roles: dict[str, str]) -> None:
        """`images`, `beside`: the same recording, opened twice. `image`: topic of the images. `roles`: {topic
        of the recording: topic of hand_node}."""
        self._images, self._beside, self._image, self._roles = images, beside, image, roles
        self.assumptions: list[str] = []
        lag = self._lag(image)
        # {topic whose stamps are replaced: nanoseconds to take from its recording times}
        self._replaced = {image: 0} if lag is None else {}
        if lag is None:
            self.assumptions.append('the image stamps are 0: recording times are used')
        for topic, role in roles.items():
            if role != STATIC and topic != image:
                self._decide(topic, role, lag)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        static = [topic for topic, role in self._roles.items() if role == STATIC]
        for recorded in self._beside.messages(static):
            yield self._roles[recorded.topic], recorded.data
        others = [topic for topic in self._roles if topic != self._image and topic not in static]
        beside = (self._stamped(each) for each in self._beside.messages(others))
        following = next(beside, None)
        for recorded in self._images.messages([self._image]):
            stamp, _, image = self._stamped(recorded)
            while following is not None and following[0] <= stamp + AHEAD_NS:
                yield following[1], following[2]
                following = next(beside, None)
            yield self._roles[self._image], image

    def _decide(self, topic: str, role: str, image_lag: int | None) -> None:
        """Whether the stamps of a topic beside the images can be compared with theirs."""
        lag = self._lag(topic)
        if image_lag is None:
            self._replaced[topic] = 0
        elif lag is None:
            self._replaced[topic] = image_lag
            self.assumptions.append(f'the stamps of {topic} are 0: {role} is paired by recording time')
        elif abs(lag - image_lag) > SAME_CLOCK_NS:
            self._replaced[topic] = image_lag
            clock = f'{(image_lag - lag) * 1e-9:+.1f} s'
            self.assumptions.append(
                f'the stamps of {topic} are of another clock ({clock}): {role} is paired by recording time'
            )

    def _lag(self, topic: str) -> int | None:
        """Median of recording time less stamp, ns; None where most stamps are 0 or there is no message."""
        first = list(itertools.islice(self._beside.messages([topic]), SAMPLES))
        lags = [each.time_ns - stamp for each in first if (stamp := header_stamp(each.data))]
        return round(median(lags)) if len(lags) > len(first) / 2 else None

    def _stamped(self, recorded: Recorded) -> tuple[int, str, bytes]:
        """(stamp in ns, topic of hand_node, message with that stamp)."""
        topic, data = recorded.topic, recorded.data
        if topic not in self._replaced:
            return header_stamp(data), self._roles[topic], data
        stamp = recorded.time_ns - self._replaced[topic]
        return stamp, self._roles[topic], with_stamp(data, stamp)
