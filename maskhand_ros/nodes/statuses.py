"""The four statuses of hand_node on /diagnostics: images, calibration, depth, model. Each has a level, a text
that says what is wrong and what to do, and counts."""

from __future__ import annotations

from typing import NamedTuple

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from maskhand_ros.nodes.diagnostics import STUCK, Diagnostics
from maskhand_ros.nodes.inputs import Inputs
from maskhand_ros.nodes.silence import why_no_images
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Hand

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

ACCEPTABLE_AGE = -0.1, 5.0
"""Seconds from an image's stamp to its arrival: diagnostic_updater's TimeStampStatus takes -1 to 5."""


class Status(NamedTuple):
    """One status before it is a message."""

    part: str
    level: bytes
    text: str
    values: list[tuple]


def statuses(
    node: LifecycleNode,
    state: str,
    diagnostics: Diagnostics,
    inputs: Inputs | None,
    pipeline: HandPipeline | None,
) -> list[Status]:
    """The statuses of a node in the lifecycle state `state` (a label). `inputs` is None unless the node is
    active, `pipeline` unless it is configured."""
    return [
        _images(node, state, diagnostics, inputs),
        _calibration(state, diagnostics, inputs),
        _depth(diagnostics, inputs),
        _model(state, diagnostics, pipeline),
    ]


def diagnostic_array(name: str, stamp: Time, parts: list[Status]) -> DiagnosticArray:
    """The message of the statuses of the node `name`."""
    return DiagnosticArray(
        header=Header(stamp=stamp),
        status=[
            DiagnosticStatus(
                name=f'{name}: {status.part}',
                hardware_id=name,
                level=status.level,
                message=status.text,
                values=[KeyValue(key=str(key), value=str(value)) for key, value in status.values],
            )
            for status in parts
        ],
    )


def _images(node: LifecycleNode, state: str, diagnostics: Diagnostics, inputs: Inputs | None) -> Status:
    values: list[tuple] = [
        ('processed', diagnostics.processed),
        ('rate (Hz)', f'{diagnostics.rate():.1f}'),
        ('hands', len(diagnostics.hands)),
        ('tracks', ', '.join(map(_hand_text, diagnostics.hands)) or 'none'),
    ]
    level, text = OK, state
    if inputs is not None:
        image, frames = inputs.image, inputs.frames
        values += [
            ('topic', image.topic),
            ('reliability', image.reliability.name.lower()),
            ('publishers', image.publishers()),
            ('received', frames.received),
            ('dropped', frames.dropped),
            ('lost', frames.lost),
            ('age on arrival p50 (ms)', f'{diagnostics.age() * 1e3:.1f}'),
        ]
        warnings = _image_warnings(diagnostics, inputs)
        if frames.age() > node.get_parameter('image_timeout').value:
            level, text = ERROR, f'no images on {image.topic}: {why_no_images(node, image)}'
        elif warnings:
            level, text = WARN, ' | '.join(warnings)
        else:
            text = _counts(diagnostics, inputs)
    return Status('images', level, text, values + diagnostics.images.values())


def _counts(diagnostics: Diagnostics, inputs: Inputs) -> str:
    frames = inputs.frames
    return (
        f'{diagnostics.rate():.1f} Hz; of {frames.received}: {frames.dropped} dropped for newer ones, '
        f'{frames.lost} lost by the middleware'
    )


def _image_warnings(diagnostics: Diagnostics, inputs: Inputs) -> list[str]:
    """Faults of the images that arrive; all of them, because one fault must not hide the others."""
    warnings = [f'{reason}. {remedy}' for reason, remedy in diagnostics.images.recent()]
    if diagnostics.losing(inputs.frames):
        warnings.append(
            f'{_counts(diagnostics, inputs)}. Use config/fastdds.xml on both sides, or a reliable camera'
        )
    age = diagnostics.age()
    if not ACCEPTABLE_AGE[0] <= age <= ACCEPTABLE_AGE[1]:
        warnings.append(
            f'images arrive {age:.3f} s after their stamps by this clock: consumers that check the age '
            'reject all hands. Synchronise the clocks (chrony), or set use_sim_time for a bag'
        )
    return warnings


def _calibration(state: str, diagnostics: Diagnostics, inputs: Inputs | None) -> Status:
    faults = diagnostics.calibration
    recent, values = faults.recent(), []
    level, text = OK, state
    if inputs is not None:
        paired, unpaired = inputs.infos.paired, inputs.infos.unpaired
        values = [('of the same stamp', paired), ('latest in its place', unpaired)]
        text = 'CameraInfo is used' if paired + unpaired else 'no image yet'
        if unpaired:
            text += f'; the latest for {unpaired} of {paired + unpaired} images, whose own had not arrived'
    if recent:
        level, text = WARN, f'{recent[0][0]}: no metric position, no TF. {recent[0][1]}'
    return Status('calibration', level, text, [*values, *faults.values()])


def _depth(diagnostics: Diagnostics, inputs: Inputs | None) -> Status:
    recent = diagnostics.depth.recent()
    level, text = OK, 'use_depth is false'
    if inputs is not None and inputs.depth is not None:
        text = f'used in {diagnostics.with_depth} of {diagnostics.processed} images'
    if recent:
        level, text = WARN, f'{recent[0][0]}: the scale is not measured. {recent[0][1]}'
    values = [('images with depth', diagnostics.with_depth), *diagnostics.depth.values()]
    return Status('depth', level, text, values)


def _model(state: str, diagnostics: Diagnostics, pipeline: HandPipeline | None) -> Status:
    values: list[tuple] = list(diagnostics.percentiles())
    warnings = [diagnostics.duplicate_name] if diagnostics.duplicate_name else []
    if pipeline is not None:
        device, search = pipeline.device, pipeline.search.total
        reduced = ', '.join(f'{name} {value}' for name, value in pipeline.degradations.items())
        values = [
            ('model', pipeline.model_name),
            ('model hash', pipeline.model_hash),
            ('hand model', pipeline.hand_model.name),
            ('device', device.name),
            ('providers', ', '.join(device.providers)),
            ('reduced for max_latency', reduced or 'nothing'),
            ('views searched', search.views),
            ('proposals examined', search.proposals),
            ('hands found', search.found),
            *values,
        ]
        if reduced:
            warnings.append(f'load shedding for max_latency: reduced {reduced}')
        if device.lost:
            warnings.append(
                f'running on the CPU instead of {device.name}: {device.lost}; configure again to retry'
            )
    level, text = (WARN, ' | '.join(warnings)) if warnings else (OK, state)
    recent = diagnostics.faults.recent()
    if diagnostics.failure:
        level, text = ERROR, f'{diagnostics.failure[0]}. Fix: {diagnostics.failure[1]}'
    elif diagnostics.stuck():
        level, text = ERROR, f'stuck in one image for over {STUCK:.0f} s; restart the node'
    elif recent:
        level, text = ERROR, f'{recent[0][0]}. {recent[0][1]}'
    return Status('model', level, text, [*values, *diagnostics.faults.values()])


def _hand_text(hand: Hand) -> str:
    operator = ", the operator's" if hand.operator else ''
    return f'{hand.id} {hand.side} {hand.state}{operator}'
