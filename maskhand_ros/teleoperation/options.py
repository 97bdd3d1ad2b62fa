"""Declaration of the options of teleoperation: name, type, range, unit, default, meaning.

The parameters of teleop_node and TeleopConfig are made from TELEOP_OPTIONS; config/teleop.yaml lists the same
names and defaults.
"""

from __future__ import annotations

from typing import Any

from maskhand_ros.option import Option, ReadAt

START, ACTIVATE = ReadAt.START, ReadAt.ACTIVATE

_DECLARED = (
    # the hands
    Option('side', 'right', "side of the operator's hand that is followed", choices=('right', 'left')),
    Option(
        'robot',
        '',
        "URDF or MJCF file of the robot's hand; empty: the topic robot_description",
        read_at=START,
    ),
    Option(
        'retargeting',
        '',
        'retargeting configuration (YAML); empty: the one shipped for Allegro',
        read_at=START,
    ),
    Option('joints', ('',), 'joints in the order of ~/commands; empty: the order of the robot model'),
    # the arm
    Option(
        'base_frame',
        '',
        'TF frame of ~/arm_target and of the workspace; empty: no arm',
        read_at=ACTIVATE,
    ),
    Option('tool_frame', '', 'TF frame that ~/arm_target moves: its pose is the start', read_at=ACTIVATE),
    Option('arm_scale', 1.0, 'motion of the arm per motion of the hand', (0.05, 5.0), read_at=ACTIVATE),
    Option(
        'workspace',
        (-1.0, -1.0, 0.0, 1.0, 1.0, 1.5),
        'box in base_frame that ~/arm_target does not leave: lowest x, y, z, highest x, y, z',
        (-10.0, 10.0),
        'm',
        read_at=ACTIVATE,
    ),
    # limits of commands
    Option('rate', 100.0, 'commands per second', (20.0, 500.0), 'Hz', read_at=ACTIVATE),
    Option(
        'joint_speed',
        8.0,
        "highest speed of a joint; a lower limit of the robot's model holds too",
        (0.05, 20.0),
        'rad/s',
        read_at=ACTIVATE,
    ),
    Option(
        'joint_acceleration',
        200.0,
        'highest acceleration of a joint',
        (0.5, 1000.0),
        'rad/s^2',
        read_at=ACTIVATE,
    ),
    Option(
        'arm_speed', 0.5, 'highest speed of ~/arm_target on each axis', (0.01, 3.0), 'm/s', read_at=ACTIVATE
    ),
    Option(
        'arm_acceleration',
        3.0,
        'highest acceleration of ~/arm_target on each axis',
        (0.05, 50.0),
        'm/s^2',
        read_at=ACTIVATE,
    ),
    Option(
        'turn_speed', 1.5, 'highest speed of turning of ~/arm_target', (0.05, 10.0), 'rad/s', read_at=ACTIVATE
    ),
    Option(
        'turn_acceleration',
        9.0,
        'highest acceleration of turning of ~/arm_target',
        (0.2, 100.0),
        'rad/s^2',
        read_at=ACTIVATE,
    ),
    Option(
        'ramp',
        1.0,
        'time after engaging in which the speed limits rise from zero',
        (0.1, 10.0),
        's',
        read_at=ACTIVATE,
    ),
    # conditions
    Option(
        'dead_man',
        True,
        'commands need `true` on the topic enable; false: engaged from the start (simulation only)',
        read_at=START,
    ),
    Option(
        'enable_timeout', 0.3, 'longest silence of the dead-man switch', (0.05, 2.0), 's', read_at=ACTIVATE
    ),
    Option(
        'max_age',
        0.2,
        'highest age of a hand, from the stamp of its image',
        (0.05, 1.0),
        's',
        read_at=ACTIVATE,
    ),
    Option('state_timeout', 0.5, 'longest silence of joint_states', (0.05, 5.0), 's', read_at=ACTIVATE),
    Option(
        'min_confidence',
        0.5,
        'lowest confidence of a hand with which following begins; a followed hand may fall below it',
        (0.0, 1.0),
        'probability',
        read_at=ACTIVATE,
    ),
    Option(
        'on_lost',
        'hold',
        'when the hand is lost: hold (repeat the last position) or stop (no commands); both brake first',
        choices=('hold', 'stop'),
        read_at=ACTIVATE,
    ),
)

TELEOP_OPTIONS = {option.name: option for option in _DECLARED}
"""{name: Option}, in the order of config/teleop.yaml."""


def default(name: str) -> Any:
    """The default of the option `name`."""
    return TELEOP_OPTIONS[name].default
