"""`maskhand teleop` on the bundled clip: the real pipeline, retargeting, bounds and physics."""

import argparse
import json

import cv2
import numpy as np
import pytest

pytest.importorskip('mink', reason="needs pip install 'maskhand_ros[teleop]'")
pytest.importorskip('onnxruntime')

from maskhand_ros import cli  # noqa: E402
from maskhand_ros.clip import TELEOP_CLIP  # noqa: E402
from maskhand_ros.commands import teleop  # noqa: E402
from maskhand_ros.commands.teleop_frames import WatchedFrame, calibrate, watch  # noqa: E402
from maskhand_ros.commands.teleop_run import OfflineRun  # noqa: E402
from maskhand_ros.errors import ModelError  # noqa: E402
from maskhand_ros.retargeting import Retargeter  # noqa: E402
from maskhand_ros.simulation import HandSimulation  # noqa: E402


@pytest.fixture(scope='module')
def watched():
    parser = argparse.ArgumentParser()
    teleop.add_arguments(parser)
    return watch(parser.parse_args([]), TELEOP_CLIP, teleop._camera_of_clip())


@pytest.fixture(scope='module')
def simulation():
    return HandSimulation()


@pytest.fixture(scope='module')
def retargeter(watched):
    retargeter = Retargeter.shipped()
    assert calibrate(retargeter, watched).startswith('calibrated with the flat hand at 0.')
    return retargeter


def test_the_hand_lifts_the_cube_and_puts_it_down(watched, simulation, retargeter):
    """By friction alone, from the pictures of a hand that holds nothing; displaced cubes too."""
    outcomes = []
    for seed in (None, 0, 1, 2):
        run = OfflineRun(simulation, retargeter, seed)
        for frame in watched.frames:
            run.frame(frame)
        outcomes.append(run.grasp.outcome())
    assert outcomes == 4 * ['lifted and put down']
    figures = run.figures()
    assert figures['pinch_gap_mm']['frames'] > 30 and figures['pinch_gap_mm']['mean'] < 3
    assert figures['joint_speed_rad_s'] < 8 and figures['command_speed_rad_s'] <= 7 + 1e-6
    assert figures['tip_error_mm']['mean'] < 15 and figures['rest_noise_degrees']['beside_line_median'] < 0.3


def test_a_lost_hand_holds_the_robot_and_is_counted(watched, simulation, retargeter):
    """Half the clip without a hand: nothing moves, and following starts anew without a jump."""
    run = OfflineRun(simulation, retargeter)
    places = []
    for number, frame in enumerate(watched.frames[:220]):
        lost = 125 <= number < 180
        run.frame(WatchedFrame(frame.stamp_ns, [], None) if lost else frame)
        places.append(simulation.base_pose.position)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert run.refused['no hand of the operator'] == 55
    assert steps[140:178].max() < 1e-3 and steps.max() < 0.02


def test_the_command_writes_video_and_figures(tmp_path, capsys):
    try:
        HandSimulation().render(64, 48)
    except ModelError as error:
        pytest.skip(str(error))
    assert cli.main(['teleop', '--max-frames', '25', '--out', str(tmp_path)]) == 0
    report = json.loads((tmp_path / 'teleop.json').read_text())
    assert report['frames'] > 5 and 'grasp' not in report
    assert 'retargeting, CPU' in capsys.readouterr().out
    video = cv2.VideoCapture(str(tmp_path / 'teleop.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 960
    ok, image = video.read()
    assert ok and image[:, 480:].std() > 10  # the robot


def test_a_video_without_a_hand_is_said(tmp_path, capsys):
    path = tmp_path / 'grey.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 30, (320, 240))
    for _ in range(8):
        writer.write(np.full((240, 320, 3), 128, np.uint8))
    writer.release()
    assert cli.main(['teleop', '--video', str(path), '--out', str(tmp_path / 'out')]) == 0
    assert 'no hand of the operator was followed' in capsys.readouterr().out
