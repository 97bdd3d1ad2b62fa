"""The teleoperator `maskhand`: camera, hand pipeline, retargeting and bounds of maskhand_ros, without ROS."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from lerobot.teleoperators.teleoperator import Teleoperator

from lerobot_teleoperator_maskhand.config_maskhand import MaskHandConfig
from maskhand_ros.errors import BadInput, FieldError
from maskhand_ros.geometry import Camera, matrix_to_rotvec
from maskhand_ros.perception.config import PipelineConfig
from maskhand_ros.perception.pipeline import HandPipeline
from maskhand_ros.perception.types import Frame, Hand
from maskhand_ros.retargeting import Retargeter, RetargetingConfig, RobotHand
from maskhand_ros.skeleton import Handedness
from maskhand_ros.teleoperation.config import TeleopConfig
from maskhand_ros.teleoperation.pipeline_hands import operator_of, sample_of
from maskhand_ros.teleoperation.records import Pose
from maskhand_ros.teleoperation.session import TeleopSession

ARM = 'arm.x', 'arm.y', 'arm.z', 'arm.rx', 'arm.ry', 'arm.rz'
TICK = 0.01
"""Seconds between commands, of which the last of each frame is the action."""
FLAT_SECONDS = 1.0
"""Of a flat hand, for calibration."""
REACH = (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
"""Box of the arm's motion, m: lowest x, y, z, highest x, y, z."""
_START = Pose(np.zeros(3), np.eye(3))


class MaskHand(Teleoperator):
    """One hand of the operator. `get_action` reads the next image and returns joint positions in radians;
    while no hand is followed it repeats the last ones, and begins with those of the open hand."""

    config_class = MaskHandConfig
    name = 'maskhand'

    def __init__(self, config: MaskHandConfig) -> None:
        super().__init__(config)
        self.config = config
        self._side = Handedness[config.side.upper()]
        self._retargeter = _retargeter(config)
        self._capture: cv2.VideoCapture | None = None
        self._flat: list[np.ndarray] = []
        self._is_calibrated = False

    @property
    def action_features(self) -> dict[str, type]:
        """{joint.pos: float}, and ARM where the arm is asked for."""
        arm = ARM if self.config.arm else ()
        return {
            **{f'{name}.pos': float for name in self._retargeter.joint_names},
            **dict.fromkeys(arm, float),
        }

    @property
    def feedback_features(self) -> dict[str, type]:
        """Nothing: a camera feels no force."""
        return {}

    @property
    def is_connected(self) -> bool:
        """Whether the camera is open."""
        return self._capture is not None

    def connect(self, calibrate: bool = True) -> None:
        """Opens the camera. `calibrate`: scale to the operator's hand as soon as it is held flat for a
        second; until then that of a mean hand is used."""
        is_camera = self.config.source.isdigit()
        if not is_camera and not Path(self.config.source).is_file():
            raise FileNotFoundError(
                f'no video {self.config.source}. Fix: give a file, or the number of a camera'
            )
        capture = cv2.VideoCapture(int(self.config.source) if is_camera else self.config.source)
        if not capture.isOpened():
            raise ConnectionError(f'cannot open {self.config.source}. Fix: check the camera with `v4l2-ctl`')
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._rate = None if is_camera else capture.get(cv2.CAP_PROP_FPS) or 30.0
        self._is_calibrated = not calibrate
        self._pipeline = HandPipeline(PipelineConfig())
        limits = TeleopConfig(
            dead_man=False, rate=1 / TICK, joint_speed=self.config.joint_speed, workspace=REACH
        )
        self._session = TeleopSession(limits, self._retargeter, self._tool if self.config.arm else None)
        lower, upper, _ = self._retargeter.limits
        self._joints, self._arm, self._frames = np.clip(0.0, lower, upper), _START, 0
        self._now = 0.0
        self._capture = capture

    @property
    def is_calibrated(self) -> bool:
        """Whether the scaling is that of the operator's hand."""
        return self._is_calibrated

    def calibrate(self) -> None:
        """Calibrate anew with the next flat second."""
        self._is_calibrated, self._flat = False, []

    def configure(self) -> None:
        """Nothing to configure."""

    def get_action(self) -> dict[str, float]:
        """The action for the next image. ConnectionError without a camera, or at the end of a video."""
        if self._capture is None:
            raise ConnectionError('the teleoperator is not connected. Fix: call connect()')
        ok, image = self._capture.read()
        if not ok:
            raise ConnectionError(f'no more images from {self.config.source}')
        now = time.monotonic() if self._rate is None else self._frames / self._rate
        self._frames += 1
        camera = Camera.default(image.shape[1], image.shape[0])
        frame = Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), round(now * 1e9), camera)
        hands = self._pipeline.process(frame)
        hand = operator_of(hands, self._side)
        self._advance(now)
        if hand is not None:
            self._put(hand, frame.stamp_ns, now)
        return self._action()

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        """Nothing to feed back to."""

    def disconnect(self) -> None:
        """Closes the camera."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None

    def _advance(self, now: float) -> None:
        """Commands up to `now`; the robot is taken to be where it was commanded."""
        self._now = max(self._now, now - 20 * TICK)
        while self._now + TICK <= now + 1e-9:
            self._now += TICK
            self._session.robot.put(self._retargeter.joint_names, self._joints.tolist(), self._now)
            command = self._session.step(self._now)
            if command is not None:
                self._joints = command.joints
                self._arm = self._arm if command.arm is None else command.arm.pose

    def _put(self, hand: Hand, stamp_ns: int, now: float) -> None:
        self._watch_flat(hand)
        try:
            self._session.put_hand(sample_of(hand, stamp_ns), 0.0, now)
        except BadInput:
            pass  # the session holds the last command, and counts the loss

    def _watch_flat(self, hand: Hand) -> None:
        if self._is_calibrated:
            return
        frames = round(FLAT_SECONDS * (self._rate or 30.0))
        self._flat = [*self._flat[-frames:], hand.keypoints_wrist]
        if len(self._flat) > frames:
            try:
                self._retargeter.calibrate(np.stack(self._flat))
            except FieldError:
                return  # not flat, or not still: the next second may be
            self._is_calibrated = True

    def _tool(self) -> Pose:
        return self._arm

    def _action(self) -> dict[str, float]:
        names = [f'{name}.pos' for name in self._retargeter.joint_names]
        action = dict(zip(names, self._joints.tolist(), strict=True))
        if self.config.arm:
            turn = matrix_to_rotvec(self._arm.rotation[None])[0]
            action.update(zip(ARM, [*self._arm.position.tolist(), *turn.tolist()], strict=True))
        return action


def _retargeter(config: MaskHandConfig) -> Retargeter:
    if not config.retargeting:
        return Retargeter.shipped(f'allegro_{config.side}')
    found = RetargetingConfig.load(config.retargeting)
    if found.robot_path is None:
        raise ValueError(f'{config.retargeting} has no urdf_path. Fix: name the URDF of the robot hand')
    return Retargeter(RobotHand.load(found.robot_path, found.joint_names), found)
