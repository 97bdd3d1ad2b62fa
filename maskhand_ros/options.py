"""Options of the pipeline and of hand_node, each declared once: name, type, range, unit, default, meaning.

The node's parameters (nodes/parameters.py), the command line (cli_arguments.py) and PipelineConfig
(perception/config.py) are made from OPTIONS. config/hand.yaml lists the same names and defaults; a test holds
the two equal.
"""

from __future__ import annotations

from typing import Any

from maskhand_ros.option import Option, ReadAt
from maskhand_ros.skeleton import KEYPOINT_SETS

START, ACTIVATE, ALWAYS = ReadAt.START, ReadAt.ACTIVATE, ReadAt.ALWAYS

_DECLARED = (
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
        'the picture is undistorted: use P of CameraInfo in place of K and D',
        read_at=ACTIVATE,
    ),
    Option('mirrored_input', False, 'the picture is a mirror image (selfie view): sides are of the world'),
    Option(
        'camera_frame',
        '',
        'frame of the camera in TF; empty: frame_id of the image; else in its place, also where that is set',
        read_at=ALWAYS,
    ),
    Option(
        'use_depth',
        False,
        'subscribe to depth/image and depth/camera_info, for absolute scale',
        read_at=ACTIVATE,
    ),
    Option(
        'max_image_pixels', 4096 * 4096, 'largest picture accepted', (1, 1 << 28), 'pixels', read_at=START
    ),
    Option(
        'image_timeout',
        2.0,
        'time without a picture until diagnostics report an error',
        (0.1, 60.0),
        's',
        read_at=ALWAYS,
    ),
    # models
    Option(
        'device',
        'cpu',
        'where the networks run; one that is missing is an error, never a silent fallback',
        choices=('cpu', 'cuda', 'tensorrt'),
    ),
    Option(
        'allow_cpu_fallback',
        False,
        'where the device is missing or fails, the CPU takes over, with a warning',
    ),
    Option('threads', 2, 'CPU threads of the networks, shared out among max_hands', (1, 64), 'threads'),
    Option(
        'weights_dir', '', 'folder of the models; empty: the ones shipped with the package', read_at=START
    ),
    Option(
        'hand_model',
        '',
        'hand model (.npz, made by `maskhand convert-mano`); empty: the open hand',
        read_at=START,
    ),
    Option('keypoint_set', KEYPOINT_SETS[0], 'where on the hand the 21 keypoints sit', choices=KEYPOINT_SETS),
    Option('iterations', 1, 'steps in which the pose tokens are decided; more is slower', (1, 64), 'steps'),
    Option(
        'hypotheses',
        0,
        'poses sampled beside the estimate, into Hand.hypotheses; 0: none',
        (0, 64),
        'poses',
    ),
    Option('temperature', 1.0, 'of the sampling; below 1: likelier poses, less apart', (0.05, 5.0)),
    Option('top_k', 0, 'most probable tokens that the sampling may take; 0: all', (0, 1 << 16), 'tokens'),
    Option(
        'max_latency',
        0.0,
        'from a picture to its hands, above which less is done: hypotheses, iterations, searches, at last '
        'hands; 0: no limit',
        (0.0, 10.0),
        's',
        read_at=ACTIVATE,
    ),
    # hands
    Option('max_hands', 2, 'hands followed at most', (1, 8), 'hands'),
    Option(
        'detection_threshold',
        0.5,
        'probability from which a detection is looked at',
        (0.0, 1.0),
        'probability',
    ),
    Option(
        'presence_threshold',
        0.5,
        'probability of a hand in the crop below which a hand is lost',
        (0.0, 1.0),
        'probability',
    ),
    Option(
        'detect_interval',
        5,
        'pictures between searches for another hand while fewer than max_hands are followed',
        (1, 300),
        'pictures',
    ),
    Option(
        'hand_length',
        0.0,
        'from wrist to middle fingertip of the hands seen; 0: population mean',
        (0.0, 0.3),
        'm',
    ),
    Option(
        'smoothing',
        'adaptive',
        'adaptive: steady at rest, quick in motion (Hand.filter_delay); off: as measured',
        choices=('adaptive', 'off'),
    ),
    Option(
        'predict',
        0.0,
        'time for which a hand that is not seen is given out as PREDICTED, without TF; 0: never',
        (0.0, 1.0),
        's',
    ),
    Option(
        'operator_choice',
        'largest',
        "hand of a side that becomes the operator's when nobody is: largest in the picture, or nearest",
        choices=('largest', 'nearest'),
    ),
    Option(
        'operator_timeout',
        2.0,
        "time for which the operator's hand keeps its place while it is not seen",
        (0.1, 60.0),
        's',
    ),
    # output
    Option('publish_tf', True, 'broadcast the frames of the hands on /tf', read_at=ALWAYS),
    Option(
        'tf_prefix',
        '',
        'put before the names of the frames; empty: the namespace, so that two cameras share none; "/": none',
    ),
    Option('publish_vertices', True, 'fill Hand.vertices in ~/hands (19 kB a hand)', read_at=ALWAYS),
    Option('jpeg_quality', 85, 'of ~/overlay/compressed', (1, 100), 'percent', read_at=ALWAYS),
)

OPTIONS = {option.name: option for option in _DECLARED}
"""{name: Option}, in the order of config/hand.yaml."""


def default(name: str) -> Any:
    """The default of the option `name`."""
    return OPTIONS[name].default
