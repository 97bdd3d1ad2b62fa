"""bench_camera: clip_player with the frames of `maskhand bench`, made beforehand, so that it costs as little
as a camera's driver."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from maskhand_ros.clip import CLIP, clip_frames, read_clip
from maskhand_ros.nodes.clip_player import ClipPlayer, main

PICTURES = 60
"""Made beforehand and shown again and again; of 1280x720 they take 160 MiB."""


class BenchCamera(ClipPlayer):
    """Parameters beside clip_player's: `width`, `height` (px), `hands` (1 or 2), `frames` (to publish)."""

    def _open(self) -> None:
        defaults = {'width': 640, 'height': 480, 'hands': 2, 'frames': 300}
        width, height, hands, self._frames = (
            self.declare_parameter(name, default).value for name, default in defaults.items()
        )
        frames = list(itertools.islice(clip_frames(read_clip(), width, height, hands), PICTURES))
        assert frames[0].camera is not None
        self._made, self._camera = [frame.rgb for frame in frames], frames[0].camera
        self._path, self._rate, self._calibrated = str(CLIP), self.rate or 30.0, True

    def _pictures(self) -> Iterator[tuple[np.ndarray, float]]:
        pictures = itertools.islice(itertools.cycle(self._made), self._frames)
        return ((picture, index / self._rate) for index, picture in enumerate(pictures))


if __name__ == '__main__':
    main(player=BenchCamera)
