"""Finished clips of a labelling run, for what is made of them: data sets, MCAP files, reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskhand_ros.errors import CommandError
from maskhand_ros.labelling.clip_input import ClipInput, find_clips
from maskhand_ros.labelling.label_options import LabelOptions
from maskhand_ros.labelling.parquet import read_metadata
from maskhand_ros.labelling.sources import Source, open_source


@dataclass(frozen=True)
class FinishedClip:
    """A clip with labels. `source`: the labelled video, folder or bag; `file`: its Parquet file;
    `metadata`: of that file."""

    source: str
    file: Path
    metadata: dict[str, Any]

    def open(self) -> Source:
        """The images of the clip, in order. CommandError where they are no longer there."""
        there = find_clips([self.source], None, self.file.parent)
        found = [each for each in there if isinstance(each, ClipInput) and each.path == self.source]
        if not found:
            raise CommandError(f'{self.source} is no longer there', 'put the clip back')
        options = self.metadata['options']
        return open_source(found[0], LabelOptions(topic=options.get('topic'), rate=options.get('rate')))

    def images(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """The images (H, W, 3) of the frames `rows`, which do not decrease. CommandError where the clip is no
        longer there or has fewer frames than labels."""
        wanted = iter(rows)
        row = next(wanted, None)
        source = self.open()
        try:
            for number, frame in enumerate(source.frames(0)):
                while row == number:
                    yield frame.rgb
                    row = next(wanted, None)
                if row is None:
                    return
        finally:
            source.close()
        raise CommandError(f'{self.source} has no frame {row}, but labels of it', 'label the clip again')


def finished_clips(folder: Path) -> Iterator[FinishedClip]:
    """The clips with labels in the folder of a run, as clips.jsonl lists them; equal clips once. CommandError
    if there are none."""
    listed = folder / 'clips.jsonl'
    if not listed.is_file():
        raise CommandError(
            f'{folder} has no clips.jsonl', 'name the folder of a finished `maskhand label` run'
        )
    seen = set()
    for line in listed.read_text().splitlines():
        entry = json.loads(line)
        if entry['file'] not in seen:
            seen.add(entry['file'])
            file = folder / entry['file']
            yield FinishedClip(entry['path'], file, read_metadata(file))
    if not seen:
        raise CommandError(f'no clip in {folder} has labels', 'see failed.jsonl there')
