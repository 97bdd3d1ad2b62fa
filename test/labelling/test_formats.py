"""LeRobotDatasets, MCAP files, camera poses and the report, read back by other libraries."""

import argparse
import json
import re
from collections import Counter

import numpy as np
import pytest

pq = pytest.importorskip('pyarrow.parquet')
av = pytest.importorskip('av')
pytest.importorskip('mcap')

from mcap.reader import make_reader  # noqa: E402
from rosbags.rosbag2 import Reader  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402
from scipy.spatial.transform import Rotation, Slerp  # noqa: E402
from sources import ROOT  # noqa: E402
from synthetic import RATE, finished_run, write_video  # noqa: E402

from maskhand_ros import cli  # noqa: E402
from maskhand_ros.errors import CommandError  # noqa: E402
from maskhand_ros.labelling import assemble  # noqa: E402
from maskhand_ros.labelling.camera_poses import read_poses  # noqa: E402
from maskhand_ros.labelling.parquet import read_clip  # noqa: E402

REGULAR = [1000 * k / RATE for k in range(20)]
IRREGULAR = [0, 20, 70, 90, 150, 160, 230, 300, 333, 400]
ABSENT = {4, 5}


@pytest.fixture
def run(tmp_path):
    """A folder of a run with two clips, and the labels by clip."""
    labels = finished_run(tmp_path, {'regular': (REGULAR, ABSENT), 'irregular': (IRREGULAR, set())})
    return tmp_path, labels


def make(folder, *words):
    """Do what `maskhand label` does after labelling, given its arguments."""
    parser = argparse.ArgumentParser()
    assemble.add_arguments(parser)
    return assemble.assemble(folder, parser.parse_args(words))


def times_and_levels(path):
    """Return presentation times (s) and mean grey levels of a video's frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return np.array([f.time for f in frames]), np.array([f.to_ndarray(format='gray').mean() for f in frames])


def test_a_lerobot_dataset_has_the_layout_of_version_3(run):
    folder, labels = run
    make(folder, '--format', 'lerobot', '--task', 'wave')
    root = folder / 'lerobot' / '64x48'
    info = json.loads((root / 'meta/info.json').read_text())
    described = (info['codebase_version'], info['robot_type'], info['fps'], info['total_episodes'])
    assert described == ('v3.0', 'human_hands', 30, 2)
    episodes = pq.read_table(root / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
    assert [each['length'] for each in episodes] == [20, 13] and info['total_frames'] == 33
    index = 0
    for number, episode in enumerate(episodes):
        assert (episode['dataset_from_index'], episode['tasks']) == (index, ['wave'])
        path = info['data_path'].format(chunk_index=0, file_index=number)
        table = pq.read_table(root / path)
        assert set(table.column_names) == {n for n, f in info['features'].items() if f['dtype'] != 'video'}
        frame_index = table['frame_index'].to_numpy()
        assert frame_index.tolist() == list(range(episode['length']))
        assert np.allclose(table['timestamp'].to_numpy(), frame_index / 30, atol=1e-6)
        assert table['index'].to_pylist() == list(range(index, index + episode['length']))
        for name, feature in info['features'].items():
            if feature['dtype'] != 'video' and feature['shape'] != [1]:
                assert table.schema.field(name).type.list_size == feature['shape'][0] == len(feature['names'])
        index += episode['length']
        video = info['video_path'].format(
            video_key='observation.images.camera', chunk_index=0, file_index=number
        )
        times, levels = times_and_levels(root / video)
        assert np.abs(times - frame_index / 30).max() < 1e-4
        rows = table['source_frame_index'].to_numpy()
        assert np.abs(levels - 5 * rows).max() < 4, 'the picture is that of the labels'
        source = np.array([frame.source_time_s for frame in labels[('regular', 'irregular')[number]]])
        nearest = np.abs(source[None] - frame_index[:, None] / 30).min(1)
        assert np.allclose(np.abs(source[rows] - frame_index / 30), nearest)
    assert (root / 'videos/observation.images.camera/chunk-000/file-000.mp4').samefile(
        folder / 'in/regular.mp4'
    ), 'a regular video is linked'
    tasks = pq.read_table(root / 'meta/tasks.parquet')
    assert tasks.to_pylist() == [{'task_index': 0, 'task': 'wave'}]
    assert json.loads(tasks.schema.metadata[b'pandas'])['index_columns'] == ['task']


def test_dafts_reader_opens_a_lerobot_dataset(run, monkeypatch):
    monkeypatch.setenv('DO_NOT_TRACK', 'true')
    monkeypatch.setenv('DAFT_ANALYTICS_ENABLED', '0')
    reader = pytest.importorskip('daft.datasets.lerobot')
    folder, labels = run
    make(folder, '--format', 'lerobot')
    frames = reader.read(str(folder / 'lerobot' / '64x48')).select('index', 'tasks', 'observation.hands.kp2d')
    rows = {row['index']: row for row in frames.to_pylist()}
    assert sorted(rows) == list(range(33)) and rows[0]['tasks'] == ['human hands']
    found = np.array(rows[19]['observation.hands.kp2d']).reshape(2, 21, 2)
    assert np.allclose(found[1], labels['regular'][19].hands[0].kp2d, atol=1e-3) and np.isnan(found[0]).all()


def test_lerobots_reader_opens_a_lerobot_dataset(run):
    reader = pytest.importorskip('lerobot.datasets.lerobot_dataset')
    folder, labels = run
    make(folder, '--format', 'lerobot')
    dataset = reader.LeRobotDataset('local/hands', root=folder / 'lerobot' / '64x48')
    assert (dataset.num_episodes, dataset.num_frames, dataset.fps) == (2, 33, 30)
    item = dataset[19]
    found = item['observation.hands.kp2d'].numpy().reshape(2, 21, 2)
    assert np.allclose(found[1], labels['regular'][19].hands[0].kp2d, atol=1e-3)
    assert abs(255 * float(item['observation.images.camera'].mean()) - 5 * 19) < 4


def test_absent_hands_are_nan_in_a_lerobot_dataset_and_leave_statistics_alone(run):
    folder, labels = run
    make(folder, '--format', 'lerobot', '--no-videos')
    root = folder / 'lerobot' / '64x48'
    table = pq.read_table(root / 'data/chunk-000/file-000.parquet')
    keypoints = np.array(table['observation.hands.kp3d'].to_pylist()).reshape(20, 2, 21, 3)
    valid = np.array(table['observation.hands.valid'].to_pylist())
    expected = [[k < 10 and k not in ABSENT, k not in ABSENT] for k in range(20)]
    assert valid.tolist() == expected and (np.isfinite(keypoints).all((2, 3)) == valid).all()
    true = labels['regular'][0].hands[0].kp3d
    assert np.allclose(keypoints[0, 1], true, atol=1e-6), 'the right hand is the second'
    stats = json.loads((root / 'meta/stats.json').read_text())
    everything = [
        np.array(pq.read_table(path)['observation.hands.kp3d'].to_pylist())
        for path in sorted(root.glob('data/*/*.parquet'))
    ]
    together = np.concatenate(everything)
    found = stats['observation.hands.kp3d']
    assert np.allclose(found['mean'], np.nanmean(together, 0)) and np.allclose(
        found['std'], np.nanstd(together, 0)
    )
    assert np.allclose(found['min'], np.nanmin(together, 0))
    info = json.loads((root / 'meta/info.json').read_text())
    assert info['features']['observation.hands.kp3d']['names'][63:66] == [
        f'right.wrist.{axis}' for axis in 'xyz'
    ]
    assert not (root / 'videos').exists() and info['video_path'] is None


def test_an_mcap_file_has_the_messages_of_every_frame(run):
    folder, labels = run
    make(folder, '--format', 'mcap')
    path = folder / 'mcap' / 'regular-0.mcap'
    with path.open('rb') as file:
        summary = make_reader(file).get_summary()
        counts = {
            summary.channels[id].topic: count
            for id, count in summary.statistics.channel_message_counts.items()
        }
    frames = labels['regular']
    right = sum(bool(frame.hands) for frame in frames)
    assert counts == {
        **dict.fromkeys(('/camera/image/compressed', '/camera/camera_info'), 20),
        **dict.fromkeys(('/hands/keypoints', '/hands/markers'), 20),
        **dict.fromkeys(('/tf', '/hands/right/wrist', '/hands/right/confidence'), right),
        **dict.fromkeys(('/hands/left/wrist', '/hands/left/confidence'), 8),
    }
    types, read = get_typestore(Stores.ROS2_HUMBLE), Counter()
    with Reader(path) as reader:
        for connection, time_ns, data in reader.messages():
            message = types.deserialize_cdr(data, connection.msgtype)
            number = round(time_ns * 1e-9 * RATE)
            read[connection.topic] += 1
            if connection.topic == '/hands/keypoints':
                points = np.frombuffer(message.data.tobytes(), '<f4').reshape(-1, 8)
                true = [hand.kp3d for hand in reversed(frames[number].hands)]  # left, right
                assert message.width == len(points) == 21 * len(true)
                assert np.allclose(points[:, :3], np.concatenate(true or [np.empty((0, 3))]), atol=1e-6)
            if connection.topic == '/camera/camera_info':
                assert message.d[0] == 0.1 and message.k[0] == frames[0].intrinsics[0, 0]
    assert read == counts


def test_the_layout_for_foxglove_shows_topics_that_are_there(run):
    folder, _ = run
    make(folder, '--format', 'mcap')
    with Reader(folder / 'mcap' / 'regular-0.mcap') as reader:
        topics = {connection.topic for connection in reader.connections}
    layout = (ROOT / 'config' / 'labels.foxglove.json').read_text()
    shown = set(re.findall(r'"(/\w[\w/]*)[".]', layout))
    assert shown <= topics and {'/camera/image/compressed', '/hands/markers', '/hands/keypoints'} <= shown


def pose_lines(seconds):
    """Lines of a camera that moves and turns steadily, and its rotations and positions."""
    rotations = Rotation.from_rotvec(np.outer(seconds, [0.3, 0.9, -0.4]))
    positions = np.outer(seconds, [1.0, 0.5, -0.2]) + [2, 3, 4]
    rows = np.column_stack([seconds, positions, rotations.as_quat()])
    return (
        '# t x y z qx qy qz qw\n' + '\n'.join(' '.join(map(str, row)) for row in rows),
        rotations,
        positions,
    )


def test_camera_poses_put_labels_into_a_world_frame(run):
    folder, labels = run
    seconds = np.array([0.0, 0.1, 0.2, 0.31, 0.55])  # the last gap is too long
    text, rotations, _ = pose_lines(seconds)
    (folder / 'poses').mkdir()
    (folder / 'poses' / 'regular.tum').write_text(text)
    before = read_clip(folder / 'clips/regular-0.parquet')
    make(folder, '--camera-poses', str(folder / 'poses'))
    make(folder, '--camera-poses', str(folder / 'poses'))  # a second time changes nothing
    table = pq.read_table(folder / 'clips/regular-0.parquet')
    assert len(table.column_names) == len(set(table.column_names))
    world = table['observation.hands.kp3d_world'].to_pylist()
    for k, frame in enumerate(labels['regular']):
        second = frame.source_time_s
        known = second <= 0.31 or abs(second - 0.55) < 1e-6
        assert (table['observation.camera_pose'][k].as_py() is None) == (not known)
        for place, side in enumerate(('left', 'right')):
            one = next((hand for hand in frame.hands if str(hand.side) == side), None)
            if one is None or not known:
                assert world[k][place] is None
                continue
            R = Slerp(seconds, rotations)([second])[0]
            true = R.apply(one.kp3d) + second * np.array([1.0, 0.5, -0.2]) + [2, 3, 4]
            assert np.allclose(world[k][place], true, atol=1e-5)
            turned = Rotation.from_quat(table['observation.hands.wrist_orientation_world'][k][place].as_py())
            assert np.allclose(turned.as_matrix(), R.as_matrix() @ one.wrist_rotation, atol=1e-5)
    after = read_clip(folder / 'clips/regular-0.parquet')
    assert np.array_equal(after[0].hands[0].kp3d, before[0].hands[0].kp3d)
    make(folder, '--format', 'mcap')
    types = get_typestore(Stores.ROS2_HUMBLE)
    with Reader(folder / 'mcap' / 'regular-0.mcap') as reader:
        messages = [types.deserialize_cdr(d, c.msgtype) for c, _, d in reader.messages() if c.topic == '/tf']
    cameras = [each.transforms[0] for each in messages if each.transforms[0].header.frame_id == 'world']
    assert len(cameras) == 10 and abs(cameras[3].transform.translation.x - 2.1) < 1e-6
    assert 'observation.camera_pose' not in pq.read_schema(folder / 'clips/irregular-0.parquet').names


def test_a_clip_that_is_gone_or_shorter_is_named(run, capsys):
    folder, _ = run
    write_video(folder / 'in' / 'regular.mp4', REGULAR[:10])
    (folder / 'in' / 'irregular.mp4').unlink()
    assert not make(folder, '--format', 'mcap')
    text = capsys.readouterr().err
    assert 'regular.mp4 has no frame 10' in text and 'irregular.mp4 is no longer there' in text
    assert not list((folder / 'mcap').iterdir()), 'no file is half written'
    with pytest.raises(CommandError, match='no longer there'):
        make(folder, '--format', 'lerobot')
    assert not list((folder / 'lerobot').rglob('info.json')), 'what is not finished is no data set'


@pytest.mark.parametrize('text', ['0 1 2 3', '0 0 0 0 0 0 0 1\n0 0 0 0 0 0 0 1', 'x', '0 0 0 0 0 0 0 0'])
def test_a_wrong_file_of_camera_poses_is_refused(tmp_path, text):
    (tmp_path / 'poses.txt').write_text(text)
    with pytest.raises(CommandError):
        read_poses(tmp_path / 'poses.txt')


def test_the_report_counts_and_shows_frames(run, capsys):
    folder, _ = run
    write_video(folder / 'in' / 'irregular.mp4', IRREGULAR)
    assert cli.main(['label-report', str(folder), '--pictures', '3']) == 0
    assert '93.3 % of the frames with a hand' in capsys.readouterr().out
    page = (folder / 'report.html').read_text()
    assert page.count('<img') == 5 and 'http' not in page, (
        'two least certain, of one second each, three random'
    )
    (folder / 'in' / 'regular.mp4').unlink()
    (folder / 'in' / 'irregular.mp4').unlink()
    assert cli.main(['label-report', str(folder), '--pictures', '3']) == 0
    assert '<img' not in (folder / 'report.html').read_text()
