"""Every reader on files that the test writes in the data set's own layout: order, axes, units, sides,
projection."""

import functools
import json
import pickle

import cv2
import numpy as np
import pytest

from maskhand_ros import cli, datasets
from maskhand_ros.datasets import dexycb
from maskhand_ros.datasets.mano_mesh import ManoMesh
from maskhand_ros.errors import CommandError
from maskhand_ros.evaluation.labels import read_index
from maskhand_ros.geometry import rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.skeleton import KEYPOINT_NAMES

K = np.array([[480.0, 0, 310], [0, 478, 250], [0, 0, 1]])
FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')
MANO_21 = ['wrist']
MANO_21 += [
    f'{finger}_{part}' for finger in ('index', 'middle', 'little', 'ring', 'thumb') for part in (1, 2, 3)
]
MANO_21 += [f'{finger}_tip' for finger in FINGERS]
INTERHAND_21 = [f'{finger}_{part}' for finger in FINGERS for part in ('tip', 3, 2, 1)] + ['wrist']
FLIP = np.array([1, -1, -1])  # between OpenGL's and OpenCV's cameras


load_hand = functools.cache(HandModel.load)


@functools.cache
def truth(number=0):
    """A right hand (21, 3) in our order, metres, camera frame: every point is different."""
    rng = np.random.default_rng(number)
    hand = load_hand()
    pose = rotvec_to_matrix(rng.normal(scale=0.2, size=(1, 15, 3)))
    points = hand(np.zeros((1, 10)), rotvec_to_matrix([[0.3, 1.2, -0.7]]), pose, vertices=False).keypoints[0]
    return points.astype(float) + [0.02, -0.03, 0.5 + 0.01 * number]


def reordered(points, names):
    """Points (21, ...) in our order as a data set with joints `names` has them."""
    return points[[KEYPOINT_NAMES.index(name) for name in names]]


def picture(path, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((size[1], size[0], 3), np.uint8))


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, default=lambda array: array.tolist()))


def pixels(points, matrix=K):
    image = points @ matrix.T
    return image[:, :2] / image[:, 2:]


def check(hand, points, side, matrix=K):
    assert hand.side == side and hand.image.is_file()
    np.testing.assert_allclose(hand.keypoints, points, atol=1e-6)
    np.testing.assert_allclose(hand.K, matrix, atol=1e-6)
    np.testing.assert_allclose(hand.keypoints_px, pixels(points, matrix), atol=2e-3)
    assert hand.valid.all()


def make_freihand(root):
    rng = np.random.default_rng(1)
    mano, meshes = rng.normal(size=(2, 1, 61)), rng.normal(size=(2, 778, 3))
    points = [truth(0), truth(1)]
    for split in ('training', 'evaluation'):
        for name, value in {'xyz': points, 'K': [K, K], 'mano': mano, 'verts': meshes}.items():
            write(root / f'{split}_{name}.json', value)
    for number in range(8):
        picture(root / f'training/rgb/{number:08d}.jpg')
        picture(root / f'evaluation/rgb/{number % 2:08d}.jpg')
    return points, mano, meshes


def test_freihand(tmp_path):
    points, mano, meshes = make_freihand(tmp_path)
    hands = list(datasets.read('freihand', tmp_path, 'training', vertices=True))
    assert [hand.image.name for hand in hands] == [f'{number:08d}.jpg' for number in range(8)]
    for number, hand in enumerate(hands):
        check(hand, points[number % 2], 'right')
        np.testing.assert_allclose(hand.mano.pose, mano[number % 2, 0, :48])
        np.testing.assert_allclose(hand.mano.betas, mano[number % 2, 0, 48:58])
        np.testing.assert_allclose(hand.vertices, meshes[number % 2])
    recoloured = datasets.read('freihand', tmp_path, 'training', versions=('auto',))
    assert [hand.image.name for hand in recoloured] == ['00000006.jpg', '00000007.jpg']
    assert len(list(datasets.read('freihand', tmp_path, 'evaluation'))) == 2


def make_ho3d(root):
    """Two train frames, the second without a label, and one evaluation frame."""
    rng = np.random.default_rng(2)
    label = {
        'handJoints3D': reordered(truth(), MANO_21) * FLIP,
        'handPose': rng.normal(size=48),
        'handBeta': rng.normal(size=10).astype(np.float32),
        'handTrans': rng.normal(size=3),
        'camMat': K,
        'objName': '003_cracker_box',
        'objLabel': np.float64(3),
    }
    empty = {**label, 'handJoints3D': None, 'handPose': None}
    root_only = {**label, 'handJoints3D': truth()[0] * FLIP, 'handBoundingBox': [100, 120, 160, 200]}
    del root_only['handPose'], root_only['handBeta']
    frames = {'train/ABF10/0000': label, 'train/ABF10/0001': empty, 'evaluation/SM1/0007': root_only}
    for frame, meta in frames.items():
        split, sequence, name = frame.split('/')
        picture(root / split / sequence / 'rgb' / f'{name}.jpg')
        path = root / split / sequence / 'meta' / f'{name}.pkl'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(meta, protocol=2))
    (root / 'train.txt').write_text('ABF10/0000\nABF10/0001\n')
    (root / 'evaluation.txt').write_text('SM1/0007\n')
    return label


def test_ho3d_turns_opengl_axes_to_opencv(tmp_path):
    label = make_ho3d(tmp_path)
    (hand,) = datasets.read('ho3d', tmp_path, 'train')
    check(hand, truth(), 'right')
    assert hand.keypoints[:, 2].min() > 0 and hand.sequence == 'ABF10'
    turned = np.diag(FLIP) @ rotvec_to_matrix(label['handPose'][:3])
    np.testing.assert_allclose(rotvec_to_matrix(hand.mano.pose[:3]), turned, atol=1e-9)
    np.testing.assert_allclose(hand.mano.pose[3:], label['handPose'][3:])
    np.testing.assert_allclose(hand.mano.wrist, truth()[0])


def test_ho3d_evaluation_with_and_without_its_published_labels(tmp_path):
    make_ho3d(tmp_path)
    (hand,) = datasets.read('ho3d', tmp_path, 'evaluation')
    assert hand.valid.tolist() == [True] + [False] * 20
    assert hand.bbox.tolist() == [100, 120, 60, 80] and hand.mano is None
    np.testing.assert_allclose(hand.keypoints[0], truth()[0])
    mesh = np.random.default_rng(0).normal(size=(778, 3))
    write(tmp_path / 'evaluation_xyz.json', [reordered(truth(), MANO_21) * FLIP])
    write(tmp_path / 'evaluation_verts.json', [mesh * FLIP])
    (hand,) = datasets.read('ho3d', tmp_path, 'evaluation', vertices=True)
    check(hand, truth(), 'right')
    np.testing.assert_allclose(hand.vertices, mesh)


class _RunsCode:
    def __reduce__(self):
        return print, ('I ran',)


def test_ho3d_refuses_a_pickle_that_runs_code(tmp_path, capsys):
    make_ho3d(tmp_path)
    (tmp_path / 'train/ABF10/meta/0000.pkl').write_bytes(pickle.dumps({'handJoints3D': _RunsCode()}))
    with pytest.raises(CommandError, match='print'):
        list(datasets.read('ho3d', tmp_path, 'train'))
    assert 'I ran' not in capsys.readouterr().out


def make_dexycb(root, sides):
    """Subjects 3 to 10 with 100 sequences each, all of them empty but the fourth and fifth of subject 3."""
    yaml = pytest.importorskip('yaml')

    def write_yaml(path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(value))

    for serial in dexycb.SERIALS:
        color = {'fx': 480.0, 'fy': 478.0, 'ppx': 310.0, 'ppy': 250.0}
        write_yaml(root / f'calibration/intrinsics/{serial}_640x480.yml', {'color': color, 'depth': {}})
    write_yaml(root / 'calibration/mano_a/mano.yml', {'betas': [0.1 * k for k in range(10)]})
    for subject in dexycb.SUBJECTS[2:]:
        for number in range(100):
            folder = root / subject / f'20200820_{number:06d}'
            frames = 2 if subject == dexycb.SUBJECTS[2] and number in (3, 4) else 0
            folder.mkdir(parents=True)
            meta = {'num_frames': frames, 'mano_sides': sides, 'mano_calib': ['a']}
            (folder / 'meta.yml').write_text(json.dumps(meta))  # JSON is YAML, and quicker
            for serial in dexycb.SERIALS if frames else ():
                picture(folder / serial / 'color_000000.jpg')
                blank = {'joint_3d': np.full((1, 21, 3), -1), 'joint_2d': np.full((1, 21, 2), -1)}
                shown = {'joint_3d': truth()[None], 'joint_2d': pixels(truth())[None]}
                for frame, (label, pose) in enumerate(((shown, 0.1), (blank, 0))):
                    arrays = {**label, 'pose_m': np.full((1, 51), pose)}
                    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
                    np.savez(folder / serial / f'labels_{frame:06d}.npz', **arrays)


def test_dexycb_official_split_and_left_hands(tmp_path):
    make_dexycb(tmp_path, ['left'])
    hands = list(datasets.read('dexycb', tmp_path, 's0_test'))
    assert len(hands) == 8, 'sequences 4, 9, ... of a subject are for the test; frames without a hand are out'
    assert [hand.sequence.split('/')[-1] for hand in hands] == list(dexycb.SERIALS)
    for hand in hands:
        check(hand, truth(), 'left')
        assert hand.sequence.split('/')[1] == '20200820_000004'
        assert hand.mano.space == 'pca' and hand.mano.pose.shape == (48,)
        np.testing.assert_allclose(hand.mano.betas, 0.1 * np.arange(10))
    (tmp_path / dexycb.SUBJECTS[5] / 'extra').mkdir()
    with pytest.raises(CommandError, match='101 sequences'):
        list(datasets.read('dexycb', tmp_path, 's0_test'))


def make_interhand(root):
    """A pair of hands and a left hand alone, in the world of a camera that is turned and moved."""
    rotation, position = rotvec_to_matrix([0.4, -0.2, 1.0]), np.array([100.0, -250, 30])
    right, left = truth(0), truth(1) * [-1, 1, 1] + [0.1, 0, 0]
    camera = np.concatenate([reordered(right, INTERHAND_21), reordered(left, INTERHAND_21)])
    world = 1000 * camera @ rotation + position
    valid = np.ones(42, int)
    valid[0] = 0  # tip of the right thumb
    frame = {'capture': 3, 'camera': '400012', 'seq_name': 'ROM01', 'frame_idx': 17}
    images, annotations = [], []
    for number, kind in enumerate(('interacting', 'left')):
        name = f'Capture3/ROM01/cam400012/image{number}.jpg'
        picture(root / 'images/test' / name)
        images.append({**frame, 'id': number, 'file_name': name, 'width': 8, 'height': 6})
        label = {'id': number, 'image_id': number, 'bbox': [1, 2, 3, 4], 'hand_type': kind}
        annotations.append({**label, 'joint_valid': valid, 'hand_type_valid': 1})
    stem = root / 'annotations/test'
    calibration = {
        'campos': {'400012': position},
        'camrot': {'400012': rotation},
        'focal': {'400012': [480, 478]},
        'princpt': {'400012': [310, 250]},
    }
    fit = {'pose': np.linspace(-1, 1, 48), 'shape': np.arange(10), 'trans': [0, 0, 0]}
    files = {
        'data': {'images': images, 'annotations': annotations},
        'camera': {'3': calibration},
        'joint_3d': {'3': {'17': {'world_coord': world, 'joint_valid': valid}}},
        'MANO_NeuralAnnot': {'3': {'17': {'right': fit, 'left': None}}},
    }
    for name, value in files.items():
        write(stem / f'InterHand2.6M_test_{name}.json', value)
    return right, left, rotation, fit


def test_interhand_order_sides_world_to_camera_and_validity(tmp_path):
    right, left, rotation, fit = make_interhand(tmp_path)
    hands = list(datasets.read('interhand', tmp_path, 'test'))
    assert [hand.side for hand in hands] == ['right', 'left', 'left']
    check(hands[1], left, 'left')
    check(hands[2], left, 'left')
    assert hands[0].valid.tolist() == [name != 'thumb_tip' for name in KEYPOINT_NAMES]
    np.testing.assert_allclose(hands[0].keypoints[hands[0].valid], right[hands[0].valid], atol=1e-9)
    assert np.isnan(hands[0].keypoints_px[4]).all()
    assert hands[0].bbox is None and hands[1].bbox is None and hands[2].bbox.tolist() == [1, 2, 3, 4]
    expected = rotation @ rotvec_to_matrix(fit['pose'][:3])
    np.testing.assert_allclose(rotvec_to_matrix(hands[0].mano.pose[:3]), expected, atol=1e-9)
    assert hands[1].mano is None


@pytest.mark.parametrize('strings', ['U', 'S', object])
def test_hint_npz_of_the_published_evaluation(tmp_path, strings):
    """Names may be stored as text, as bytes or as objects."""
    keypoints = np.concatenate([pixels(truth()), np.ones((21, 1))], 1)
    keypoints[7, 2] = 0
    picture(tmp_path / 'HInt_annotation_partial/TEST_newdays_img/ND_a_r.jpg')
    picture(tmp_path / 'HInt_annotation_partial/TEST_newdays_img/ND_b_l.jpg')
    (tmp_path / 'hamer_evaluation_data').mkdir()
    for name, scale in (('all', [80.0, 60.0]), ('vis', [[80.0, 40.0], [60.0, 60.0]])):
        np.savez(
            tmp_path / f'hamer_evaluation_data/TEST_newdays_img_{name}.npz',
            imgname=np.array(['ND_a_r.jpg', 'ND_b_l.jpg'], strings),
            center=np.array([[300.0, 200.0], [310, 210]]),
            scale=np.array(scale),
            right=np.array([1.0, 0.0]),
            hand_keypoints_2d=np.stack([keypoints, keypoints]),
            extra_info=np.array([{}, {}], object),
        )
    first, second = datasets.read('hint', tmp_path, 'TEST_newdays_img_all')
    assert (first.side, second.side) == ('right', 'left') and first.keypoints is None and first.K is None
    assert first.bbox.tolist() == [260, 160, 80, 80] and second.bbox.tolist() == [280, 180, 60, 60]
    assert first.valid.sum() == 20 and np.isnan(first.keypoints_px[7]).all()
    np.testing.assert_allclose(first.keypoints_px[first.valid], pixels(truth())[first.valid])
    assert next(datasets.read('hint', tmp_path, 'TEST_newdays_img_vis')).bbox.tolist() == [260, 180, 80, 40]


def test_hint_own_json(tmp_path):
    folder = tmp_path / 'HInt_annotation/TRAIN_epick_img'
    picture(folder / 'EK_1_l.jpg')
    existence, occlusion = [1] * 20 + [0], [1] + [0] * 20
    label = {'keypoints': pixels(truth()), 'bbox': [[10, 20, 40, 90]]}
    write(folder / 'EK_1_l.json', [{**label, 'existence': existence, 'occlusion': occlusion}])
    write(folder / 'EK_2_r.json', [label])  # a frame that has to be fetched first
    (hand,) = datasets.read('hint', tmp_path, 'TRAIN_epick_img')
    assert hand.side == 'left' and hand.bbox.tolist() == [10, 20, 30, 70]
    assert hand.valid.tolist() == [True] * 20 + [False]
    assert hand.visible.tolist() == [False] + [True] * 19 + [False]


def make_hand_graph_cnn(root, count=102):
    scipy_io = pytest.importorskip('scipy.io')
    folder = root / 'data/real_world_testset'
    for number in range(count):
        picture(folder / f'images/{number:05d}.jpg', (256, 256))
    scipy_io.savemat(
        folder / 'params.mat',
        {
            'image_path': np.array([f'images/{number:05d}.jpg' for number in range(count)]),
            'cam_param': np.tile([900.0, 910, 640, 360], (count, 1)),
            'bbox': np.tile(np.array([380, 160, 512, 512], np.int32), (count, 1)),
        },
    )
    points = np.stack([100 * truth(number) for number in range(count)])
    scipy_io.savemat(folder / 'pose_gt.mat', {'pose_gt': points.astype(np.float32)})


def test_hand_graph_cnn_crops_and_centimetres(tmp_path):
    make_hand_graph_cnn(tmp_path)
    hands = list(datasets.read('hand-graph-cnn', tmp_path, 'development'))
    matrix = np.array([[450, 0, (640 - 380) / 2], [0, 455, (360 - 160) / 2], [0, 0, 1]])
    for number in (0, 99):
        check(hands[number], truth(number), 'left', matrix)
    rest = [hand.image.name for hand in datasets.read('hand-graph-cnn', tmp_path, 'rest')]
    assert len(hands) == 100 and rest == ['00100.jpg', '00101.jpg']


def test_index_reads_back_as_labels(tmp_path, capsys):
    make_interhand(tmp_path / 'set')
    out = tmp_path / 'index.json'
    words = ['--dataset', 'interhand', '--root', str(tmp_path / 'set'), '--split', 'test', '--out', str(out)]
    assert cli.main(['train', 'index', *words]) == 0 and '3 hands' in capsys.readouterr().out
    pictures = read_index(out)
    hands = list(datasets.read('interhand', tmp_path / 'set', 'test'))
    assert [len(labels) for labels in pictures.values()] == [2, 1]
    for name, labels in pictures.items():
        assert (tmp_path / name).is_file()
        for label in labels:
            assert label.source == 'interhand'
            hand = hands.pop(0)
            assert label.side == hand.side and label.sequence == hand.sequence
            np.testing.assert_allclose(label.points, hand.keypoints, atol=1e-6)
            np.testing.assert_allclose(label.points_px, hand.keypoints_px, atol=1e-3)
            np.testing.assert_allclose(label.K, hand.K)
    assert cli.main(['train', 'index', *words[:-3], 'nowhere', *words[-2:]]) == 1
    assert 'no split' in capsys.readouterr().err


def test_a_wrong_root_is_named(tmp_path):
    for name, module in datasets.DATASETS.items():
        with pytest.raises(CommandError, match='--root'):
            list(datasets.read(name, tmp_path, module.SPLITS[0]))


def test_mano_mesh_understands_each_space(tmp_path):
    """One pose told from the flat hand, from the mean and by PCA is one mesh, with its wrist where it is."""
    rng = np.random.default_rng(7)
    regressor = np.eye(16, 778)
    arrays = {
        'v_template': rng.normal(scale=0.05, size=(778, 3)),
        'shapedirs': rng.normal(scale=0.001, size=(778, 3, 10)),
        'posedirs': rng.normal(scale=0.001, size=(778, 3, 135)),
        'J_regressor': regressor,
        'weights': rng.dirichlet(np.ones(16), 778),
        'f': np.zeros((1538, 3), int),
        'keypoint_regressor_mano': np.zeros((21, 794)),
        'hands_mean': rng.normal(size=45),
        'hands_components': np.linalg.qr(rng.normal(size=(45, 45)))[0],
    }
    np.savez(tmp_path / 'mano.npz', **arrays)
    mesh, flat, betas = ManoMesh(tmp_path / 'mano.npz'), rng.normal(size=48), rng.normal(size=10)
    from_mean = flat[3:] - arrays['hands_mean']
    tellings = {
        'flat': flat[3:],
        'mean': from_mean,
        'pca': np.linalg.solve(arrays['hands_components'].T, from_mean),
    }
    meshes = []
    for space, fingers in tellings.items():
        label = datasets.ManoLabel(np.concatenate([flat[:3], fingers]), betas, space, np.array([0, 0, 0.6]))
        hand = datasets.LabelledHand('a.jpg', 'a', None, 'right', np.zeros((21, 2)), mano=label)
        meshes.append(mesh.vertices(hand))
        hand.side = 'left'
        assert mesh.vertices(hand) is None
    rotations = rotvec_to_matrix(flat.reshape(16, 3))
    expected = HandModel(arrays)(betas[None], rotations[None, 0], rotations[None, 1:]).vertices[0]
    for vertices in meshes:
        np.testing.assert_allclose(vertices, expected + [0, 0, 0.6], atol=1e-5)
