"""Pictures to hands: NAME_overlay.png, NAME.json with what Hand.msg holds, NAME_handI.ply mesh a hand.

Meshes are in the wrist frame, metres: x to the fingers, z out of the back of the hand. Pictures are taken
one by one, without tracking from one to the next.
"""

from __future__ import annotations

import pathlib

from maskhand_ros.commands import common
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.perception.types import Frame
from maskhand_ros.skeleton import RIGHT


def add_arguments(parser):
    parser.add_argument('inputs', nargs='+', metavar='PICTURE', help='files or folders')
    parser.add_argument(
        '--out', default='maskhand_out', metavar='DIR', help='folder to write to (default maskhand_out)'
    )
    common.add_camera_arguments(parser)
    common.add_pipeline_arguments(parser)
    common.add_hypothesis_arguments(parser)


def run(args):
    paths = list(_pictures(args.inputs))
    folder = common.output_folder(args.out)
    pipeline = common.build_pipeline(args, **common.hypothesis_options(args), mirrored_input=args.mirrored)
    names = _unique_names(paths)
    for path, name in zip(paths, names, strict=True):
        rgb = common.read_picture(path)
        pipeline.reset()
        camera = common.camera_from(args, rgb.shape[1], rgb.shape[0])
        hands = pipeline.process(Frame(rgb=rgb, camera=camera))
        model = pipeline.hand_model
        overlay = draw_hands(rgb, hands, camera, model.faces, mirrored=args.mirrored)
        common.write_picture(folder / f'{name}_overlay.png', overlay)
        common.write_json(
            folder / f'{name}.json',
            {
                'image': str(path),
                'width': rgb.shape[1],
                'height': rgb.shape[0],
                'model': pipeline.model_name,
                'camera_K': None if camera is None else camera.K.tolist(),
                'hands': [common.hand_to_dict(hand) for hand in hands],
            },
        )
        for index, hand in enumerate(hands):
            faces = model.faces if hand.side == RIGHT else model.faces_left
            common.write_ply(
                folder / f'{name}_hand{index}.ply',
                hand.vertices,
                faces,
                f'{pipeline.model_name}, wrist frame, metres',
            )
        print(f'{path}: {len(hands)} hand{"" if len(hands) == 1 else "s"}')
    print(f'written to {folder}/')


def _pictures(inputs):
    for name in inputs:
        path = pathlib.Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in common.PICTURE_SUFFIXES)
            if not inside:
                raise common.CommandError(
                    f'no pictures in {path}', f'name a folder with {common.PICTURE_SUFFIXES}'
                )
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise common.CommandError(f'no file or folder {path}', 'check the path')


def _unique_names(paths):
    """A name for each picture's outputs: its stem, with a number where stems repeat."""
    names, used = [], {}
    for path in paths:
        count = used[path.stem] = used.get(path.stem, 0) + 1
        names.append(path.stem if count == 1 else f'{path.stem}-{count}')
    return names
