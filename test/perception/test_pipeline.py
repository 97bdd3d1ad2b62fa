"""The whole way from picture to hands, on frames of the bundled clip: two rendered hands, the left one first
in the truth."""

import cv2
import model_json
import numpy as np
import pytest

from maskhand_ros.errors import ModelError
from maskhand_ros.geometry import Camera, mirror_rotation, rotvec_to_matrix
from maskhand_ros.perception.crop import crop_hand, crop_to_camera, roi_from_keypoints
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.types import SCALE_NONE, TENTATIVE, TRACKED, Frame
from maskhand_ros.skeleton import LEFT, RIGHT

STEP = 15


@pytest.fixture(scope='module')
def pictures(clip):
    """Every STEP-th frame of the clip, fast enough for a test: [(frame number, rgb)]."""
    return [(number, rgb) for number, rgb in enumerate(clip.frames()) if number % STEP == 0]


def seen(pipeline, rgb, camera):
    """Hands of one picture by side, nothing remembered."""
    pipeline.reset()
    hands = pipeline.process(Frame(rgb, 0, camera))
    return {hand.side: hand for hand in hands}


def test_both_hands_are_found_followed_and_on_their_sides(pipeline, clip, pictures):
    pipeline.reset()
    ids, states = {LEFT: set(), RIGHT: set()}, []
    for number, rgb in pictures:
        if not clip.visible[number].all():
            continue
        camera = Camera(clip.K, rgb.shape[1], rgb.shape[0])
        # The same frame a few times: a jump of half a second would be no test of following.
        for _ in range(3):
            hands = pipeline.process(Frame(rgb, 0, camera))
        assert sorted(hand.side for hand in hands) == [LEFT, RIGHT], number
        for hand in hands:
            truth = camera.project(clip.keypoints[number, 0 if hand.side == LEFT else 1])
            box = np.ptp(truth, axis=0).max()
            assert np.linalg.norm(hand.keypoints_px - truth, axis=1).mean() < 0.25 * box
            ids[hand.side].add(hand.id)
            states.append(hand.state)
    assert not ids[LEFT] & ids[RIGHT]
    assert TRACKED in states and TENTATIVE not in states


def test_hypotheses_are_whole_hands_of_the_hand_they_hang_on(clip, pictures):
    pipeline = HandPipeline(PipelineConfig(hypotheses=4))
    rgb = pictures[2][1]
    hands = seen(pipeline, rgb, Camera(clip.K, rgb.shape[1], rgb.shape[0]))
    assert set(hands) == {LEFT, RIGHT}
    for side, hand in hands.items():
        probability = [drawn.probability for drawn in hand.hypotheses]
        assert len(probability) == 4 and 1 > probability[0] >= probability[-1] > 0
        assert probability == sorted(probability, reverse=True)
        for drawn in hand.hypotheses:
            local, flip = rotvec_to_matrix(drawn.mano_pose.reshape(16, 3)), np.ones(3)
            if side == LEFT:
                local, flip = mirror_rotation(local), np.array([-1, 1, 1])
            skinned = pipeline.hand_model(drawn.betas[None], local[None, 0], local[None, 1:]).keypoints[0]
            assert np.allclose(flip * skinned @ hand.wrist_rotation, drawn.keypoints_wrist, atol=1e-4)
            apart = np.linalg.norm(drawn.keypoints_wrist - hand.keypoints_wrist, axis=1).mean()
            assert 0.0005 < apart < 0.05


def test_a_mirrored_picture_gives_the_mirrored_hands(pipeline, clip, pictures):
    number, rgb = pictures[3]
    height, width = rgb.shape[:2]
    K = np.array(clip.K)
    K[0, 2] = width - 1 - K[0, 2]
    straight = seen(pipeline, rgb, Camera(clip.K, width, height))
    mirrored = seen(pipeline, np.ascontiguousarray(rgb[:, ::-1]), Camera(K, width, height))
    assert set(straight) == set(mirrored) == {LEFT, RIGHT}
    flip = np.array([-1.0, 1, 1])
    for side, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        one, two = straight[side], mirrored[other]
        # Whole-picture detection is not mirror-exact, hence a tolerance of millimetres and not of rounding.
        span = np.ptp(one.keypoints_px, axis=0).max()
        np.testing.assert_allclose(
            two.keypoints_px * [-1, 1] + [width - 1, 0], one.keypoints_px, atol=0.05 * span
        )
        relative = one.keypoints - one.keypoints[0]
        assert np.linalg.norm((two.keypoints - two.keypoints[0]) * flip - relative, axis=1).mean() < 0.006
        turn = mirror_rotation(rotvec_to_matrix(two.mano_pose[:3])).T @ rotvec_to_matrix(one.mano_pose[:3])
        assert np.trace(turn) > 1 + 2 * np.cos(np.radians(8))
        # Wrist axes: x to the fingers and z out of the back are mirrored, y follows from the right-hand rule.
        np.testing.assert_allclose(one.wrist_rotation[:, 0], two.wrist_rotation[:, 0] * flip, atol=0.15)
        np.testing.assert_allclose(one.wrist_rotation[:, 2], two.wrist_rotation[:, 2] * flip, atol=0.15)


def test_mirrored_input_is_turned_back(clip, pictures, pipeline):
    _, rgb = pictures[3]
    height, width = rgb.shape[:2]
    K = np.array(clip.K)
    K[0, 2] = width - 1 - K[0, 2]
    selfie = HandPipeline(PipelineConfig(mirrored_input=True))
    straight = seen(pipeline, rgb, Camera(clip.K, width, height))
    turned = seen(selfie, np.ascontiguousarray(rgb[:, ::-1]), Camera(K, width, height))
    for side in (LEFT, RIGHT):
        np.testing.assert_allclose(turned[side].keypoints, straight[side].keypoints, atol=1e-6)
        np.testing.assert_allclose(
            turned[side].keypoints_px[:, 0], width - 1 - straight[side].keypoints_px[:, 0], atol=1e-4
        )


def test_a_turned_picture_gives_turned_hands(pipeline, clip, pictures):
    _, rgb = pictures[3]
    height, width = rgb.shape[:2]
    camera = Camera(clip.K, width, height)
    angle = np.radians(35)
    about_z = rotvec_to_matrix(np.array([0, 0, angle]))
    K = np.array([[clip.K[0, 0], 0, 400], [0, clip.K[0, 0], 400], [0, 0, 1.0]])
    turned_picture = cv2.warpPerspective(rgb, K @ about_z @ np.linalg.inv(clip.K), (800, 800))
    straight, turned = seen(pipeline, rgb, camera), seen(pipeline, turned_picture, Camera(K, 800, 800))
    for side in (LEFT, RIGHT):
        one, two = straight[side], turned[side]
        relative = (one.keypoints - one.keypoints[0]) @ about_z.T
        assert np.linalg.norm(two.keypoints - two.keypoints[0] - relative, axis=1).mean() < 0.01
        difference = (about_z @ one.wrist_rotation).T @ two.wrist_rotation
        assert np.trace(difference) > 1 + 2 * np.cos(np.radians(12))


def test_hands_that_fill_the_picture_or_are_lost(pipeline, clip, pictures):
    number, rgb = pictures[3]
    camera = Camera(clip.K, rgb.shape[1], rgb.shape[0])
    points = camera.project(clip.keypoints[number, 1])
    low = np.maximum(points.min(0) - 15, 0).astype(int)
    high = (points.max(0) + 15).astype(int)
    close = np.ascontiguousarray(rgb[low[1] : high[1], low[0] : high[0]])
    pipeline.reset()
    hands = pipeline.process(Frame(close, 10**9))
    assert RIGHT in {hand.side for hand in hands}
    assert all(hand.scale_source == SCALE_NONE and hand.keypoints is None for hand in hands)
    ids, lost = {hand.id for hand in hands}, []
    for second in (1.1, 1.2, 1.3, 2.4, 2.6):
        frame = Frame(np.zeros_like(close), round(second * 1e9))
        assert pipeline.process(frame) == []  # silence, not the last hand again
        assert second > 2.5 or not pipeline.lost_ids, 'it may come back'
        lost += pipeline.lost_ids
    assert set(lost) == ids
    assert not ids & {hand.id for hand in pipeline.process(Frame(close, 3 * 10**9))}


def test_crop_and_back_with_lens_distortion():
    camera = Camera(
        np.array([[500.0, 0, 320], [0, 505, 240], [0, 0, 1]]), 640, 480, np.array([-0.3, 0.1, 1e-3, -2e-3, 0])
    )
    marks = np.array([[430.0, 120], [470, 150], [440, 190]])
    rgb = np.zeros((480, 640, 3), np.uint8)
    for mark in marks.astype(int):
        rgb[mark[1] - 2 : mark[1] + 3, mark[0] - 2 : mark[0] + 3] = 255
    points = np.tile(marks, (7, 1))
    for mirror in (False, True):
        crop, crop_camera = crop_hand(rgb, camera, roi_from_keypoints(points, LEFT), mirror)
        count, _, _, centres = cv2.connectedComponentsWithStats((crop[..., 0] > 100).astype(np.uint8))
        assert count == 4
        back = crop_to_camera(centres[1:] / 224 - 0.5, crop_camera, camera, mirror)
        for mark in marks:
            assert np.linalg.norm(back - mark, axis=1).min() < 0.5


def test_models_that_cannot_run_say_why(weights, tmp_path):
    with pytest.raises(ModelError, match='maskhand export'):
        HandPipeline(PipelineConfig(weights_dir=str(tmp_path / 'nowhere')))
    integers = weights / 'landmarks_int8.onnx'
    integers.write_bytes(b'8 bits')
    model_json.edit(weights, lambda description: description['files'].update({integers.name: '0' * 64}))
    with pytest.raises(ModelError, match='landmarks_int8.onnx.*changed.*Fix: '):
        HandPipeline(PipelineConfig(weights_dir=str(weights)))
    integers.unlink()
    model_json.edit(weights, lambda description: description['files'].pop(integers.name))
    landmarks = weights / 'landmarks.onnx'
    landmarks.write_bytes(landmarks.read_bytes()[:100_000])
    with pytest.raises(ModelError, match='landmarks.onnx.*truncated.*Fix: '):
        HandPipeline(PipelineConfig(weights_dir=str(weights)))
    landmarks.unlink()
    with pytest.raises(ModelError, match='landmarks.onnx is missing'):
        HandPipeline(PipelineConfig(weights_dir=str(weights)))
    with pytest.raises(ModelError, match='convert-mano'):
        HandPipeline(PipelineConfig(hand_model=str(tmp_path / 'mano.npz')))


def test_a_covered_fingertip_is_less_visible(pipeline, clip, pictures):
    _, rgb = pictures[3]
    camera = Camera(clip.K, rgb.shape[1], rgb.shape[0])
    for side, hand in seen(pipeline, rgb, camera).items():
        assert hand.keypoint_visibility.shape == (21,) and np.median(hand.keypoint_visibility) > 0.8
        x, y = np.rint(hand.keypoints_px[8]).astype(int)
        half = int(0.18 * np.ptp(hand.keypoints_px, axis=0).max())
        covered = rgb.copy()
        covered[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1] = (70, 110, 90)
        there = seen(pipeline, covered, camera)[side]
        drop = log_odds(hand.keypoint_visibility) - log_odds(there.keypoint_visibility)
        assert drop[8] > 1 and drop[8] > drop[0] + 0.7, side


def log_odds(probability):
    return np.log(probability / (1 - probability))
