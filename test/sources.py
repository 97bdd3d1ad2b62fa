"""The modules of the package, and those that run on a robot."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'maskhand_ros'

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py'))
TRAINING = (
    *('datasets/', 'data_engine/', 'training/', 'evaluation/', 'tools/', 'model/', 'hand_model/torch_'),
    'labelling/',
)
"""Modules that no robot runs."""
RUN_TIME = [name for name in MODULES if not name.startswith(TRAINING)]
