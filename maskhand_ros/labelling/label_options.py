"""Options of a labelling run that change its labels."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskhand_ros.perception.config import PipelineConfig

SEGMENT = 300.0
"""Length of the segments that a long clip is labelled in, seconds."""


@dataclass(frozen=True)
class LabelOptions:
    """Options of one clip. They are part of the key of its file (keys.clip_key)."""

    pipeline: dict[str, Any] = field(default_factory=dict)
    """Fields of perception.config.PipelineConfig."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy in pixels of the images as received; None: `camera_info`, or what a bag holds."""
    camera_info: str | None = None
    """Path of a calibration file (camera_arguments.read_calibration)."""
    topic: str | None = None
    """Image topic of a bag; None: its only one."""
    rate: float | None = None
    """Nominal frame rate of a folder of images, Hz; None: 30."""
    stills: bool = False
    """Whether the images are unrelated: each is searched on its own, nothing is followed."""
    raw: bool = False
    """Whether labels stay as each frame gives them (offline.refine is left out)."""
    segment: float = SEGMENT
    """Length of the segments of a long clip, seconds."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelOptions:
        """The options of as_dict, also after JSON."""
        numbers = values['intrinsics']
        return cls(**{**values, 'intrinsics': tuple(numbers) if numbers else None})

    def as_dict(self) -> dict[str, Any]:
        """JSON types, for another process."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """JSON types of what changes the labels: contents in place of the names of files, no threads."""
        values = self.as_dict()
        config = dataclasses.asdict(self.config())
        for name in ('threads', 'weights_dir', 'allow_cpu_fallback'):
            del config[name]
        config['hand_model'] = _digest(config['hand_model'])
        return {**values, 'pipeline': config, 'camera_info': _digest(self.camera_info)}

    def config(self) -> PipelineConfig:
        """The PipelineConfig of a worker: one thread. It neither smooths, unless that is asked for, nor
        predicts: labels are refined over the whole clip."""
        return PipelineConfig(**{'smoothing': 'off', **self.pipeline, 'threads': 1, 'predict': 0.0})


def _digest(path: Any) -> str:
    """SHA-256 of a file, '' for no path."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ''
