"""Installed files in share/maskhand_ros, and the version of the installed Fast DDS."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def share_path(relative: str) -> Path:
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


def profile_variable() -> str:
    """Environment variable for the XML profile of the installed Fast DDS. Fast DDS 3 renamed it; Humble and
    Jazzy have version 2, whose library is libfastrtps. Each version ignores the other's variable or warns."""
    old = any(any((prefix / 'lib').glob('libfastrtps.so*')) for prefix in _prefixes())
    return 'FASTRTPS_DEFAULT_PROFILES_FILE' if old else 'FASTDDS_DEFAULT_PROFILES_FILE'


def _prefixes() -> list[Path]:
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return [Path(prefix) for prefix in [*filter(None, prefixes), sys.prefix]]
