"""Images to hands: for each image an overlay PNG, a JSON with what Hand.msg holds, a PLY mesh a hand.

Results are named after the image with its suffix: a.jpg gives a_jpg_overlay.png, a_jpg.json and
a_jpg_hand0.ply. Images of the same name in other folders get a number in the order given: a_jpg-2.json.
index.json says which files are whose, and what became of every image: `done`, `failed` with the reason,
`skipped` (a Mac's `._` files), or `pending` where the run was interrupted. In a folder of an earlier run,
files of the same name are overwritten, others stay, and index.json is written anew.

Meshes are in the wrist frame, metres: x to the fingers, z out of the back of the hand. Images are taken
one by one, without tracking from one to the next. Of folders, the images directly inside are read. Exit
status 1 if an image failed.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from maskhand_ros import camera_arguments, cli_arguments, files
from maskhand_ros.commands import hand_json
from maskhand_ros.errors import CommandError
from maskhand_ros.perception.overlay import draw_hands
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame
from maskhand_ros.progress import progress, say
from maskhand_ros.skeleton import RIGHT

INDEX = 'index.json'
_TRIED_SUFFIXES = (*files.IMAGE_SUFFIXES, '.heic', '.heif', '.avif', '.gif')
"""Of the files in a folder that are taken for images: what cannot be decoded is to be reported, not passed
over."""
_LONGEST_NAME = 200
"""Bytes of a result's name; the endings come on top, and file systems allow 255."""

PENDING, DONE, FAILED, SKIPPED = 'pending', 'done', 'failed', 'skipped'


@dataclass
class Result:
    """What became of one input: an entry of index.json."""

    image: str
    status: str = PENDING
    reason: str | None = None
    """Why it failed or was skipped, with the fix."""
    hands: int | None = None
    """How many were found."""
    json: str | None = None
    """Name of a file in the folder of results, like those below."""
    overlay: str | None = None
    meshes: list[str] = field(default_factory=list)
    """One a hand, in the order of the JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `maskhand image`."""
    parser.add_argument('inputs', nargs='+', metavar='IMAGE', help='files or folders')
    parser.add_argument(
        '--out', default='maskhand_out', metavar='DIR', help='folder to write to (default maskhand_out)'
    )
    camera_arguments.add_camera_arguments(parser)
    camera_arguments.add_mirror_argument(parser)
    cli_arguments.add_pipeline_arguments(parser)
    parser.set_defaults(search_budget=0.0)  # single images
    cli_arguments.add_hypothesis_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Every image to its results; returns the exit status. CommandError if results cannot be written."""
    results = list(_inputs(args.inputs))
    if all(result.status == FAILED for result in results):
        return _report_problems(results)
    folder = files.output_folder(args.out)
    if (folder / INDEX).exists():
        say(f'{folder}/ has results of an earlier run: same names are overwritten, {INDEX} is written anew')
    pipeline = cli_arguments.build_pipeline(
        args, **cli_arguments.hypothesis_options(args), mirrored_input=args.mirrored
    )
    names = result_names([result.image for result in results])
    _write_index(folder, results)
    try:
        for result, name in progress(zip(results, names, strict=True), len(results), 'images'):
            if result.status == PENDING:
                _process(result, folder / name, pipeline, args)
            found = f'{result.hands} hand{"" if result.hands == 1 else "s"}'
            say(f'{result.image}: {found if result.status == DONE else result.status}')
    finally:
        _write_index(folder, results)
    counts = Counter(result.status for result in results)
    say(
        f'{counts[DONE]} of {len(results)} done, {counts[FAILED]} failed, {counts[SKIPPED]} skipped; '
        f'{folder / INDEX} says which file is whose'
    )
    return _report_problems(results)


def _inputs(inputs: list[str]) -> Iterator[Result]:
    """A Result for each image of the files and folders; FAILED for an input that is not there."""
    for name in inputs:
        path = pathlib.Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in _TRIED_SUFFIXES)
            yield from (Result(str(p)) for p in inside)
            if not inside:
                fix = f'name a folder with {files.IMAGE_SUFFIXES}; folders inside it are not read'
                yield _failed(name, CommandError(f'no images in {path}', fix))
        elif os.path.lexists(path):
            yield Result(name)
        else:
            yield _failed(name, CommandError(f'no file or folder {name}', 'check the path'))


def _failed(image: str, error: CommandError) -> Result:
    return Result(image, FAILED, str(error))


def result_names(paths: list[str]) -> list[str]:
    """A name for each image's result files: its own with the suffix, and a number where that is taken.

    Names that differ in case alone count as the same: on some file systems they are.
    """
    names: list[str] = []
    used = set()
    for path in map(pathlib.Path, paths):
        whole = path.stem + path.suffix.replace('.', '_')
        base = os.fsencode(whole)[:_LONGEST_NAME].decode(errors='ignore')
        name, number = base, 1
        while name.lower() in used or f'{name}.json' == INDEX:
            number += 1
            name = f'{base}-{number}'
        used.add(name.lower())
        names.append(name)
    return names


def _process(result: Result, target: pathlib.Path, pipeline: HandPipeline, args: argparse.Namespace) -> None:
    """Fills in a Result; `target` is the path of its files without their endings."""
    try:
        rgb = files.read_image(result.image)
        camera = camera_arguments.camera_from(args, rgb.shape[1], rgb.shape[0])
    except CommandError as error:
        result.status = SKIPPED if isinstance(error, files.MetadataFileError) else FAILED
        result.reason = str(error)
        return
    pipeline.reset()
    hands = pipeline.process(Frame(rgb=rgb, camera=camera))
    model = pipeline.hand_model
    overlay, report = f'{target.name}_overlay.png', f'{target.name}.json'
    files.write_image(
        target.with_name(overlay), draw_hands(rgb, hands, camera, model.faces, mirrored=args.mirrored)
    )
    files.write_json(
        target.with_name(report),
        {
            'image': result.image,
            'header': hand_json.header(pipeline, rgb.shape[1], rgb.shape[0], camera),
            'hands': [hand_json.hand_to_json(hand, single_image=True) for hand in hands],
        },
    )
    meshes = [f'{target.name}_hand{number}.ply' for number in range(len(hands))]
    for mesh, hand in zip(meshes, hands, strict=True):
        faces = model.faces if hand.side == RIGHT else model.faces_left
        comment = f'{pipeline.model_name}, wrist frame, metres'
        files.write_ply(target.with_name(mesh), hand.vertices, faces, comment)
    result.status, result.hands = DONE, len(hands)
    result.json, result.overlay, result.meshes = report, overlay, meshes


def _write_index(folder: pathlib.Path, results: list[Result]) -> None:
    counts = Counter(result.status for result in results)
    files.write_json(
        folder / INDEX,
        {
            **{status: counts[status] for status in (DONE, FAILED, SKIPPED, PENDING)},
            'results': [asdict(result) for result in results],
        },
    )


def _report_problems(results: list[Result]) -> int:
    """Says on stderr what failed or was skipped, a line each; returns the exit status."""
    for result in results:
        if result.status in (FAILED, SKIPPED):
            print(f'{result.status}: {result.reason}', file=sys.stderr)
    return 1 if any(result.status == FAILED for result in results) else 0
