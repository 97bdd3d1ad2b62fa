"""`maskhand`: entry point of the command line. Errors that a user can correct are printed on one line.

A module is imported only when its command is called, so that `maskhand image` needs neither torch nor ROS.
Each module has `add_arguments(parser)` and `run(args)`; `run` returns an exit status or None for success.
Exit status: 0 done, 1 the work failed, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

Table = Mapping[str, tuple[str, str]]
"""{command: (summary, module)}."""

COMMANDS: Table = {
    'demo': ('a ROS 2 graph on the bundled clip, a video or a webcam', 'maskhand_ros.nodes.demo_graph'),
    'image': ('images to overlay PNG, JSON and PLY meshes', 'maskhand_ros.commands.image'),
    'video': ('a video to an overlay video and JSON lines', 'maskhand_ros.commands.video'),
    'label': ('videos, images and bags to Parquet files of hands, in bulk', 'maskhand_ros.commands.label'),
    'label-report': (
        'a page of figures and pictures of a run',
        'maskhand_ros.commands.label_report',
    ),
    'teleop': ('a video to a simulated robot hand', 'maskhand_ros.commands.teleop'),
    'replay': ('a recorded bag through hand_node, no image dropped', 'maskhand_ros.nodes.replay'),
    'bench': ('time of every stage on this machine', 'maskhand_ros.commands.bench'),
    'evaluate': ('errors on labelled images', 'maskhand_ros.evaluation.evaluate'),
    'evaluate-video': (
        'the pipeline on rendered sequences with ground truth',
        'maskhand_ros.evaluation.evaluate_video',
    ),
    'evaluate-stereo': (
        'a calibrated pair of videos: one view against the other',
        'maskhand_ros.evaluation.evaluate_stereo',
    ),
    'evaluate-teleop': (
        'retargeting on a real video against its limits',
        'maskhand_ros.evaluation.evaluate_teleop',
    ),
    'benchmark': ('a public benchmark with its own metrics', 'maskhand_ros.evaluation.benchmark'),
    'train': ('data, training and evaluation: `maskhand train --help`', ''),
    'finetune': ('train further on pictures of your own camera', 'maskhand_ros.training.finetune'),
    'export': ('trained checkpoints to ONNX', 'maskhand_ros.model.export'),
    'convert-mano': ('your own MANO_RIGHT.pkl to npz', 'maskhand_ros.commands.convert_mano'),
}

TRAIN_COMMANDS: Table = {
    'data': ('render synthetic hands into shards', 'maskhand_ros.data_engine.shards'),
    'images': (
        'crops of renders or of a public data set into shards',
        'maskhand_ros.data_engine.image_shards',
    ),
    'cues': ('cues of shards of images, by any landmark network', 'maskhand_ros.data_engine.image_cues'),
    'index': (
        'a public data set to an index for `maskhand evaluate`',
        'maskhand_ros.datasets.index',
    ),
    'tokenizer': ('train the pose tokenizer', 'maskhand_ros.training.train_tokenizer'),
    'landmarks': (
        'train the landmark network, or its heads',
        'maskhand_ros.training.train_landmarks',
    ),
    'model': ('train the masked transformer', 'maskhand_ros.training.train_maskhand'),
    'ablate': ('ablation: train without each part, compare', 'maskhand_ros.training.ablate'),
    'calibrate': ('calibrate the predicted uncertainty', 'maskhand_ros.training.calibrate'),
    'evaluate': ('errors and uncertainty on held-out shards', 'maskhand_ros.training.evaluate_synthetic'),
}

INSTALL = {
    'torch': "pip install 'maskhand_ros[train]'",
    'anny': "pip install 'maskhand_ros[train]'",
    'onnx': "pip install 'maskhand_ros[train]'",
    'moderngl': "pip install 'maskhand_ros[train]'",
    'lightning_fabric': "pip install 'maskhand_ros[train]'",
    'vector_quantize_pytorch': "pip install 'maskhand_ros[train]'",
    'onnxruntime': "pip install 'maskhand_ros[cpu]' (or [gpu])",
    'safetensors': "pip install 'maskhand_ros[train]'",
    'scipy': "pip install 'maskhand_ros[label]' (or [train])",
    'webdataset': "pip install 'maskhand_ros[train]'",
    'mujoco': "pip install 'maskhand_ros[teleop]'",
    'mink': "pip install 'maskhand_ros[teleop]'",
    'qpsolvers': "pip install 'maskhand_ros[teleop]'",
    'daqp': "pip install 'maskhand_ros[teleop]'",
    'daft': "pip install 'maskhand_ros[label]'",
    'pyarrow': "pip install 'maskhand_ros[label]'",
    'ray': "pip install 'daft[ray]'",
    'av': "pip install 'maskhand_ros[video]'",
    'mcap': "pip install 'maskhand_ros[demo]'",
    'yaml': 'pip install pyyaml',
    'cv2': 'pip install opencv-python-headless',
    'rclpy': 'source /opt/ros/<distro>/setup.bash, or run `make demo`, which brings its own ROS 2',
    'rosbags': "pip install 'maskhand_ros[demo]'",
}
"""Install command of each optional package, by import name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    table, name = COMMANDS, 'maskhand'
    if words[:1] == ['train']:
        table, name, words = TRAIN_COMMANDS, 'maskhand train', words[1:]
    if not words or words[0] in ('-h', '--help'):
        print(_usage(table, name))
        return 0 if words else 2
    if words[0] not in table:
        print(f'{name}: no command {words[0]!r}. Choose one of: {", ".join(table)}', file=sys.stderr)
        return 2
    command = words.pop(0)
    try:
        return _run(table[command], f'{name} {command}', words)
    except ModuleNotFoundError as error:
        missing = (error.name or '').split('.')[0]
        if missing not in INSTALL:
            raise
        return _fail(name, command, f'the Python package {missing!r} is missing. Fix: {INSTALL[missing]}')
    except BrokenPipeError:  # the reader of the pipe has ended, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _user_errors() as error:
        return _fail(name, command, str(error))
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that says what is wrong in one line, without the usage, which names every option."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'{self.prog}: {message} (see `{self.prog} --help`)\n')


def _run(entry: tuple[str, str], program: str, words: Sequence[str]) -> int:
    summary, module_name = entry
    module = importlib.import_module(module_name)
    parser = _Parser(
        prog=program,
        description=module.__doc__ or summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:  # argparse has printed what is wrong, or the help
        return stop.code if isinstance(stop.code, int) else 0
    return module.run(args) or 0


def _user_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is meant for the user; read late, so that `--help` imports nothing."""
    from maskhand_ros.errors import CommandError, ModelError

    return CommandError, ModelError, OSError


def _fail(name: str, command: str, message: str) -> int:
    print(f'{name} {command}: {message}', file=sys.stderr)
    return 1


def _usage(table: Table, name: str) -> str:
    width = max(map(len, table))
    lines = [
        f'usage: {name} COMMAND ...',
        '',
        f'`{name} COMMAND --help` lists the arguments of a command.',
        '',
    ]
    return '\n'.join(lines + [f'  {command:<{width}}  {summary}' for command, (summary, _) in table.items()])


if __name__ == '__main__':
    sys.exit(main())
