"""Retargeting: keypoints of a hand in its wrist frame to joint angles of a robot hand.

Each frame minimizes, within the limits of position, velocity and collision, the weighted squared errors of
vectors between links (scaled vectors of the hand), of the distances from thumb tip to fingertips that the
hand brings together, and of the step: a quadratic program of mink, solved by daqp. A finger of which the
keypoints are uncertain is held where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskhand_ros.errors import FieldError
from maskhand_ros.retargeting.alignment import wrist_axes
from maskhand_ros.retargeting.calibration import flat_hand, length_along
from maskhand_ros.retargeting.collisions import collision_limit, contact_distances
from maskhand_ros.retargeting.config import RetargetingConfig
from maskhand_ros.retargeting.robot_hand import RobotHand
from maskhand_ros.retargeting.step_solver import StepSolver
from maskhand_ros.retargeting.target_filter import TargetFilter
from maskhand_ros.retargeting.tasks import PinchTask, VectorTask
from maskhand_ros.skeleton import FINGERS, TIP_KEYPOINTS

PINCH_WEIGHT = 80.0
"""Weight of a closed pinch; vectors have 1."""
UNSURE = 0.012
"""Standard deviation of a keypoint, m, that halves the weight of its finger."""
HOLD_ABOVE, RELEASE_BELOW = 0.030, 0.022
"""Standard deviation of a fingertip, m, above which the finger is held, and below which it moves again."""
LONGEST_STEP, SHORTEST_STEP = 0.1, 1e-3
"""Bounds of the time step, s: after a pause the joints may not move by more than in LONGEST_STEP."""


@dataclass(frozen=True)
class RetargetedHand:
    """Result of one frame, of a robot with N commanded joints and F fingers."""

    joints: np.ndarray
    """(N,) rad, in the order of `Retargeter.joint_names`."""
    tip_error: np.ndarray
    """(F,) m: distance of each fingertip from its scaled target; fingers as in `Retargeter.fingers`."""
    pinch_distance: np.ndarray
    """(F,) m: gap between the surfaces of thumb tip and fingertip; NaN for the thumb. Without primitive
    geoms at the tips, the distance of the tip links."""
    pinching: tuple[str, ...]
    """Fingers that the operator holds to the thumb."""
    held_fingers: tuple[str, ...]
    """Fingers that were not moved, for the keypoints are uncertain; all, if the solver found no step."""
    solved: bool = True
    """False if the solver found no step within the limits: the joints were held."""


class Retargeter:
    """Retargeting to one robot hand; keeps the joints of the last frame."""

    def __init__(self, robot: RobotHand, config: RetargetingConfig) -> None:
        self._robot, self._config = robot, config
        self.joint_names = robot.joint_names
        lower, upper, velocity = robot.limits
        self.limits = lower, upper, np.minimum(velocity, config.joint_velocity)
        self._wrist = robot.body(config.wrist_link) if config.wrist_link else 0
        tips = {finger: robot.body(link) for finger, link in sorted(config.tips.items())}
        self._fingers = sorted(tips)
        self.fingers = tuple(FINGERS[f] for f in self._fingers)
        pairs = [(robot.body(v.origin) if v.origin else 0, robot.body(v.tip)) for v in config.vectors]
        self._vectors = VectorTask(robot.model, pairs)
        self._human = np.array([v.human for v in config.vectors])
        self._of_finger = np.array([v.finger for v in config.vectors])
        self._weights = np.array([v.weight for v in config.vectors])
        self.scaling = np.array(config.scaling)
        self._tip_vector = self._tip_vectors()
        self._axes = config.wrist_rotation
        if self._axes is None:
            self._axes = wrist_axes(robot, self._wrist, [tips[f] for f in self._fingers if f])
        self._pinched = [f for f in self._fingers if f] if 0 in tips else []
        pairs = [(tips[0], tips[f]) for f in self._pinched]
        self._pinch = PinchTask(robot.model, pairs)
        self._contact = contact_distances(robot.model, pairs)
        self._own = {f: self._own_joints(tips[f], [tips[g] for g in self._fingers if g != f]) for f in tips}
        self._held: set[int] = set()
        self._filter = TargetFilter(self._of_finger)
        tasks = [self._vectors, self._pinch] if self._pinched else [self._vectors]
        self._solver = StepSolver(robot, tasks, collision_limit(robot, self._wrist, tips))
        self._configuration = self._solver.configuration
        self.reset()

    @classmethod
    def shipped(cls, name: str = 'allegro_right') -> Retargeter:
        """The Retargeter of a hand that is part of the package: see `config.SHIPPED`."""
        config = RetargetingConfig.shipped(name)
        return cls(RobotHand.load(str(config.robot_path), config.joint_names), config)

    @property
    def joints(self) -> np.ndarray:
        """(N,) joints of the last frame, or of `reset`."""
        return self._joints.copy()

    def reset(self, joints: np.ndarray | None = None) -> None:
        """Start from `joints` (N,), the robot's state; None: from rest. FieldError for another shape."""
        lower, upper, _ = self.limits
        start = np.clip(0.0, lower, upper) if joints is None else np.array(joints, float)
        if start.shape != lower.shape or not np.isfinite(start).all():
            raise FieldError(
                f'joints of the robot have shape {start.shape}', f'give {len(lower)} finite angles in radians'
            )
        self._joints = start
        self._held.clear()
        self._filter.reset()
        self._solver.move(start)

    def calibrate(self, keypoints_wrist_frames: np.ndarray) -> np.ndarray:
        """Set the scaling from frames (T, 21, 3) of the operator's flat hand, wrist frame, metres; returns it
        (P,), one for each vector. FieldError where the hand is not flat or moves."""
        hand = flat_hand(keypoints_wrist_frames)
        start = self._configuration.q
        self._configuration.update(self._robot.rest)
        robot = np.linalg.norm(self._vectors.vectors(self._configuration), axis=1)
        self._configuration.update(start)
        human = np.array([length_along(hand, *pair) for pair in self._human])
        self.scaling = robot / human
        return self.scaling.copy()

    def __call__(self, keypoints_wrist: np.ndarray, stddev: np.ndarray, dt: float) -> RetargetedHand:
        """Joints for keypoints (21, 3) in the wrist frame, m, with standard deviations (21,), m, `dt` seconds
        after the last frame. FieldError for other shapes or values that are not finite."""
        keypoints, stddev = np.asarray(keypoints_wrist, float), np.asarray(stddev, float)
        if keypoints.shape != (21, 3) or not np.isfinite(keypoints).all():
            raise FieldError(f'keypoints have shape {keypoints.shape} or hold NaN', 'give finite (21, 3)')
        if stddev.shape != (21,) or not np.isfinite(stddev).all() or not np.isfinite(dt):
            raise FieldError(f'stddev has shape {stddev.shape}, or NaN, or dt is NaN', 'give finite (21,)')
        dt = min(max(dt, SHORTEST_STEP), LONGEST_STEP)
        self._hold(stddev)
        closeness = self._aim(keypoints, stddev, dt)
        solved = self._solve(dt)
        return self._result(closeness, solved)

    def _hold(self, stddev: np.ndarray) -> None:
        for finger in self._fingers:
            sigma = stddev[4 * finger + 1 : 4 * finger + 5].max()
            if sigma > HOLD_ABOVE:
                self._held.add(finger)
            elif sigma < RELEASE_BELOW:
                self._held.discard(finger)

    def _aim(self, keypoints: np.ndarray, stddev: np.ndarray, dt: float) -> np.ndarray:
        """Set targets and weights of the tasks; returns the closeness (P,) of each pair of tips, 0 to 1."""
        world = self._configuration.data.xmat[self._wrist].reshape(3, 3) @ self._axes
        vectors = keypoints[self._human[:, 1]] - keypoints[self._human[:, 0]]
        trust = 1 / (1 + (stddev / UNSURE) ** 2)
        of_vectors = trust[self._human].min(1)
        sigma = self.scaling * stddev[self._human].max(1)
        vectors = self._filter(self.scaling[:, None] * vectors, sigma, of_vectors, dt)
        self._vectors.targets = vectors @ world.T
        tips = np.array(TIP_KEYPOINTS)[self._pinched]
        distance = np.linalg.norm(keypoints[tips] - keypoints[TIP_KEYPOINTS[0]], axis=1)
        near, far = self._config.pinch_near, self._config.pinch_far
        away = np.clip((distance - near) / (far - near), 0, 1)
        closeness = (1 - away) ** 2 * (1 + 2 * away)
        free = np.array([f not in self._held for f in range(len(FINGERS))])
        weights = self._weights * of_vectors * free[self._of_finger]
        self._vectors.weigh(np.maximum(weights, 1e-9))
        scale = float(np.mean(self.scaling[self._tip_vector[self._pinched]])) if self._pinched else 1.0
        self._pinch.targets = self._contact + away * np.maximum(scale * far - self._contact, 0)
        both = np.minimum(trust[tips], trust[TIP_KEYPOINTS[0]])
        movable = free[self._pinched] | free[0]
        self._pinch.weigh(PINCH_WEIGHT * closeness * both * movable)
        return closeness

    def _solve(self, dt: float) -> bool:
        """Move the configuration by one frame; returns False, unmoved, where no step is within the limits."""
        start = self._joints
        lower, upper, velocity = self.limits
        reach = velocity * dt
        low, high = (np.clip(end - start, -reach, reach) for end in (lower, upper))
        for finger in self._held:
            low[self._own[finger]] = high[self._own[finger]] = 0.0
        step = self._solver.step(start, low, high)
        if step is None:
            return False
        self._joints = start + step
        return True

    def _result(self, closeness: np.ndarray, solved: bool) -> RetargetedHand:
        errors = self._vectors.vectors(self._configuration) - self._vectors.targets
        gaps = np.full(len(self._fingers), np.nan)
        if self._pinched:
            distances = self._pinch.distances(self._configuration) - self._contact
            gaps[[self._fingers.index(f) for f in self._pinched]] = distances
        held = self._held if solved else set(self._fingers)
        return RetargetedHand(
            joints=self.joints,
            tip_error=np.linalg.norm(errors, axis=1)[self._tip_vector[self._fingers]],
            pinch_distance=gaps,
            pinching=tuple(FINGERS[f] for f, c in zip(self._pinched, closeness, strict=True) if c > 0.5),
            held_fingers=tuple(FINGERS[f] for f in sorted(held)),
            solved=solved,
        )

    def _tip_vectors(self) -> np.ndarray:
        """(5,) the vector that ends at the tip of each finger, the longest; 0 where there is none."""
        found = np.zeros(len(FINGERS), int)
        # The last in this order stays: the one that starts nearest to the wrist.
        for number in sorted(range(len(self._human)), key=lambda n: -self._human[n, 0]):
            if self._human[number, 1] in TIP_KEYPOINTS:
                found[self._of_finger[number]] = number
        return found

    def _own_joints(self, tip: int, others: list[int]) -> list[int]:
        """Columns of the commanded joints that move this tip and none of the `others`."""
        own = self._robot.joints_between(tip, self._wrist)
        own -= {joint for other in others for joint in self._robot.joints_between(other, self._wrist)}
        return [
            column
            for column, joints in enumerate(self._robot.expansion.T)
            if set(np.flatnonzero(joints).tolist()) & own
        ]
