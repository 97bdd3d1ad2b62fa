"""Declaration of all options of the pipeline and of hand_node: name, type, range, unit, default, meaning.

The node's parameters (nodes/parameters.py) are made from PARAMETERS. The command line (cli_arguments.py) and
PipelineConfig (perception/config.py) are made from OPTIONS, which has a few more. config/hand.yaml lists the
names and defaults of PARAMETERS; a test holds the two equal.
"""

from __future__ import annotations

from typing import Any

from maskhand_ros.option import Option, ReadAt
from maskhand_ros.skeleton import KEYPOINT_SETS

START, ACTIVATE, ALWAYS = ReadAt.START, ReadAt.ACTIVATE, ReadAt.ALWAYS

_PARAMETERS = (
    # input
    Option(
        'compressed',
        False,
        'subscribe to <image>/compressed (JPEG, PNG) in place of <image>',
        read_at=ACTIVATE,
    ),
    Option(
        'image_qos',
        'auto',
        'reliability of the image subscription; auto: reliable if every publisher offers it',
        choices=('auto', 'reliable', 'best_effort'),
        read_at=ACTIVATE,
    ),
    Option(
        'image_rectified',
        False,
        'the image is rectified: use P of CameraInfo in place of K and D',
        read_at=ACTIVATE,
    ),
    Option('mirrored_input', False, 'the image is mirrored (selfie view); published sides are the true ones'),
    Option(
        'camera_frame',
        '',
        'TF frame of the camera, replaces the frame_id of every image; empty: keep that frame_id',
        read_at=ALWAYS,
    ),
    Option(
        'use_depth',
        False,
        'subscribe to depth/image and depth/camera_info, for absolute scale',
        read_at=ACTIVATE,
    ),
    Option(
        'max_image_pixels', 4096 * 4096, 'maximum size of an image', (1, 1 << 28), 'pixels', read_at=START
    ),
    Option(
        'image_timeout',
        2.0,
        'time without an image until diagnostics report an error',
        (0.1, 60.0),
        's',
        read_at=ALWAYS,
    ),
    # models
    Option(
        'device',
        'cpu',
        'execution device of the networks; a missing one is an error, never a silent fallback',
        choices=('cpu', 'cuda', 'tensorrt'),
    ),
    Option(
        'allow_cpu_fallback',
        False,
        'use the CPU, with a warning, if the device is missing or fails',
    ),
    Option('threads', 2, 'CPU threads of the networks, divided among max_hands', (1, 64), 'threads'),
    Option(
        'weights_dir', '', 'folder of the models; empty: the ones shipped with the package', read_at=START
    ),
    Option(
        'hand_model',
        '',
        "hand model (.npz, made by `maskhand convert-mano`); empty: the package's own",
        read_at=START,
    ),
    Option(
        'keypoint_set', KEYPOINT_SETS[0], 'definition of the 21 keypoints on the hand', choices=KEYPOINT_SETS
    ),
    Option(
        'hypotheses',
        0,
        'number of sampled poses in Hand.hypotheses; 0: none',
        (0, 64),
        'poses',
    ),
    Option(
        'max_latency',
        0.0,
        'maximum time from image to hands; above it, load shedding reduces hypotheses, detections and '
        'finally hands; 0: no limit',
        (0.0, 10.0),
        's',
        read_at=ACTIVATE,
    ),
    # hands
    Option('max_hands', 2, 'maximum number of tracked hands', (1, 8), 'hands'),
    Option(
        'detection_threshold',
        0.15,
        'minimum probability of a palm in the search; each one found costs a run of the landmark network',
        (0.0, 1.0),
        'probability',
    ),
    Option(
        'presence_threshold',
        0.5,
        'minimum probability of a hand in its crop; below it the hand is lost',
        (0.0, 1.0),
        'probability',
    ),
    Option(
        'search_budget',
        0.003,
        'time per image for the search for further hands, on average; 0: the whole search in every image',
        (0.0, 1.0),
        's',
    ),
    Option(
        'hand_length',
        0.0,
        'length of the hands from wrist to middle fingertip; 0: population mean',
        (0.0, 0.3),
        'm',
    ),
    Option(
        'smoothing',
        'adaptive',
        'adaptive: strong at rest, weak in motion (delay: Hand.filter_delay); off: none',
        choices=('adaptive', 'off'),
    ),
    Option(
        'predict',
        0.0,
        'time for which a lost hand is published as PREDICTED, without TF; 0: never',
        (0.0, 1.0),
        's',
    ),
    Option(
        'operator_choice',
        'largest',
        "hand that becomes the operator's if that side has none: largest in the image, or nearest",
        choices=('largest', 'nearest'),
    ),
    Option(
        'operator_timeout',
        2.0,
        "time for which a lost operator's hand keeps its slot",
        (0.1, 60.0),
        's',
    ),
    # output
    Option('publish_tf', True, 'broadcast the frames of the hands on /tf', read_at=ALWAYS),
    Option(
        'tf_prefix',
        '',
        'prefix of TF frame names; empty: the namespace, so that two cameras differ; "/": none',
    ),
    Option('publish_vertices', True, 'fill Hand.vertices in ~/hands (19 kB a hand)', read_at=ALWAYS),
    Option('jpeg_quality', 85, 'JPEG quality of ~/overlay/compressed', (1, 100), 'percent', read_at=ALWAYS),
)

_PIPELINE_ONLY = (
    Option('iterations', 1, 'decoding steps of the pose tokens; more is slower', (1, 64), 'steps'),
    Option(
        'temperature',
        1.0,
        'temperature of the sampling; lower: more probable and more similar poses',
        (0.05, 5.0),
    ),
    Option(
        'top_k',
        0,
        'number of most probable tokens that the sampling chooses from; 0: all',
        (0, 1 << 16),
        'tokens',
    ),
)
"""Options of PipelineConfig and the command line only. More decoding steps gave no better hands
(docs/lab-log.md)."""

PARAMETERS = {option.name: option for option in _PARAMETERS}
"""{name: Option} of the parameters of hand_node, in the order of config/hand.yaml."""
OPTIONS = PARAMETERS | {option.name: option for option in _PIPELINE_ONLY}
"""{name: Option} of all options."""


def default(name: str) -> Any:
    """The default of the option `name`."""
    return OPTIONS[name].default
