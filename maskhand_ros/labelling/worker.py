"""Work on one task: a clip, or a part of one, to its file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from maskhand_ros.errors import CommandError, ModelError
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.labelling.attempts import (
    MAX_ATTEMPTS,
    Attempt,
    RunEnded,
    attempts_at,
    deadly_clip,
)
from maskhand_ros.labelling.clip_labels import Labeller, Window, segments
from maskhand_ros.labelling.joining import context_of, join
from maskhand_ros.labelling.label_options import LabelOptions
from maskhand_ros.labelling.offline import RefineOptions, refine
from maskhand_ros.labelling.parquet import write_clip
from maskhand_ros.labelling.records import FrameLabels
from maskhand_ros.labelling.run_folder import Failure, RunFolder, Task
from maskhand_ros.labelling.sources import Source, open_source
from maskhand_ros.skeleton import JOINT_NAMES, KEYPOINT_NAMES
from maskhand_ros.version import read_version


@dataclass
class _Labels:
    """Labels of a task with those of its context, the Window that it is, and the metadata of its file."""

    frames: Sequence[FrameLabels]
    window: Window
    metadata: dict[str, Any]


class Worker:
    """Labels tasks one after the other with one pipeline."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._labeller: Labeller | None = None

    def __call__(self, task: Task) -> None:
        """Does one task. What is wrong with the clip is stored as its Failure. Other errors are raised: a
        missing model (ModelError), a full disk (OSError), the end of the run (RunEnded)."""
        folder = RunFolder(Path(task.folder))
        if folder.is_done(task):  # by a worker that outlived its run by a moment
            return
        if attempts_at(folder.marker(task)) >= MAX_ATTEMPTS:  # Ray tries tasks again by itself
            folder.write_failure(deadly_clip(task))
            return
        with Attempt(folder.marker(task)) as attempt:
            if task.part is None and (plan := folder.plan(task.key)):
                parts = [folder.part_file(task.key, part) for part in range(len(plan))]
                join(parts, folder.clip_file(task), refine_options(task.options))
            else:
                labeller = self._labeller_for(task.options)
                try:
                    labels = self._label(task, folder, labeller, attempt)
                except (RunEnded, ModelError):
                    raise
                except Exception as error:
                    folder.write_failure(failure_of(task, error))
                    return
                if labels is None:
                    return
                self._write(task, folder, labels, labeller.pipeline.hand_model)
            if task.part is None:
                folder.clear(task.key)

    def _labeller_for(self, options: LabelOptions) -> Labeller:
        if self._labeller is None or self._labeller.options != options:
            self._labeller = Labeller(options)
        return self._labeller

    def _label(self, task: Task, folder: RunFolder, labeller: Labeller, attempt: Attempt) -> _Labels | None:
        """The labels of a task; None for a clip that is long: its plan is stored."""
        with contextlib.closing(open_source(task.clip, task.options)) as source:
            if task.part is None:
                parts = segments(source.duration, task.options.segment)
                if len(parts) > 1 and not task.options.stills:
                    folder.write_plan(task.key, [(part.start_ns, part.stop_ns) for part in parts])
                    return None
                window = Window()
            else:
                plan = folder.plan(task.key)
                assert plan is not None
                window = Window(*plan[task.part])
            frames: Sequence[FrameLabels] = list(labeller(source, window, attempt.tick))
            if not frames and task.part is None:
                raise CommandError(f'{task.clip.path} has no frame that can be decoded', 'convert it again')
            if options := refine_options(task.options):
                frames = refine(frames, options)
            return _Labels(frames, window, metadata_of(task, labeller, source))

    def _write(self, task: Task, folder: RunFolder, labels: _Labels, model: HandModel) -> None:
        """Writes the file of a task."""
        kept = [frame for frame in labels.frames if labels.window.holds(frame)]
        for number, frame in enumerate(kept):
            frame.frame_index, frame.timestamp_s = number, number / labels.metadata['rate']
        if task.part is None:
            write_clip(folder.clip_file(task), kept, labels.metadata)
            return
        context = context_of(labels.frames, kept, labels.window, model)
        write_clip(folder.part_file(task.key, task.part), kept, {**labels.metadata, 'context': context})


def refine_options(options: LabelOptions) -> RefineOptions | None:
    """How labels are refined over the clip; None where they are not."""
    config = options.config()
    if options.raw or options.stills:
        return None
    return RefineOptions(str(config.hand_model), config.keypoint_set, config.mirrored_input)


def failure_of(task: Task, error: Exception) -> Failure:
    """The Failure of a task by an exception."""
    if isinstance(error, CommandError):
        return Failure(task.clip.path, task.key, error.what, error.fix)
    fix = 'check that the file is whole and readable; if it is, report this with the file'
    return Failure(task.clip.path, task.key, f'{type(error).__name__}: {error}', fix)


def metadata_of(task: Task, labeller: Labeller, source: Source) -> dict[str, Any]:
    """What all frames of a clip have in common; docs/labelling.md lists the fields."""
    pipeline, camera = labeller.pipeline, labeller.camera
    return {
        'source': task.clip.path,
        'content_sha256': task.content,
        'key': task.key,
        'version': read_version(),
        'network': pipeline.model_name,
        'model_sha256': pipeline.model_hash,
        'hand_model': pipeline.hand_model.name,
        'keypoint_set': pipeline.hand_model.keypoint_set,
        'keypoint_names': list(KEYPOINT_NAMES),
        'joint_names': list(JOINT_NAMES),
        'hands': ['left', 'right'],
        'rate': source.rate,
        'width': labeller.size[0],
        'height': labeller.size[1],
        'camera': None
        if camera is None
        else {'K': camera.K.tolist(), 'distortion': camera.distortion.tolist(), 'lens': camera.lens},
        'damaged': source.damaged,
        'options': task.options.identity(),
    }
