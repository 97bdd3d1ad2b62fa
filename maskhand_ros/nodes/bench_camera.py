"""bench_camera: clip_player with the images of `maskhand bench`, rendered and made messages in advance: it
uses as little CPU as a camera driver."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from maskhand_ros.clip import CLIP, clip_frames, read_clip
from maskhand_ros.nodes.clip_player import ClipPlayer, main
from maskhand_ros.nodes.images import encode_image

IMAGES = 60
"""Images that are published in a loop; at 1280x720 they take 160 MiB."""


class BenchCamera(ClipPlayer):
    """Additional parameters: `width`, `height` (px), `hands` (1 or 2), `frames` (number to publish)."""

    def _open(self) -> None:
        defaults = {'width': 640, 'height': 480, 'hands': 2, 'frames': 300}
        width, height, hands, self._frames = (
            self.declare_parameter(name, default).value for name, default in defaults.items()
        )
        frames = list(itertools.islice(clip_frames(read_clip(), width, height, hands), IMAGES))
        assert frames[0].camera is not None
        self._rendered = [encode_image(frame.rgb, Header()) for frame in frames]
        self._camera = frames[0].camera
        self._path, self._rate = str(CLIP), self.rate or 30.0

    def _images_due(self) -> Iterator[tuple[Image, float]]:
        images = itertools.islice(itertools.cycle(self._rendered), self._frames)
        return ((image, index / self._rate) for index, image in enumerate(images))


if __name__ == '__main__':
    main(player=BenchCamera)
