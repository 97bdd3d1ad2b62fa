"""Version of the package: that of package.xml, which setup.py reads too."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path


@cache
def read_version() -> str:
    """Version, such as '1.2.3', of this package.

    In a source tree package.xml is in the parent folder of the package. pip and colcon install it as
    PREFIX/share/maskhand_ros/package.xml, and this file below the same PREFIX. Without it: FileNotFoundError.
    """
    folder = Path(__file__).resolve().parent
    beside = folder.parent / 'package.xml'
    installed = [parent / 'share' / folder.name / 'package.xml' for parent in folder.parents]
    for path in [beside, *installed]:
        if path.is_file():
            manifest = ElementTree.parse(path)
            if manifest.findtext('name') == folder.name:
                return manifest.findtext('version', '')
    raise FileNotFoundError(f'no package.xml of {folder.name} above {folder}. Fix: install the package again')
