"""Shared command-line arguments: the options of the pipeline, and range-checked numbers."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maskhand_ros.errors import CommandError
from maskhand_ros.option import Option, OptionError, Value, short
from maskhand_ros.options import OPTIONS, PARAMETERS

if TYPE_CHECKING:
    from maskhand_ros.perception.pipeline import HandPipeline

PIPELINE_OPTIONS = (
    'device',
    'threads',
    'weights_dir',
    'hand_model',
    'keypoint_set',
    'iterations',
    'max_hands',
    'detection_threshold',
    'presence_threshold',
    'search_budget',
    'hand_length',
    'smoothing',
)
"""Fields of PipelineConfig that are arguments of every command that runs the pipeline."""
_METAVARS = {int: 'N', float: 'X', str: 'PATH'}
HYPOTHESIS_OPTIONS = 'hypotheses', 'temperature', 'top_k'


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that choose the model, where it runs and how hands are found: PIPELINE_OPTIONS."""
    _add_options(parser.add_argument_group('model'), PIPELINE_OPTIONS)


def add_hypothesis_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the sampled hypotheses: HYPOTHESIS_OPTIONS."""
    _add_options(parser.add_argument_group('hypotheses'), HYPOTHESIS_OPTIONS)


def add_max_frames(parser: argparse.ArgumentParser) -> None:
    """The argument --max-frames of commands that read a video."""
    parser.add_argument(
        '--max-frames', type=whole(0), default=0, metavar='N', help='stop after N frames (default 0: all)'
    )


def _add_options(group: argparse._ArgumentGroup, names: tuple[str, ...]) -> None:
    """An argument for each of OPTIONS that is named: hand_length becomes --hand-length."""
    for name in names:
        option = OPTIONS[name]
        text = f'{option.description} ({option.range_text}; default %(default)s)'
        group.add_argument(
            f'--{name.replace("_", "-")}',
            type=_type_of(option),
            default=option.default,
            metavar=f'{{{",".join(option.choices)}}}' if option.choices else _METAVARS[type(option.default)],
            help=text if option.default != '' else option.description,
        )


def _type_of(option: Option) -> Callable[[str], Value]:
    """The argparse type of an Option."""

    def convert(text: str) -> Value:
        try:
            return option.parse(text)
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def whole(least: int, most: int | None = None, unit: str = '') -> Callable[[str], int]:
    """An argparse type: a whole number from `least` to `most`, without an upper limit where that is None."""
    limits = f'{least} or more' if most is None else f'{least} to {most}'

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f'{short(text)} is not a whole number, {limits} {unit}'.rstrip())
        return value

    return convert


def number(least: float, most: float, unit: str = '') -> Callable[[str], float]:
    """An argparse type: a number from `least` to `most`, both finite."""
    limits = f'{least:g} to {most:g}'

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f'{short(text)} is not a number, {limits} {unit}'.rstrip())
        return value

    return convert


def hypothesis_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_hypothesis_arguments` parsed, as fields of a PipelineConfig."""
    return {name: getattr(args, name) for name in HYPOTHESIS_OPTIONS}


def pipeline_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_pipeline_arguments` parsed, as fields of a PipelineConfig."""
    return {name: getattr(args, name) for name in PIPELINE_OPTIONS}


def node_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_pipeline_arguments` parsed, as parameters of hand_node. CommandError for an option that
    hand_node does not have."""
    options = pipeline_options(args)
    for name in options.keys() - PARAMETERS.keys():
        if options.pop(name) != OPTIONS[name].default:
            raise CommandError(f'hand_node has no parameter {name}', f'leave out --{name.replace("_", "-")}')
    return options


def build_pipeline(args: argparse.Namespace, **changes: Any) -> HandPipeline:
    """The HandPipeline that the parsed `args` ask for; `changes` replace fields of its config."""
    from maskhand_ros.perception.config import PipelineConfig
    from maskhand_ros.perception.pipeline import HandPipeline

    return HandPipeline(PipelineConfig(**{**pipeline_options(args), **changes}))


def build_offline_pipeline(args: argparse.Namespace, **changes: Any) -> HandPipeline:
    """The pipeline of build_pipeline with nominal costs of the search, so that its hands do not depend on
    the speed of the machine."""
    from maskhand_ros.perception.search import NominalCosts

    pipeline = build_pipeline(args, **changes)
    pipeline.search.costs = NominalCosts()
    return pipeline
