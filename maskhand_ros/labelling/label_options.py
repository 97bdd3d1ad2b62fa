"""Options of a labelling run that change its labels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LabelOptions:
    """Options of one clip. All of them are part of the key of its file (keys.clip_key)."""

    pipeline: dict[str, Any] = field(default_factory=dict)
    """Fields of perception.config.PipelineConfig that differ from the defaults of labelling."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy in pixels of the images as received; None: `camera_info`, or what a bag holds."""
    camera_info: str | None = None
    """Path of a calibration file (camera_arguments.read_calibration)."""
    topic: str | None = None
    """Image topic of a bag; None: its only one."""
    rate: float | None = None
    """Nominal frame rate of a folder of images, Hz; None: 30."""

    def as_dict(self) -> dict[str, Any]:
        """JSON types, for the key and for a worker of another process."""
        return dataclasses.asdict(self)
