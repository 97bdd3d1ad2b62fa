"""Records a LeRobot dataset: the teleoperator `maskhand` moves the simulated Allegro hand of maskhand_ros.

    python record_simulation.py --root dataset [--source VIDEO|CAMERA] [--frames N]

Each frame has `observation.state` (joints, rad), `observation.images.view` and `action` (joints, rad).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.teleoperators.utils import make_teleoperator_from_config
from lerobot_teleoperator_maskhand import MaskHandConfig

from maskhand_ros.clip import TELEOP_CLIP
from maskhand_ros.simulation import HandSimulation
from maskhand_ros.simulation.hand_simulation import HOME
from maskhand_ros.teleoperation.records import Pose

FPS, SIZE = 30, (320, 240)


def main() -> None:
    """Record one episode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--root', type=Path, required=True, help='folder to write the dataset to; must not exist'
    )
    parser.add_argument(
        '--source', default=str(TELEOP_CLIP), help='camera number or video (default: bundled clip)'
    )
    parser.add_argument('--frames', type=int, default=240, help='frames of the episode (default 240)')
    args = parser.parse_args()
    teleoperator = make_teleoperator_from_config(MaskHandConfig(id='me', source=args.source, arm=True))
    simulation = HandSimulation()
    joints = [f'{name}.pos' for name in simulation.joint_names]
    dataset = LeRobotDataset.create(
        repo_id='me/maskhand_simulation',
        fps=FPS,
        root=args.root,
        features=_features(joints),
        use_videos=False,
    )
    with teleoperator:
        for _ in range(args.frames):
            state, image = simulation.joints, simulation.render(*SIZE)
            action = teleoperator.get_action()
            target = np.array([action[name] for name in joints])
            simulation.command(target, _base(action))
            simulation.step(1 / FPS)
            dataset.add_frame(
                {
                    'observation.state': state.astype(np.float32),
                    'observation.images.view': image,
                    'action': target.astype(np.float32),
                    'task': 'pick up the cube and put it down',
                }
            )
    dataset.save_episode()
    dataset.finalize()
    print(f'{args.frames} frames in {args.root}; the cube is {simulation.cube_pose.position.round(3)} m')


def _features(joints: list[str]) -> dict[str, dict[str, object]]:
    vector = {'dtype': 'float32', 'shape': (len(joints),), 'names': joints}
    image = {'dtype': 'image', 'shape': (SIZE[1], SIZE[0], 3), 'names': ['height', 'width', 'channels']}
    return {'observation.state': vector, 'action': vector, 'observation.images.view': image}


def _base(action: dict[str, float]) -> Pose:
    """The base of the hand for the motion of the wrist."""
    from maskhand_ros.geometry import rotvec_to_matrix

    shift = np.array([action[f'arm.{axis}'] for axis in 'xyz'])
    turn = rotvec_to_matrix(np.array([action[f'arm.r{axis}'] for axis in 'xyz']))
    return Pose(HOME.position + shift, turn @ HOME.rotation)


if __name__ == '__main__':
    main()
