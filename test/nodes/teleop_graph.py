"""An operator, a robot and a real teleop_node on one executor, at real time."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, Transform, TransformStamped, TwistStamped, Vector3
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray, Header, String
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage
from trajectory_msgs.msg import JointTrajectory

from maskhand_ros.msg import HandArray
from maskhand_ros.nodes import messages
from maskhand_ros.nodes.outputs import LATCHED
from maskhand_ros.nodes.teleop_node import TeleopNode
from maskhand_ros.retargeting.config import ROBOTS

URDF = ROBOTS / 'allegro/allegro_hand_right.urdf'
RATE, LONGEST = 100.0, 0.02
SLACK = 0.005
"""Seconds by which a stamp may be off: a loaded machine may interrupt the node between its two clocks."""
PARAMETERS = {
    'rate': RATE,
    'ramp': 0.3,
    'joint_speed': 6.0,
    'joint_acceleration': 60.0,
    'enable_timeout': 2.0,  # the highest values: a loaded machine is slow
    'max_age': 1.0,
    'state_timeout': 2.0,
}
ARM = {'base_frame': 'base', 'tool_frame': 'tool'}


class Operator:
    """A teleop_node in the namespace `name`, and everything around it: hands at 30 Hz, robot state at 50 Hz,
    the switch at 10 Hz, until a test changes what they say."""

    def __init__(self, graph, name, hand, describe=True, clock=None, **values):
        """`hand`: a perception Hand; `describe` False: no robot_description yet; `clock`: of the stamps."""
        self.graph, self.ns, self.node = graph, f'/{name}', None
        self.hand, self.curl, self.sees, self.pressed = hand, 0.0, True, True
        self.engages_again = True  # where a stall of this machine silenced the switch
        self.age, self.spoil, self.lost_ids = 0.03, None, []
        self.robot_speaks, self.tool = True, np.array([0.3, 0.0, 0.4])
        self.clock = clock or Clock(clock_type=ClockType.SYSTEM_TIME)
        parameters = {**PARAMETERS, **values}
        self.node = graph.add(
            TeleopNode(
                namespace=name,
                cli_args=['--ros-args', *self._remapped('/diagnostics', '/tf', '/tf_static')],
                parameter_overrides=[Parameter(key, value=value) for key, value in parameters.items()],
            )
        )
        own = f'{self.ns}/teleop_node'
        self.commands = graph.hear(JointState, f'{own}/joint_states', 1000)
        self.trajectories = graph.hear(JointTrajectory, f'{own}/joint_trajectory', 1000)
        self.arrays = graph.hear(Float64MultiArray, f'{own}/commands', 1000)
        self.targets = graph.hear(PoseStamped, f'{own}/arm_target', 1000)
        self.twists = graph.hear(TwistStamped, f'{own}/arm_twist', 1000)
        self.states = graph.hear(DiagnosticStatus, f'{own}/state', LATCHED)
        self.diagnostics = graph.hear(DiagnosticArray, f'{self.ns}/diagnostics', 10)
        self._description = graph.node.create_publisher(String, f'{self.ns}/robot_description', LATCHED)
        if describe:
            self.describe(URDF.read_text())
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        if describe:
            graph.wait(lambda: self.node.retargeter is not None)
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self._topics(values)
        self._services = {
            'engage': graph.node.create_client(SetBool, f'{own}/engage'),
            'change': graph.node.create_client(ChangeState, f'{own}/change_state'),
            'calibrate': graph.node.create_client(Trigger, f'{own}/calibrate'),
        }
        graph.wait(lambda: all(service.service_is_ready() for service in self._services.values()))

    def _remapped(self, *topics):
        return [word for topic in topics for word in ('-r', f'{topic}:={self.ns}{topic}')]

    def _topics(self, values):
        publisher, steady = self.graph.node.create_publisher, Clock(clock_type=ClockType.STEADY_TIME)
        self._hands = publisher(HandArray, f'{self.ns}/hands', 1)
        self._robot = publisher(JointState, f'{self.ns}/joint_states', 10)
        self._enable = publisher(Bool, f'{self.ns}/enable', 10)
        self._tf = publisher(TFMessage, f'{self.ns}/tf', 10)
        for hz, callback in ((30, self.show), (50, self.report), (10, self.press)):
            self.graph.node.create_timer(1 / hz, callback, clock=steady)
        self.has_arm = bool(values.get('base_frame'))

    def describe(self, text):
        """Publishes robot_description."""
        self._description.publish(String(data=text))

    def show(self):
        """One message of hands, as the operator holds them now."""
        stamp = messages.ns_to_stamp(max(0, self.clock.now().nanoseconds - round(self.age * 1e9)))
        array = HandArray(header=Header(stamp=stamp, frame_id='camera'))
        if self.sees is None:
            return
        if self.sees:
            hand = messages.hand_to_msg(self.hand(self.curl))
            array.hands = [hand]
            if self.spoil is not None:
                self.spoil(hand)
        self._hands.publish(array)

    def report(self):
        """The robot's state: where the last command sent it; and its TF."""
        if not self.robot_speaks:
            return
        if self.node.retargeter is not None:
            names = self.node.retargeter.joint_names
            joints = list(self.commands[-1].position) if self.commands else [0.3] * len(names)
            self._robot.publish(JointState(name=list(names), position=joints))
        if self.has_arm:
            p = self.targets[-1].pose if self.targets else None
            place = self.tool if p is None else (p.position.x, p.position.y, p.position.z)
            tool = Transform(translation=Vector3(x=float(place[0]), y=float(place[1]), z=float(place[2])))
            if p is not None:
                tool.rotation = p.orientation
            transforms = [(tool, 'tool'), (Transform(), 'camera')]
            self._tf.publish(
                TFMessage(
                    transforms=[
                        TransformStamped(header=Header(frame_id='base'), child_frame_id=child, transform=each)
                        for each, child in transforms
                    ]
                )
            )

    def press(self):
        """One message of the switch; engages again after a silence that the test did not ask for."""
        if self.pressed is not None:
            self._enable.publish(Bool(data=self.pressed))
        if self.engages_again and self.states and 'switch was silent' in self.states[-1].message:
            self._services['engage'].call_async(SetBool.Request(data=True))

    def engage(self, wanted=True):
        """The answer of ~/engage."""
        return self.graph.ask(self._services['engage'], SetBool.Request(data=wanted))

    def change(self, transition):
        """Goes through a transition of the lifecycle, in the executor's thread."""
        request = ChangeState.Request(transition=Transition(id=transition))
        assert self.graph.ask(self._services['change'], request).success

    def calibrate(self):
        """The answer of ~/calibrate."""
        return self.graph.ask(self._services['calibrate'], Trigger.Request())

    def wait(self, state, says=''):
        """The state of ~/state, once it is this one and its reason says so."""
        start = len(self.states) - 1

        def told():
            for status in self.states[max(0, start) :]:
                values = {value.key: value.value for value in status.values}
                if values['state'] == state and says in values['reason']:
                    return status
            return None

        try:
            return self.graph.wait(told)
        except AssertionError:
            raise AssertionError(f'no {state} "{says}" in {[s.message for s in self.states[-5:]]}') from None

    def engaged(self):
        """Engages and waits for it."""
        assert self.engage().success
        self.wait('engaged')
        return self

    def moves(self, curl=1.0):
        """The hand closes; returns once the commands move."""
        self.curl = curl
        self.graph.wait(lambda: np.abs(self.commands[-1].velocity).max() > 1.0)

    def rests(self, number=10):
        """Returns once the last `number` commands are the same."""
        self.graph.wait(lambda: np.ptp([c.position for c in self.commands[-number:]], axis=0).max() < 1e-6)

    def assert_within_limits(self, speed=6.0, acceleration=60.0):
        """All that was commanded, from messages alone: steps, speeds, and speeding up."""
        self.graph.wait(lambda: len(self.commands) > 20)
        commands, targets = list(self.commands), list(self.targets)  # more may come meanwhile
        positions = np.array([command.position for command in commands])
        lower, upper, _ = self.node.retargeter.limits
        assert np.isfinite(positions).all()
        assert (positions >= lower - 1e-9).all() and (positions <= upper + 1e-9).all()
        steps = np.abs(np.diff(positions, axis=0)).max(1)
        assert steps.max() <= speed * LONGEST + 1e-9, f'a step of {steps.max():.3f} rad'
        times = np.array([messages.stamp_to_ns(c.header.stamp) * 1e-9 for c in commands])
        velocities = np.array([command.velocity for command in commands])
        gaps = np.diff(times)
        if (gaps > 0).all():  # else the clock was set
            gaps += SLACK
            assert (steps - speed * gaps).max() <= 0
            excess = np.abs(np.diff(velocities, axis=0)).max(1) - acceleration * gaps
            assert excess[gaps < LONGEST + SLACK].max() <= 0
        faster = np.abs(velocities[1:]) - np.abs(velocities[:-1])
        assert faster.max() <= acceleration * LONGEST + 1e-9
        if targets:
            places = np.array([(p.x, p.y, p.z) for p in (target.pose.position for target in targets)])
            assert np.abs(np.diff(places, axis=0)).max() <= 0.5 * LONGEST + 1e-9
