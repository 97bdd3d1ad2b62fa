"""Image shards: the truth written is the hand in the picture however it was labelled; runs share them out."""

import io
import json
import shutil
import tarfile

import cv2
import numpy as np
import pytest

from maskhand_ros import cli
from maskhand_ros.datasets import LabelledHand, ManoLabel
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import project, rotvec_to_matrix
from maskhand_ros.hand_model.numpy_hand import OPEN_HAND, HandModel

torch = pytest.importorskip('torch', reason='needs the extra `train`')
pytest.importorskip('webdataset', reason='needs the extra `train`')
from maskhand_ros.data_engine import image_shards  # noqa: E402
from maskhand_ros.data_engine.image_store import ImageShards  # noqa: E402
from maskhand_ros.data_engine.labelled_crops import LabelledCrops  # noqa: E402
from maskhand_ros.training.image_augmentation import augment_images  # noqa: E402

K = np.array([[480.0, 0, 310], [0, 478, 250], [0, 0, 1]])
MIRROR = np.array([-1.0, 1, 1])


@pytest.fixture(scope='module')
def mano(tmp_path_factory):
    """A hand in MANO's fields, with a mean pose and components: the open hand under another name."""
    path = tmp_path_factory.mktemp('mano') / 'mano.npz'
    rng = np.random.default_rng(0)
    with np.load(OPEN_HAND) as hand:
        arrays = {name: hand[name] for name in hand.files if name != 'model_name'}
    arrays['hands_mean'] = rng.normal(scale=0.4, size=45)
    arrays['hands_components'] = np.linalg.qr(rng.normal(size=(45, 45)))[0]
    np.savez(path, **arrays)
    return path


def labelled(mano, folder, side, space, number=0):
    """A hand as a data set would label it, in a picture with a dot on every keypoint that its number colours.

    The left hand is made as the mirror image of a right one, MANO_LEFT's mean and components as MANO_RIGHT's.
    """
    rng = np.random.default_rng(number)
    with np.load(mano) as file:
        mean, components = file['hands_mean'], file['hands_components']
    betas, orient = 0.5 * rng.normal(size=10), rng.normal(size=3)
    fingers = rng.normal(scale=0.2, size=45)  # of the right hand, from flat
    hand = HandModel.load(mano)
    rotations = rotvec_to_matrix(fingers.reshape(1, 15, 3))
    points = hand(betas[None], rotvec_to_matrix(orient[None]), rotations, vertices=False).keypoints[0]
    told = {'flat': fingers, 'mean': fingers - mean, 'pca': (fingers - mean) @ components.T}[space]
    wrist = np.array([0.06, -0.03, 0.6])
    if side == 'left':
        flip = np.tile([1, -1, -1], 16)
        told, orient = told if space == 'pca' else told * flip[3:], orient * flip[:3]
        points = points * MIRROR
    points = points + wrist
    pixels = project(points, K)
    picture = np.zeros((480, 640, 3), np.uint8)
    for k, pixel in enumerate(pixels):
        cv2.circle(
            picture, tuple(np.rint(8 * pixel).astype(int).tolist()), 24, (0, 0, 55 + 200 * (k == 8)), -1, 8, 3
        )
    path = folder / f'{side}-{space}-{number}.png'
    cv2.imwrite(str(path), picture)
    label = ManoLabel(np.concatenate([orient, told]), betas, space, wrist if space == 'flat' else None)
    return LabelledHand(path, 'made', None, side, pixels, K=K, keypoints=points, mano=label)


def check_truth(truth, hand):
    """Parameters give the keypoints, and the keypoints their pixels."""
    parts = (truth['betas'], truth['global_orient'], truth['hand_pose'])
    keypoints = hand(*(part[None] for part in parts), vertices=False).keypoints[0]
    np.testing.assert_allclose(keypoints, truth['keypoints'], atol=1e-5)
    matrix = np.array([[truth['focal'], 0, 111.5], [0, truth['focal'], 111.5], [0, 0, 1]])
    pixels = project(keypoints + truth['wrist'], matrix)
    np.testing.assert_allclose(pixels, truth['keypoints_px'], atol=0.05)


@pytest.mark.parametrize('side', ['right', 'left'])
@pytest.mark.parametrize('space', ['flat', 'mean', 'pca'])
def test_labels_of_either_side_and_any_space_become_the_hand_in_the_crop(mano, tmp_path, side, space):
    crops, hand = LabelledCrops(mano), HandModel.load(mano)
    hands = [labelled(mano, tmp_path, side, space, number) for number in range(4)]
    made = list(crops(hands, np.random.default_rng(0)))
    assert len(made) == 4 and not crops.left_out
    for crop, truth in made:
        check_truth(truth, hand)
        for k, (u, v) in enumerate(np.rint(truth['keypoints_px']).astype(int)):
            if truth['visible'][k]:
                assert crop[v, u, 0] > 30, f'no dot at keypoint {k}'
        u, v = np.rint(truth['keypoints_px'][8]).astype(int)
        assert not truth['visible'][8] or crop[v, u, 0] > 150, 'the index tip is the brightest'
        middle = truth['keypoints_px'][[0, 9]]
        assert middle[1, 1] < middle[0, 1], 'fingers up'


def test_contradicting_labels_and_damaged_pictures_are_left_out(mano, tmp_path):
    crops = LabelledCrops(mano)
    wrong = labelled(mano, tmp_path, 'right', 'mean')
    wrong.mano.space = 'flat'
    bare = labelled(mano, tmp_path, 'right', 'flat')
    bare.mano = None
    damaged = labelled(mano, tmp_path, 'right', 'flat', 1)
    damaged.image.write_bytes(damaged.image.read_bytes()[:100])
    assert list(crops([wrong, bare, damaged], np.random.default_rng(0))) == []
    assert crops.left_out == {
        'parameters and keypoints disagree': 1,
        'no MANO label or camera': 1,
        'image cannot be read': 1,
    }


@pytest.fixture(scope='module')
def freihand(mano, tmp_path_factory):
    """Two samples in FreiHAND's layout, each in four pictures; and the hands themselves."""
    root = tmp_path_factory.mktemp('freihand')
    hands = [labelled(mano, root, 'right', 'mean', number) for number in range(2)]
    values = {
        'K': [K.tolist()] * 2,
        'xyz': [hand.keypoints.tolist() for hand in hands],
        'mano': [[[*hand.mano.pose, *hand.mano.betas, 0, 0, 1]] for hand in hands],
    }
    for name, value in values.items():
        (root / f'training_{name}.json').write_text(json.dumps(value))
    (root / 'training/rgb').mkdir(parents=True)
    for number in range(8):
        shutil.copy(hands[number % 2].image, root / f'training/rgb/{number:08d}.jpg')
    return root


@pytest.fixture(scope='module')
def shards(freihand, mano, tmp_path_factory):
    """The folder that the command makes of them: shards of 3, 3 and 2 samples."""
    out = tmp_path_factory.mktemp('shards')
    make(freihand, mano, out)
    return out


def make(root, mano, out):
    words = ['train', 'images', '--out', out, '--split', 'train', '--shard-size', 3]
    words += ['--dataset', 'freihand', '--root', root, '--hand-model', mano]
    assert cli.main([str(word) for word in words]) == 0


def arrays_of(path):
    """(crop, arrays) of each sample in a shard."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    for name in sorted(name for name in files if name.endswith('.jpg')):
        picture = cv2.imdecode(np.frombuffer(files[name], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        yield picture, dict(np.load(io.BytesIO(files[name.replace('.jpg', '.npz')]), allow_pickle=False))


def test_a_data_set_becomes_shards_whose_truth_projects(shards, mano):
    paths = sorted(shards.glob('*'))
    assert [path.name for path in paths] == [
        f'train-freihand_training-0-{index:05d}.tar' for index in range(3)
    ]
    samples = [sample for path in paths for sample in arrays_of(path)]
    assert len(samples) == 8
    hand = HandModel.load(mano)
    for crop, arrays in samples:
        assert crop.shape == (224, 224, 3) and str(arrays['hand']) == 'mano'
        assert arrays['landmarks'].shape == (21, 3) and arrays['presence'].shape == (1,)
        check_truth(arrays, hand)


def test_a_missing_shard_is_made_again_as_it_was(shards, freihand, mano):
    paths = sorted(shards.glob('*'))
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    paths[1].unlink()
    make(freihand, mano, shards)
    after = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    assert [content for content, _ in after] == [content for content, _ in before]
    assert after[0] == before[0] and after[2] == before[2], 'finished shards are left alone'


def test_renders_become_shards_whose_truth_projects(tmp_path):
    pytest.importorskip('moderngl', reason='needs the extra `train`')
    from maskhand_ros.data_engine.samples import SampleMaker
    from maskhand_ros.perception.cues import CueNetwork

    hand = HandModel.load()
    shares = {'camera': 0.5, 'stress': 0.5}
    maker = SampleMaker(hand, backdrops=2)
    samples = image_shards.rendered_samples(maker, np.random.default_rng(0), 3, shares)
    network = CueNetwork(OPEN_HAND.parents[1] / 'weights/landmarks.onnx')
    path = tmp_path / 'train-render-0-00000.tar'
    assert image_shards.write_image_shard(path, samples, network, hand.name) == 3
    for crop, arrays in arrays_of(path):
        assert crop.std() > 5
        check_truth(arrays, hand)


def test_processes_share_the_shards_and_see_them_all(shards):
    seen = []
    for rank in range(2):
        batches = ImageShards(shards, 'train', 'mano', part=(rank, 2)).batches(2, seed=5)
        seen.append([next(batches) for _ in range(12)])
    cues, truth = seen[0][0]
    assert cues['image'].shape == (2, 224, 224, 3) and cues['image'].dtype == torch.uint8
    assert cues['presence'].shape == (2, 1) and truth['visible'].dtype == torch.float32
    places = [{tuple(row.tolist()) for _, t in batches for row in t['wrist']} for batches in seen]
    assert len(places[0] | places[1]) == 8, 'over some passes every process meets every sample'
    again = ImageShards(shards, 'train', 'mano').batches(2, seed=5)
    other = ImageShards(shards, 'train', 'mano').batches(2, seed=6)
    first = ImageShards(shards, 'train', 'mano').batches(2, seed=5)
    orders = [torch.cat([next(batches)[1]['wrist'] for _ in range(6)]) for batches in (first, again, other)]
    assert torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])
    assert ImageShards(shards, 'train', 'mano').poses(5).shape == (5, 15, 3, 3)
    assert sum(len(t['focal']) for _, t in ImageShards(shards, 'train', 'mano').once(3, 7)) == 7


def test_shards_of_another_hand_are_refused(shards, tmp_path):
    with pytest.raises(CommandError, match="of the hand 'mano', not of 'maskhand-open"):
        ImageShards(shards, 'train', HandModel.load().name)
    with pytest.raises(CommandError, match='maskhand train images'):
        ImageShards(tmp_path, 'train', 'mano')


def test_what_paper_is_shown_in_training(shards):
    cues, truth = next(ImageShards(shards, 'train', 'mano').batches(200, seed=0))
    shown = augment_images(cues, truth, torch.Generator().manual_seed(0))
    assert shown['presence'].shape == (200, 21) and shown['image'].max() <= 255
    kept = (shown['landmarks'] == cues['landmarks']).all((1, 2))
    assert 70 < kept.sum() < 130, 'half of the poses are the detected ones'
    missing = (shown['presence'][~kept] < 0.1).float().mean(1)
    lost = missing == 1
    assert 0 < lost.sum() < 30 and 0.15 < missing[~lost].mean() < 0.35
    error = (shown['landmarks'][~kept, :, :2] + 0.5) * 224 - truth['keypoints_px'][~kept]
    assert 1 < error.norm(dim=-1).mean() < 15
