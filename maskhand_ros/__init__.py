"""MaskHand for ROS 2: camera topic in, hand meshes, 3D keypoints with uncertainty, and TF out.

The Python API without ROS is HandPipeline, PipelineConfig, Frame and Camera. They are imported on first use
(PEP 562), so that `import maskhand_ros.msg` loads neither OpenCV nor ONNX Runtime.
"""

from __future__ import annotations

import os
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskhand_ros.geometry import Camera
    from maskhand_ros.perception.config import PipelineConfig
    from maskhand_ros.perception.pipeline import HandPipeline
    from maskhand_ros.perception.types import Frame

    __version__: str

__all__ = ['Camera', 'Frame', 'HandPipeline', 'PipelineConfig', '__version__']

# ONNX Runtime reports its use to its maker from its import on (1.32 does), unless this is set before.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')

# The generated `maskhand_ros.msg` lives in the installed package: a source tree on the path must not hide it.
__path__ = extend_path(__path__, __name__)


def __getattr__(name: str) -> Any:
    """The attribute `name` of __all__; AttributeError for any other name."""
    if name == '__version__':
        from maskhand_ros.version import read_version

        return read_version()
    if name == 'Camera':
        from maskhand_ros.geometry import Camera

        return Camera
    if name == 'Frame':
        from maskhand_ros.perception.types import Frame

        return Frame
    if name == 'HandPipeline':
        from maskhand_ros.perception.pipeline import HandPipeline

        return HandPipeline
    if name == 'PipelineConfig':
        from maskhand_ros.perception.config import PipelineConfig

        return PipelineConfig
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
