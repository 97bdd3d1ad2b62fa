"""Detection figures of `maskhand evaluate`: matching, precision, finger states, sizes, missed hands."""

import bz2
import json
import zipfile

import cv2
import numpy as np
import pytest

from maskhand_ros import cli
from maskhand_ros.clip import read_clip
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.answers import Answer
from maskhand_ros.evaluation.detection import detection_figures
from maskhand_ros.evaluation.evaluate_scores import Score, with_misses
from maskhand_ros.evaluation.finger_states import straight_fingers
from maskhand_ros.evaluation.judged import judged_figures, read_judgements
from maskhand_ros.evaluation.labels import label_from, read_index
from maskhand_ros.evaluation.matching import match
from maskhand_ros.evaluation.mean_hand import mean_hand
from maskhand_ros.evaluation.peer import PeerHand
from maskhand_ros.evaluation.shrunk import CANVAS, place_on_canvas
from maskhand_ros.geometry import C_RIGHT, rotvec_to_matrix, tight_box
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import LEFT, RIGHT
from maskhand_ros.tools import images_without_hands


def posed(bends):
    """Keypoints (21, 3) of a right hand whose index, middle, ring and little finger bend by `bends` degrees,
    shared by their three joints."""
    angles = np.zeros((15, 3))
    for finger, bend in zip((0, 3, 9, 6), bends, strict=True):  # MANO's order: little before ring
        angles[finger : finger + 3, 1] = np.radians(bend) / 3
    rotations = rotvec_to_matrix(angles @ C_RIGHT.T)
    model = HandModel.load()
    return model(np.zeros((1, 10)), np.eye(3)[None], rotations[None], vertices=False).keypoints[0]


def found(left, top, width, height, side=RIGHT, bends=(0, 0, 0, 0)):
    """A hand whose keypoints lie in a box, px."""
    pixels = np.full((21, 2), [left + width / 2, top + height / 2], float)
    pixels[0], pixels[12] = (left, top), (left + width, top + height)
    points = posed(bends)
    return PeerHand(side, pixels, points - points[0])


def label(box=None, **more):
    return label_from({'image': 'a.png', 'source': 's', 'bbox': box, **more})


def test_finger_states_follow_the_bend_of_the_posed_hand():
    for bends, straight in (
        ((0, 0, 0, 0), (1, 1, 1, 1)),
        ((60, 60, 60, 60), (1, 1, 1, 1)),
        ((100, 60, 160, 0), (0, 1, 0, 1)),
        ((200, 200, 200, 200), (0, 0, 0, 0)),
    ):
        hand = found(0, 0, 1, 1, bends=bends)
        assert straight_fingers(hand).tolist() == [bool(s) for s in straight], bends
        turned = rotvec_to_matrix(np.array([0.3, -1.0, 2.0]))
        hand.keypoints_wrist = hand.keypoints_wrist @ turned.T
        assert straight_fingers(hand).tolist() == [bool(s) for s in straight], bends


def test_matching_takes_squares_and_what_a_rough_box_says():
    tight = label([100, 100, 100, 100])
    edge_on = found(140, 100, 20, 100)  # a fifth of the labelled box, and the same square
    assert match([tight], [edge_on]) == [edge_on]
    assert match([tight], [found(165, 100, 20, 100)]) != [None]
    assert match([tight], [found(210, 100, 20, 100)]) == [None]
    rough = label([100, 100, 100, 100], box_kind='rough')
    near, beside, tiny = found(150, 150, 90, 90), found(210, 100, 100, 100), found(130, 130, 40, 40)
    assert match([rough], [beside, tiny]) == [None] and match([rough], [beside, near]) == [near]
    # Two hands that touch: each label takes the hand that fits it best, and no hand serves twice.
    other = label([150, 100, 100, 100])
    one, two = found(105, 100, 100, 100), found(148, 100, 100, 100)
    assert match([other, tight], [one, two]) == [two, one]
    assert match([other, tight], [two]) == [two, None]


def test_of_several_hands_the_best_agreeing_one_counts_for_the_fingers():
    pointing = label(fingers=[1, 0, 0, 0])
    fist, finger = found(0, 0, 9, 9, bends=(200,) * 4), found(50, 0, 9, 9, bends=(0, 200, 200, 200))
    answer = Answer('a.png', [pointing], [fist, finger], 100)
    assert answer.matched == [finger] and answer.unlabelled == [fist]
    missed, wrong = Answer('b.png', [pointing], [], 100), Answer('c.png', [pointing], [fist], 100)
    fingers = detection_figures([answer, missed, wrong])['fingers']
    assert (fingers['hands'], fingers['right']) == (3, 1)
    assert fingers['right_of_all'] == pytest.approx(1 / 3) and fingers['right_of_found'] == 0.5
    assert fingers['each_of_found'] == [0.5, 1, 1, 1]


def test_figures_by_category_size_and_picture_without_a_hand():
    small = label([0, 0, 30, 30], cats='os', handedness='left')
    large = label([300, 300, 200, 150], cats='h', handedness='right')
    hit, extra = found(310, 300, 190, 150, LEFT), found(600, 10, 50, 50)
    shown = Answer('a.png', [small, large], [hit, extra], 1000)
    empty, clean = Answer('b.png', [], [found(0, 0, 90, 90)], 1000), Answer('c.png', [], [], 1000)
    unreadable = Answer('d.png', [small], [])
    report = detection_figures([shown, empty, clean, unreadable])
    assert (report['images'], report['hands'], report['found'], report['unlabelled']) == (4, 3, 1, 2)
    assert report['recall'] == report['precision_at_least'] == pytest.approx(1 / 3)
    assert (report['side_known'], report['wrong_side']) == (1, 1)
    assert report['without_hands'] == {'images': 2, 'images_with_false_hands': 1, 'false_hands': 1}
    groups = report['by_category']
    assert {name: (g['hands'], g['found'], g['unlabelled']) for name, g in groups.items()} == {
        'open': (2, 0, 1),
        'small': (2, 0, 1),
        'holding': (1, 1, 1),
    }
    sizes = {name: (g['hands'], g['found'], g['unlabelled']) for name, g in report['by_size_px'].items()}
    assert sizes == {
        '20 to 40': (1, 0, 0),
        '40 to 80': (0, 0, 1),
        '80 to 160': (0, 0, 1),
        '160 to 320': (1, 1, 0),
    }
    assert list(report['by_size_share']) == ['0.03 to 0.05', '0.05 to 0.1', '0.2 to 0.4']


def test_hands_judged_by_eye_rank_the_confidence(tmp_path):
    hands = [found(200 * k, 0, 90, 90) for k in range(4)]
    for hand, score in zip(hands, (0.2, 0.4, 0.6, 0.9), strict=True):
        hand.score = score
    judged = [
        {'image': 'a.png', 'box': [200 * k + 3, 2, 90, 90], 'right': right}
        for k, right in enumerate((False, True, False, True))
    ]
    judged += [{'image': 'a.png', 'box': [0, 500, 90, 90], 'right': True}]  # not found in this run
    judged += [{'image': 'a.png', 'box': [0, 0, 90, 90], 'right': None}]  # nobody could say
    path = tmp_path / 'judged.json'
    path.write_text(json.dumps(judged))
    figures = judged_figures([Answer('a.png', [], hands, 1000)], read_judgements(path))
    assert (figures['right'], figures['wrong'], figures['not_found']) == (2, 2, 1)
    assert figures['confidence_auc'] == 0.75
    assert figures['by_threshold']['0.5'] == {'right_kept': 0.5, 'wrong_kept': 0.5}
    path.write_text('[{"image": "a.png"}]')
    with pytest.raises(CommandError, match='no list of judgements.*confidence.json'):
        read_judgements(path)


def test_a_missed_hand_is_scored_as_the_mean_hand():
    model = HandModel.load()
    hands = {side: mean_hand(model, side) for side in (None, 'left', 'right')}
    fingers, thumb = hands['right'][12], hands['right'][4]
    assert fingers[1] < -0.12 and abs(fingers[2]) < 0.03  # up in the image, parallel to it
    assert thumb[0] < 0 < hands['left'][4][0]  # from behind, a right thumb is on the left
    truth = hands['right'] @ rotvec_to_matrix(np.array([0.0, 0.0, 0.5])).T
    missed = label(keypoints_3d_mm=(1000 * truth).tolist(), handedness='right')
    errors = with_misses([(missed, Score(False))], hands)
    assert errors['pa_mpjpe_mm'] == pytest.approx(0, abs=1e-6)  # turned, and of the same pose
    expected = 1000 * np.linalg.norm(truth - hands['right'], axis=1).mean()
    assert errors['mpjpe_mm'] == pytest.approx(expected)
    seen = Score(True, pa_mpjpe_mm=4.0, pa15_mpjpe_mm=4.0, mpjpe_mm=9.0)
    both = with_misses([(missed, Score(False)), (missed, seen), (label(), Score(False))], hands)
    assert both['pa_mpjpe_mm'] == pytest.approx(2.0) and both['mpjpe_mm'] == pytest.approx((expected + 9) / 2)


def test_a_shrunk_hand_has_the_asked_size_in_the_middle_of_the_canvas():
    image = np.full((900, 1600, 3), 40, np.uint8)
    image[500:600, 1300:1420] = 250
    canvas, moved = place_on_canvas(image, label([1300, 500, 120, 100]), 60)
    assert canvas.shape[:2] == CANVAS[::-1] and moved.box[2:] == pytest.approx([60, 50])
    bright = np.argwhere(canvas[..., 0] > 150)[:, ::-1]
    assert tight_box(bright) == pytest.approx(moved.box, abs=1.5)
    assert moved.box[:2] + moved.box[2:] / 2 == pytest.approx(np.array(CANVAS) / 2, abs=1)


@pytest.mark.parametrize('wrong', [{'box_kind': 'loose'}, {'fingers': [1, 0]}])
def test_a_wrong_entry_is_named(tmp_path, capsys, wrong):
    index = tmp_path / 'index.json'
    index.write_text(json.dumps([{'image': 'a.png', **wrong}]))
    assert cli.main(['evaluate', str(index)]) == 1
    assert 'entry 0 (a.png): ' + next(iter(wrong)) in capsys.readouterr().err


def test_the_command_counts_false_hands_and_writes_sheets(tmp_path, capsys):
    clip = read_clip()
    number = int(np.flatnonzero(clip.visible.all(1))[0])
    cv2.imwrite(str(tmp_path / 'a.png'), cv2.cvtColor(list(clip.frames())[number], cv2.COLOR_RGB2BGR))
    points = clip.keypoints[number, 0] @ clip.K.T
    box = tight_box(points[:, :2] / points[:, 2:]).tolist()
    cv2.imwrite(str(tmp_path / 'empty.png'), np.full((240, 320, 3), 90, np.uint8))
    entries = [
        {'image': 'a.png', 'bbox': box, 'handedness': 'left', 'cats': 'o', 'camera_K': clip.K.tolist()},
        {'image': 'a.png', 'bbox': [0, 0, 20, 20], 'cats': 's'},
        {'image': 'empty.png', 'hand': False},
    ]
    index, out, sheets = tmp_path / 'index.json', tmp_path / 'out.json', tmp_path / 'sheets'
    index.write_text(json.dumps(entries))
    assert cli.main(['evaluate', str(index), '--json', str(out), '--sheet', str(sheets), '--shrink']) == 0
    report = json.loads(out.read_text())
    ours = report['detection']['ours']
    assert (ours['hands'], ours['found'], ours['unlabelled'], ours['wrong_side']) == (2, 1, 1, 0)
    assert ours['without_hands'] == {'images': 1, 'images_with_false_hands': 0, 'false_hands': 0}
    extra = report['unlabelled']['ours'][0]  # the clip's other hand
    assert extra['image'] == 'a.png' and extra['side'] == 'right' and not extra['no_hand']
    sizes = ours['shrunk']['sizes']
    assert sizes['16']['hands'] == 2 and sizes['112']['hands'] <= 1
    for name in ('confidence_0.png', 'unlabelled_0.png', 'missed_0.png'):
        assert cv2.imread(str(sheets / name)) is not None
    table = capsys.readouterr().out
    assert 'open' in table and '0 false hands in 0 of 1 images without one' in table
    shown = json.loads((sheets / 'confidence.json').read_text())
    assert len(shown) == 2 and shown[0]['confidence'] <= shown[1]['confidence']
    for entry, right in zip(shown, (False, True), strict=True):
        assert entry.pop('right') is None
        entry['right'] = right
    judged = tmp_path / 'judged.json'
    judged.write_text(json.dumps(shown))
    assert cli.main(['evaluate', str(index), '--judged', str(judged)]) == 0
    assert 'judged by eye: 1 right, 1 wrong, 0 not found again; AUC of the confidence 1.00' in (
        capsys.readouterr().out
    )


def test_pictures_without_hands_become_an_index(tmp_path, monkeypatch):
    wheel = tmp_path / 'p.whl'
    image = cv2.imencode('.png', np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    raccoon = bz2.compress(bytes(768 * 1024 * 3))
    faces = tmp_path / 'faces.npy'
    np.save(faces, np.full((30, 25, 25), 0.5))
    with zipfile.ZipFile(wheel, 'w') as file:
        file.writestr('p/cat.png', image)
        file.writestr('p/face.dat', raccoon)
        file.writestr('p/faces.npy', faces.read_bytes())
    monkeypatch.setattr(images_without_hands, '_wheel', lambda package, folder: wheel)
    monkeypatch.setattr(
        images_without_hands, 'PICTURES', {'p==1': ('p/cat.png', 'p/face.dat', 'p/faces.npy')}
    )
    out = tmp_path / 'out'
    assert images_without_hands.write(out) == 4 * 5
    images = read_index(out / 'index.json')
    assert len(images) == 20 and not any(images.values())
    assert cv2.imread(str(out / 'cat_quarter0.png')).shape == (20, 30, 3)
    assert cv2.imread(str(out / 'faces_0.png')).shape == (800, 800, 3)
