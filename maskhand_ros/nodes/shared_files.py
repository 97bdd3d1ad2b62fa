"""Finds the files that the package installs into share/maskhand_ros."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def share_path(relative):
    """Path of share/maskhand_ros/`relative`: in the ament prefixes, in this Python's prefix, or in the
    source tree.

    A pip installation has no AMENT_PREFIX_PATH. Raises FileNotFoundError.
    """
    prefixes = [prefix for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix] + [
        sys.prefix
    ]
    folders = [Path(prefix) / 'share/maskhand_ros' for prefix in prefixes] + [Path(__file__).parents[2]]
    for folder in folders:
        if (folder / relative).exists():
            return folder / relative
    raise FileNotFoundError(
        f'{relative} of maskhand_ros is in none of {", ".join(map(str, folders))}: install the package again'
    )
