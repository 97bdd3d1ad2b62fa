"""An operator, a robot and a TeleopSession on a clock of the test's own."""

from types import SimpleNamespace

import numpy as np

from maskhand_ros.errors import BadInput
from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.records import HandSample, Pose
from maskhand_ros.teleoperation.session import TeleopSession

TICK = 0.01
PAUSE = 0.0201


class Bend:
    """A retargeting of one number: how far the middle fingertip is from the wrist moves every joint."""

    joint_names = 'a', 'b', 'c'
    limits = np.full(3, -1.0), np.full(3, 2.0), np.array([3.0, 50.0, 50.0])

    def __init__(self):
        self.begun_at, self.fails = [], None

    def reset(self, joints):
        self.begun_at.append(np.array(joints))

    def __call__(self, keypoints_wrist, stddev, dt):
        if self.fails is not None:
            raise self.fails
        return SimpleNamespace(joints=np.full(3, 10 * (0.2 - keypoints_wrist[12, 0])))


class Rig:
    """Everything is well until the test changes it; `run` lets time pass."""

    def __init__(self, arm=True, **options):
        self.retarget = Bend()
        self.has_arm = arm
        self.tool = Pose(np.array([0.3, 0.0, 0.4]), np.eye(3)) if arm else None
        self.config = TeleopConfig(**{'joint_speed': 6.0, 'joint_acceleration': 60.0, **options})
        self.session = TeleopSession(self.config, self.retarget, (lambda: self.tool) if arm else None)
        self.now, self.ros_offset = 100.0, 1e9
        self.pressed, self.measured = True, [0.5, 0.5, 0.5]
        self.id, self.confidence, self.bend, self.wrist = 1, 0.9, 0.7, np.array([0.0, 0.0, 0.6])
        self.turn, self.latency, self.sees, self.tracked, self.spoil = np.zeros(3), 0.05, True, True, None
        self.joint_names, self.stuck = Bend.joint_names, False
        self.commands, self.refusals, self.told = [], [], []
        self._tick = 0

    def engaged(self):
        """Engages, and waits until the ramp is over."""
        self.session.consent.engage(True)
        self.run(0.3 + self.config.ramp + 0.2)
        assert self.state == 'engaged', self.reason
        return self

    def run(self, seconds, tick=TICK):
        """Time passes; hands come at about 33 Hz, the switch at 10 Hz, joint states at 50 Hz."""
        for _ in range(round(seconds / tick)):
            self.now += tick
            self._tick += 1
            if self._tick % 10 == 0 and self.pressed is not None:
                self.session.consent.put(self.pressed, self.now)
            if self._tick % 2 == 0 and self.measured is not None:
                self.session.robot.put(self.joint_names, self.measured, self.now)
            if self._tick % 3 == 0 and self.sees:
                self.put_hand()
            self.step()

    def put_hand(self):
        keypoints = np.zeros((21, 3))
        keypoints[12, 0] = 0.2 - self.bend / 10
        fields = dict(
            stamp_ns=round((self.now - self.latency + self.ros_offset) * 1e9),
            id=self.id,
            is_tracked=self.tracked,
            confidence=self.confidence,
            keypoints_wrist=keypoints,
            stddev=np.full(21, 0.005),
            wrist=Pose(self.wrist, rotvec_to_matrix(self.turn)) if self.has_arm else None,
        )
        if self.spoil is not None:
            self.spoil(fields)
        try:
            self.session.put_hand(HandSample(**fields), self.latency, self.now)
        except BadInput as refusal:
            self.refusals.append(f'{refusal.reason}: {refusal.seen}')

    def step(self):
        command = self.session.step(self.now)
        if self.told[-1:] != [(self.state, self.reason)]:
            self.told.append((self.state, self.reason))
        if command is not None:
            self.commands.append((self.now, command))
            self.measured = list(command.joints) if self.measured is not None else None
            if self.tool is not None and not self.stuck:
                self.tool = command.arm.pose

    @property
    def state(self):
        return str(self.session.engagement.state)

    @property
    def reason(self):
        return self.session.engagement.reason

    @property
    def joints(self):
        """The last joints commanded."""
        return self.commands[-1][1].joints

    @property
    def arm(self):
        """The last pose commanded."""
        return self.commands[-1][1].arm.pose


def assert_within_limits(commands, config, joint_speeds=(3.0, 6.0, 6.0)):
    """Speed and acceleration of everything commanded, from times and positions alone."""
    times = np.array([time for time, _ in commands])
    joints = np.array([command.joints for _, command in commands])
    assert_bounded(times, joints, np.minimum(joint_speeds, config.joint_speed), config.joint_acceleration)
    if commands[0][1].arm is not None:
        places = np.array([command.arm.pose.position for _, command in commands])
        assert_bounded(times, places, config.arm_speed, config.arm_acceleration)
        assert (places >= np.array(config.workspace[:3]) - 1e-9).all()
        assert (places <= np.array(config.workspace[3:]) + 1e-9).all()
        turns = np.array([command.arm.pose.rotation for _, command in commands])
        cosines = (np.einsum('nij,nij->n', turns[1:], turns[:-1]) - 1) / 2
        speeds = np.arccos(np.clip(cosines, -1, 1)) / np.diff(times)
        assert speeds.max() <= config.turn_speed * 1.001


def assert_bounded(times, positions, speed, acceleration):
    """Both bounds hold between consecutive commands. Into a pause nobody can brake: after it the acceleration
    counts from the speed that the pause left."""
    steps = np.diff(times)[:, None]
    velocities = np.diff(positions, axis=0) / steps
    assert (np.abs(velocities) <= speed + 1e-6).all(), np.abs(velocities).max(0)
    changes = np.diff(velocities, axis=0) / np.minimum(steps[1:], steps[:-1])
    changes = changes[steps[1:, 0] <= PAUSE]
    assert (np.abs(changes) <= acceleration * 1.001 + 1e-6).all(), np.abs(changes).max(0)
