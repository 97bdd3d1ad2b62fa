"""Where the models lie."""

from __future__ import annotations

from pathlib import Path

from maskhand_ros.perception.errors import ModelError

SHIPPED = Path(__file__).resolve().parents[1] / 'weights'


def find_weights(folder=None):
    """The folder of the models as a Path: `folder`, or the one in the package. ModelError if it holds no
    model.json.

    What lies in it is checked against model.json by `reconstructor.verify_weights`, file by file.
    """
    path = Path(folder) if folder else SHIPPED
    if not (path / 'model.json').is_file():
        fix = (
            'give a folder written by `maskhand export`, or leave weights_dir empty for the shipped models'
            if folder
            else 'install the package again: pip install --force-reinstall maskhand_ros'
        )
        raise ModelError(f'no model.json in {path}', fix)
    return path
