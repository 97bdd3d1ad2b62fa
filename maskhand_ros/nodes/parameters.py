"""Every parameter of hand_node: default, unit, range, choices, and whether it may change while the node runs.

config/hand.yaml lists the same names and defaults (a test holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult

from maskhand_ros.nodes.images import MAX_PIXELS
from maskhand_ros.skeleton import KEYPOINT_SETS


@dataclass(frozen=True)
class Spec:
    """One parameter. `limits` (lowest, highest) or `choices` bound it; a `live` one may be set while the
    node runs."""

    name: str
    default: object
    description: str
    limits: tuple | None = None
    choices: tuple = ()
    live: bool = False

    def descriptor(self):
        """The rcl_interfaces/ParameterDescriptor that `ros2 param describe` shows."""
        descriptor = ParameterDescriptor(description=self.description, read_only=not self.live)
        if self.choices:
            descriptor.additional_constraints = f'one of: {", ".join(self.choices)}'
        if self.limits and isinstance(self.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=self.limits[0], to_value=self.limits[1], step=0.0)
            ]
        elif self.limits:
            descriptor.integer_range = [
                IntegerRange(from_value=self.limits[0], to_value=self.limits[1], step=1)
            ]
        return descriptor


SPECS = (
    # input
    Spec('compressed', False, 'subscribe to <image>/compressed (JPEG, PNG) in place of <image>'),
    Spec(
        'image_qos',
        'auto',
        'reliability of the image subscription; auto: reliable if every publisher offers it',
        choices=('auto', 'reliable', 'best_effort'),
    ),
    Spec('image_rectified', False, 'the picture is undistorted: use P of CameraInfo in place of K and D'),
    Spec('mirrored_input', False, 'the picture is a mirror image (selfie view): sides are told accordingly'),
    Spec('use_depth', False, 'subscribe to depth/image and depth/camera_info, for absolute scale'),
    Spec('max_image_pixels', MAX_PIXELS, 'largest picture accepted, in pixels', limits=(1, 1 << 28)),
    Spec(
        'image_timeout',
        2.0,
        'seconds without a picture until diagnostics report an error',
        limits=(0.1, 60.0),
        live=True,
    ),
    # models
    Spec(
        'device',
        'cpu',
        'where the networks run; one that is missing is an error, never a silent fallback',
        choices=('cpu', 'cuda', 'tensorrt'),
    ),
    Spec(
        'allow_cpu_fallback',
        False,
        'where the device is missing or fails, the CPU takes over, with a warning',
    ),
    Spec('threads', 2, 'CPU threads of the networks, shared out among max_hands', limits=(1, 64)),
    Spec('weights_dir', '', 'folder of the models; empty: the ones shipped with the package'),
    Spec('hand_model', '', 'hand model (.npz, made by `maskhand convert-mano`); empty: the open hand'),
    Spec('keypoint_set', KEYPOINT_SETS[0], 'where on the hand the 21 keypoints sit', choices=KEYPOINT_SETS),
    Spec('iterations', 1, 'steps in which the pose tokens are decided; more is slower', limits=(1, 64)),
    Spec('hypotheses', 0, 'poses sampled beside the estimate, into Hand.hypotheses; 0: none', limits=(0, 64)),
    Spec('temperature', 1.0, 'of the sampling; below 1: likelier poses, less apart', limits=(0.05, 5.0)),
    Spec('top_k', 0, 'most probable tokens that the sampling may take; 0: all', limits=(0, 1 << 16)),
    Spec(
        'max_latency',
        0.0,
        'seconds from a picture to its hands, above which less is done: hypotheses, iterations, searches, '
        'at last hands; 0: no limit',
        limits=(0.0, 10.0),
    ),
    # hands
    Spec('max_hands', 2, 'hands followed at most', limits=(1, 8)),
    Spec(
        'detection_threshold',
        0.5,
        'probability from which a detection is looked at, 0 to 1',
        limits=(0.0, 1.0),
    ),
    Spec(
        'presence_threshold',
        0.5,
        'probability of a hand in the crop below which a hand is lost, 0 to 1',
        limits=(0.0, 1.0),
    ),
    Spec(
        'detect_interval',
        5,
        'pictures between searches for another hand while fewer than max_hands are followed',
        limits=(1, 300),
    ),
    Spec(
        'hand_length',
        0.0,
        'metres from wrist to middle fingertip of the hands seen; 0: population mean',
        limits=(0.0, 0.3),
    ),
    Spec(
        'smoothing',
        'adaptive',
        'adaptive: steady at rest, quick in motion (Hand.filter_delay); off: as measured',
        choices=('adaptive', 'off'),
    ),
    Spec(
        'predict',
        0.0,
        'seconds for which a hand that is not seen is given out as PREDICTED, without TF; 0: never',
        limits=(0.0, 1.0),
    ),
    Spec(
        'operator_choice',
        'largest',
        "hand of a side that becomes the operator's when nobody is: largest in the picture, or nearest",
        choices=('largest', 'nearest'),
    ),
    Spec(
        'operator_timeout',
        2.0,
        "seconds for which the operator's hand keeps its place while it is not seen",
        limits=(0.1, 60.0),
    ),
    # output
    Spec('publish_tf', True, 'broadcast the frames of the hands on /tf', live=True),
    Spec(
        'tf_prefix',
        '',
        'put before the names of the frames; empty: the namespace, so that two cameras share none; "/": none',
    ),
    Spec('publish_vertices', True, 'fill Hand.vertices in ~/hands (19 kB a hand)', live=True),
    Spec('jpeg_quality', 85, 'of ~/overlay/compressed, in percent', limits=(1, 100), live=True),
)


def declare(node):
    """Declares every parameter on the node; a value out of its choices is refused, now and later."""
    choices = {spec.name: spec.choices for spec in SPECS if spec.choices}

    def check(parameters):
        for parameter in parameters:
            if parameter.value not in choices.get(parameter.name, (parameter.value,)):
                return SetParametersResult(
                    successful=False,
                    reason=f'{parameter.name} is {parameter.value!r}, but must be '
                    f'one of: {", ".join(choices[parameter.name])}',
                )
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    node.declare_parameters('', [(spec.name, spec.default, spec.descriptor()) for spec in SPECS])


def read(node):
    """The present values as {name: value}."""
    return {spec.name: node.get_parameter(spec.name).value for spec in SPECS}
