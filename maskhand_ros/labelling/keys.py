"""Keys of clips: a clip's file is named by what it was made from, so that equal clips share one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from maskhand_ros.labelling.clip_input import IMAGES, ClipInput, files_of
from maskhand_ros.labelling.label_options import LabelOptions
from maskhand_ros.labelling.schema import SCHEMA_VERSION
from maskhand_ros.perception.weights import INDEX, find_weights

KEY_LENGTH = 16
"""Hexadecimal digits of a key."""


class ContentHashes:
    """SHA-256 of files, remembered in a file by path, size and time of change."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._known: dict[tuple[str, int, int], str] = {}
        for line in cache.read_text().splitlines() if cache.is_file() else ():
            try:
                path, size, changed, digest = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            self._known[path, size, changed] = digest

    def of_clips(self, clips: Iterable[ClipInput]) -> Iterator[str | OSError]:
        """The content hash of each clip, in order; an OSError in place of one that cannot be read."""
        with ThreadPoolExecutor(4) as pool:  # hashlib lets other threads run
            yield from pool.map(self._of_clip_or_error, clips)

    def _of_clip_or_error(self, clip: ClipInput) -> str | OSError:
        try:
            return self.of_clip(clip)
        except OSError as error:
            return error

    def of_clip(self, clip: ClipInput) -> str:
        """SHA-256 of the clip's only file, or of the names and hashes of its files."""
        files = files_of(clip)
        if len(files) == 1 and clip.kind != IMAGES:
            return self._of_file(files[0])
        together = hashlib.sha256()
        for path in files:
            together.update(f'{path.name}\0{self._of_file(path)}\n'.encode(errors='surrogateescape'))
        return together.hexdigest()

    def _of_file(self, path: Path) -> str:
        status = path.stat()
        known = str(path.resolve()), status.st_size, status.st_mtime_ns
        if known not in self._known:
            digest = hashlib.sha256()
            with path.open('rb') as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            self._known[known] = digest.hexdigest()
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with self._cache.open('a') as cache:
                cache.write(json.dumps([*known, digest.hexdigest()]) + '\n')
        return self._known[known]


class Keys:
    """Keys of clips labelled with these options."""

    def __init__(self, options: LabelOptions) -> None:
        """ModelError where there are no models; OSError where a file that the options name is missing."""
        model = find_weights(options.pipeline.get('weights_dir')) / INDEX
        self._common = {
            'schema': SCHEMA_VERSION,
            'model': hashlib.sha256(model.read_bytes()).hexdigest(),
            'options': options.identity(),
        }

    def __call__(self, clip: ClipInput, content: str) -> str:
        """The key of a clip with this content hash, KEY_LENGTH hexadecimal digits."""
        parts = {
            **self._common,
            'content': content,
            'intrinsics': clip.intrinsics,
            'topic': clip.topic,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]
