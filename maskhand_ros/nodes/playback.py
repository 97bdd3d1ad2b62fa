"""Order and times in which a recording is played into hand_node.

Messages are paired by header stamps, as in the live node. Recording times are used for topics whose stamps
are 0 or of another clock than the images.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from statistics import median

from maskhand_ros.nodes.bag import Bag, header_stamp, with_stamp
from maskhand_ros.nodes.bag_storage import Recorded

AHEAD_NS = 50_000_000
"""Nanoseconds by which messages that are paired with an image may have a later stamp."""

SAME_CLOCK_NS = 5_000_000_000
"""Maximum difference of the recording delays (recording time minus stamp) of two topics of one clock, ns."""

SAMPLES = 20
"""Messages of a topic from which its recording delay is measured."""

STATIC = '/tf_static'


class Playback:
    """Iterator over (topic of hand_node, serialized message) in the order of playing: static transforms, then
    each image after all messages with stamps up to AHEAD_NS later, so that they are there to be paired even
    if they were recorded late. `assumptions`: assumptions about the times, one line each."""

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
        """Decides whether the stamps of a topic are used, or replaced by recording times."""
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
        """Median of recording time minus stamp, ns; None if most stamps are 0 or there is no message."""
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
