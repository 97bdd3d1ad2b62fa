"""PipelineConfig: the options of the pipeline as a dataclass."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass

from maskhand_ros.options import OPTIONS, default


@dataclass
class PipelineConfig:
    """Options of a HandPipeline, documented in `maskhand_ros.options`. OptionError (a ValueError) for a
    value out of range or of another type."""

    max_hands: int = default('max_hands')
    detection_threshold: float = default('detection_threshold')
    presence_threshold: float = default('presence_threshold')
    device: str = default('device')
    allow_cpu_fallback: bool = default('allow_cpu_fallback')
    threads: int = default('threads')
    weights_dir: str | os.PathLike[str] = default('weights_dir')
    hand_model: str | os.PathLike[str] = default('hand_model')
    keypoint_set: str = default('keypoint_set')
    mirrored_input: bool = default('mirrored_input')
    hand_length: float = default('hand_length')
    iterations: int = default('iterations')
    hypotheses: int = default('hypotheses')
    temperature: float = default('temperature')
    top_k: int = default('top_k')
    smoothing: str = default('smoothing')
    predict: float = default('predict')
    operator_choice: str = default('operator_choice')
    operator_timeout: float = default('operator_timeout')
    search_budget: float = default('search_budget')

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            setattr(self, field.name, OPTIONS[field.name].check(getattr(self, field.name)))
