"""hand_node: a lifecycle node that turns an image topic into hands.

    image -> NewestFrame -> [worker thread: decode, HandPipeline, publish] -> ~/hands, /tf, ~/markers, ...

The executor's thread only receives; one worker thread sees the newest picture, so that lag never grows.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback

import rclpy
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from maskhand_ros.nodes import parameters
from maskhand_ros.nodes.diagnostics import Diagnostics
from maskhand_ros.nodes.image_subscription import AutoQosSubscription, NewestFrame
from maskhand_ros.nodes.images import BadInput, decode_compressed, decode_image
from maskhand_ros.nodes.messages import is_finite, stamp_to_ns
from maskhand_ros.nodes.outputs import Outputs, diagnostics_publisher
from maskhand_ros.nodes.sidecars import ByStamp, camera_for, depth_for
from maskhand_ros.perception.errors import ModelError
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.types import Frame

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE

PIPELINE_PARAMETERS = (
    'max_hands',
    'detection_threshold',
    'presence_threshold',
    'device',
    'threads',
    'keypoint_set',
    'mirrored_input',
    'detect_interval',
    'hand_length',
    'iterations',
    'hypotheses',
)

SMALL = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For CameraInfo: small messages that every publisher's reliability can serve."""


class HandNode(LifecycleNode):
    """Configure loads and warms up the models, activate starts to look; parameters in parameters.py, topics
    in outputs.py."""

    def __init__(self, **options):
        super().__init__('hand_node', **options)
        self.pipeline = None
        self.diagnostics = Diagnostics(self.get_name())
        self._outputs = self._images = self._depth = self._worker = None
        self._infos, self._depths, self._depth_infos = ByStamp(), ByStamp(), ByStamp()
        self._subscriptions_beside = []
        self._frames = NewestFrame()
        self._running = threading.Event()
        self._time_jumped = threading.Event()
        self._last_stamp = 0
        self._diagnostics_publisher = diagnostics_publisher(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a paused simulation must not silence diagnostics
        self.create_timer(1.0, self._publish_diagnostics, clock=steady)
        self.create_timer(0.5, self._follow_publishers, clock=steady)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=lambda jump: self._time_jumped.set(),
        )
        # last: a value that is refused ends the constructor, and destroy_node needs the rest
        parameters.declare(self)

    # lifecycle

    def on_configure(self, state):
        """Loads the models and warms them up; FAILURE says in the log and in diagnostics what is missing and
        how to get it."""
        values = parameters.read(self)
        config = {name: values[name] for name in PIPELINE_PARAMETERS}
        try:
            self.pipeline = HandPipeline(
                PipelineConfig(
                    weights_dir=values['weights_dir'] or None,
                    hand_model=values['hand_model'] or None,
                    **config,
                )
            )
            self.pipeline.warm_up()
        except ModelError as error:
            self.diagnostics.failure = error.what, error.fix
        except Exception as error:  # rclpy would swallow it; an unexpected one must be seen as well
            self.get_logger().error(traceback.format_exc())
            self.diagnostics.failure = f'{type(error).__name__}: {error}', 'report this with the log above'
        else:
            self.diagnostics.failure = None
            self._outputs = Outputs(self, self.pipeline.hand_model, values)
            self.get_logger().info(f'{self.pipeline.model_name} on {values["device"]} is ready')
            return super().on_configure(state)
        self.pipeline = None
        self.get_logger().error('cannot configure: {}. Fix: {}'.format(*self.diagnostics.failure))
        return FAILURE

    def on_activate(self, state):
        """Subscribes and starts the worker."""
        result = super().on_activate(state)
        self._outputs.publish_topology()
        self._subscribe()
        self._frames.clear()
        self._last_stamp = 0
        self._running.set()
        self._worker = threading.Thread(target=self._work, name='worker', daemon=True)
        self._worker.start()
        self.get_logger().info(f'looking at {self._images.topic}')
        return result

    def on_deactivate(self, state):
        """Stops looking; the models stay loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state):
        """Gives models and publishers back."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state):
        """From any state to the end."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state):
        """Back to unconfigured, so that the node can be configured again."""
        self._stop()
        self._release()
        return super().on_error(state)

    def destroy_node(self):
        """Stops the worker before the handles go."""
        self._stop()
        self._jump_handle.unregister()
        super().destroy_node()

    def _subscribe(self):
        policy = self.get_parameter('image_qos').value
        compressed = self.get_parameter('compressed').value
        self._images = AutoQosSubscription(
            self,
            CompressedImage if compressed else Image,
            'image',
            lambda msg, info: self._frames.put(msg, info),
            policy,
            '/compressed' if compressed else '',
        )
        self._subscriptions_beside = [
            self.create_subscription(CameraInfo, 'camera_info', self._infos.put, SMALL)
        ]
        if self.get_parameter('use_depth').value:
            self._depth = AutoQosSubscription(self, Image, 'depth/image', self._depths.put, policy)
            self._subscriptions_beside.append(
                self.create_subscription(CameraInfo, 'depth/camera_info', self._depth_infos.put, SMALL)
            )

    def _stop(self):
        self._running.clear()
        if self._worker is not None and self._worker is not threading.current_thread():
            self._worker.join(timeout=1.5)
            self._worker = None
        for subscription in (self._images, self._depth):
            if subscription is not None:
                subscription.close()
        for subscription in self._subscriptions_beside:
            self.destroy_subscription(subscription)
        self._images = self._depth = None
        self._subscriptions_beside = []
        if self.pipeline is not None:
            self.pipeline.reset()

    def _release(self):
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = self.pipeline = None

    # timers

    def _follow_publishers(self):
        for subscription in (self._images, self._depth):
            if subscription is not None:
                subscription.follow_publishers()

    def _publish_diagnostics(self):
        model = []
        if self.pipeline is not None:
            model = [
                ('model', self.pipeline.model_name),
                ('hand model', self.pipeline.hand_model.name),
                ('device', self.get_parameter('device').value),
                ('providers', ', '.join(self.pipeline.providers)),
            ]
        self._diagnostics_publisher.publish(
            self.diagnostics.message(
                self.get_clock().now().to_msg(),
                self._state_machine.current_state[1],
                self._images,
                self._frames,
                self.get_parameter('image_timeout').value,
                model,
            )
        )

    # worker thread

    def _work(self):
        while self._running.is_set():
            newest = self._frames.take(timeout=0.1)
            if newest is None or not self._running.is_set():
                continue
            self.diagnostics.started()
            try:
                self._look(*newest)
            except BadInput as error:
                self._count(self.diagnostics.images, error)
            except Exception as error:  # one bad picture must not end the node
                if self._running.is_set() and rclpy.ok(context=self.context):
                    reason = f'{type(error).__name__} while processing'
                    if self.diagnostics.faults.add(reason, f'{error}; report this with the log'):
                        self.get_logger().error(traceback.format_exc())
            self.diagnostics.abandoned()

    def _look(self, msg, arrival):
        """From one image message to everything that is published about it."""
        begin = time.monotonic()
        stamp = self._check_stamp(stamp_to_ns(msg.header.stamp))
        decode = decode_compressed if self.get_parameter('compressed').value else decode_image
        rgb = decode(msg, self.get_parameter('max_image_pixels').value)
        frame = Frame(rgb=rgb, stamp_ns=stamp, camera=self._camera(stamp, rgb))
        frame.depth = self._depth_of(frame)
        decoded = time.monotonic()
        hands = [hand for hand in self.pipeline.process(frame) if self._finite(hand)]
        seen = time.monotonic()
        self._outputs.publish(
            hands, self.pipeline.lost_ids, msg.header, frame, lambda: time.monotonic() - arrival
        )
        end = time.monotonic()
        self.diagnostics.finished(
            len(hands),
            {
                'wait': begin - arrival,
                'decode': decoded - begin,
                **self.pipeline.timings,
                'publish': end - seen,
                'total': end - arrival,
            },
        )

    def _check_stamp(self, stamp):
        """The stamp in ns; a repeated one is refused, one that goes back starts the tracks afresh."""
        if stamp == 0:
            self._count(
                self.diagnostics.images,
                BadInput('zero stamp', 'header.stamp is 0', 'The camera driver must stamp its pictures'),
            )
        elif stamp == self._last_stamp:
            raise BadInput(
                'repeated stamp',
                f'{stamp} ns came twice',
                'Two publishers on one topic, or a driver that does not stamp',
            )
        elif stamp < self._last_stamp:
            self._count(
                self.diagnostics.images,
                BadInput(
                    'time went back',
                    f'by {(self._last_stamp - stamp) * 1e-9:.3f} s',
                    'Tracks start afresh; two publishers on one topic, or a bag that was started again',
                ),
            )
            self._time_jumped.set()
        if self._time_jumped.is_set():
            self._time_jumped.clear()
            self.pipeline.reset()
        self._last_stamp = stamp
        return stamp

    def _camera(self, stamp, rgb):
        """The picture's Camera, or None: then hands have no metric place, and diagnostics say why."""
        try:
            return camera_for(
                self._infos, stamp, rgb.shape[1], rgb.shape[0], self.get_parameter('image_rectified').value
            )
        except BadInput as error:
            self._count(self.diagnostics.calibration, error)
            return None

    def _depth_of(self, frame):
        if not self.get_parameter('use_depth').value:
            return None
        try:
            return depth_for(
                self._depths,
                self._depth_infos,
                frame.stamp_ns,
                frame.camera,
                frame.rgb.shape[1],
                frame.rgb.shape[0],
                self.get_parameter('max_image_pixels').value,
            )
        except BadInput as error:
            self._count(self.diagnostics.images, error)
            return None

    def _finite(self, hand):
        finite = is_finite(hand)
        if not finite:
            self.diagnostics.faults.add(
                'hand with numbers that are not finite', 'it was not published; report this'
            )
        return finite

    def _count(self, faults, error):
        if faults.add(error.reason, error.remedy):
            self.get_logger().warning(str(error))


def main(args=None):
    """Runs the node until SIGINT or SIGTERM; exit code 0 then, 1 for a parameter that cannot be."""
    node = None
    try:
        rclpy.init(args=args)
        node = HandNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except InvalidParameterValueException as error:
        sys.exit(f'hand_node: {error}')
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
