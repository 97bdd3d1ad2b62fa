"""What the soak does to a hand_node. A function of a Soak each: it ends with everything in order again."""

import time
from functools import partial

import hostile
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rclpy.qos import ReliabilityPolicy

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
ENCODINGS = {'rgb8': 3, 'bgr8': 3, 'mono8': 1, 'yuv422_yuy2': 2}
SECOND = 1_000_000_000


def silence(soak):
    """The camera sends nothing for 1 to 5 s."""
    with soak.camera.silence():
        time.sleep(soak.rng.uniform(1, 5))


def other_reliability(soak):
    """The camera's publishers go and come back with the other reliability."""
    soak.camera.offer(BEST_EFFORT if soak.camera.reliability == RELIABLE else RELIABLE)


def new_camera(soak):
    """The camera's node and its DDS participant end, and others start."""
    soak.camera.unplug()
    time.sleep(soak.rng.uniform(0, 3))
    soak.camera.plug()


def time_jumps(soak):
    """Stamps leap up to 10 s, back and forth, three times within 1 s; then they are right again."""
    for _ in range(3):
        soak.camera.offset_ns = round(soak.rng.uniform(-10, 10) * SECOND)
        time.sleep(soak.rng.uniform(0.1, 0.4))
    soak.camera.offset_ns = 0


def corrupt_pictures(soak):
    """For 1 to 3 s bent pictures and CameraInfos come in place of the camera's."""
    soak.camera.spoil = partial(_bent, soak.rng)
    time.sleep(soak.rng.uniform(1, 3))
    soak.camera.spoil = None


def _bent(rng):
    return hostile.camera_info(rng, 640, 480), hostile.image(rng, ENCODINGS)


def _integer(value):
    return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)


def _double(value):
    return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)


def _boolean(value):
    return ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)


LIVE = {
    'image_timeout': (_double(2.0), _double(0.1), _double(float('nan')), _integer(2)),
    'publish_tf': (_boolean(True), _boolean(False), _integer(1)),
    'publish_vertices': (_boolean(True), _boolean(False), ParameterValue(type=200)),
    'jpeg_quality': (_integer(85), _integer(1), _integer(101), ParameterValue()),
    'use_sim_time': (_boolean(False), _boolean(True)),
}
"""The node's own value of each, which ends the storm, and others, good and bad."""
NOT_WHILE_ACTIVE = {
    'max_image_pixels': (_integer(1000), _double(0.5)),
    'threads': (_integer(4),),
    'device': (_double(1.0),),
    'no_such_name': (_integer(1),),
}


def parameter_storm(soak):
    """200 to 600 requests to set parameters, live ones and others, to values good and bad."""
    choices = [(name, value) for name, values in {**LIVE, **NOT_WHILE_ACTIVE}.items() for value in values]
    for _ in range(soak.rng.randint(20, 60)):
        for name, value in soak.rng.choices(choices, k=10):
            soak.node.set([Parameter(name=name, value=value)], wait=False)
        time.sleep(0.03)
    restored = [Parameter(name=name, value=values[0]) for name, values in LIVE.items()]
    assert all(result.successful for result in soak.node.set(restored))


def deactivate(soak):
    """Lifecycle: inactive for up to 2 s."""
    soak.node.change('deactivate')
    time.sleep(soak.rng.uniform(0, 2))
    soak.node.change('activate')


def clean_up(soak):
    """Lifecycle: all the way back to unconfigured."""
    soak.node.change('deactivate', 'cleanup', 'configure', 'activate')


FAULTS = (
    silence,
    other_reliability,
    new_camera,
    time_jumps,
    corrupt_pictures,
    parameter_storm,
    deactivate,
    clean_up,
)
