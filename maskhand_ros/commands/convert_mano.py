"""A user's own MANO_RIGHT.pkl (mano.is.tue.mpg.de, its own licence) to npz, running no code from it.

Use the result with `--hand-model FILE` or the node's parameter `hand_model`.
"""

from __future__ import annotations

import argparse
import pathlib

from maskhand_ros.errors import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('pickle', metavar='MANO_RIGHT.pkl')
    parser.add_argument('output', nargs='?', default='mano_right.npz', metavar='OUT.npz')


def run(args: argparse.Namespace) -> None:
    if not pathlib.Path(args.pickle).is_file():
        raise CommandError(
            f'no file {args.pickle}', 'download it from mano.is.tue.mpg.de with your own licence'
        )
    from maskhand_ros.hand_model.array_pickle import UnpicklingError
    from maskhand_ros.hand_model.convert_mano import convert

    try:
        convert(args.pickle, args.output)
    except (ValueError, UnpicklingError, EOFError) as error:
        raise CommandError(
            f'{args.pickle}: {error}', 'give MANO_RIGHT.pkl as downloaded (mano_v1_2/models)'
        ) from error
    print(f'written {args.output}; use it with --hand-model {args.output}')
