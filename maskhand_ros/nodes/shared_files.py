"""Finds what is installed: files in share/maskhand_ros, and which Fast DDS."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def share_path(relative):
    """Path of share/maskhand_ros/`relative`: in the ament prefixes, in this Python's prefix, or in the
    source tree.

    A pip installation has no AMENT_PREFIX_PATH. Raises FileNotFoundError.
    """
    folders = [prefix / 'share/maskhand_ros' for prefix in _prefixes()] + [Path(__file__).parents[2]]
    for folder in folders:
        if (folder / relative).exists():
            return folder / relative
    raise FileNotFoundError(
        f'{relative} of maskhand_ros is in none of {", ".join(map(str, folders))}: install the package again'
    )


def profile_variable():
    """The variable that names its profile to the Fast DDS that is installed: before version 3 (Humble, Jazzy)
    it had another name, as its library had, and either version is deaf to the other's or warns of it."""
    old = any(any((prefix / 'lib').glob('libfastrtps.so*')) for prefix in _prefixes())
    return 'FASTRTPS_DEFAULT_PROFILES_FILE' if old else 'FASTDDS_DEFAULT_PROFILES_FILE'


def _prefixes():
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return [Path(prefix) for prefix in [*filter(None, prefixes), sys.prefix]]
