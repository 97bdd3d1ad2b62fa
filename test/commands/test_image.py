"""`maskhand image`: overlay, JSON and meshes agree; a batch goes on after a bad file and loses no result."""

import errno
import json
import os
import re

import cv2
import numpy as np
import pytest

from maskhand_ros import cli, files
from maskhand_ros.commands import image
from maskhand_ros.errors import CommandError
from maskhand_ros.geometry import project, quaternion_to_matrix
from maskhand_ros.undecodable import explain, is_cut_off_jpeg

APPLE_DOUBLE = bytes.fromhex('0005160700020000') + b'Mac OS X        ' + bytes(200)
HEIC = bytes.fromhex('00000024') + b'ftypheic' + bytes(4) + b'mif1heic' + bytes(200)


@pytest.fixture(scope='module')
def frame(clip):
    """(H, W, 3) BGR of the bundled clip with both hands in view."""
    chosen = np.flatnonzero(clip.visible.all(1))
    return cv2.cvtColor(list(clip.frames())[chosen[len(chosen) // 4]], cv2.COLOR_RGB2BGR)


def jpeg(picture, exif=b''):
    """JPEG bytes with an APP1 segment of `exif` after the start of image."""
    data = cv2.imencode('.jpg', picture)[1].tobytes()
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif if exif else b''
    return data[:2] + segment + data[2:]


def test_overlay_json_and_meshes_agree(clip, frame, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), frame)
    K, out = clip.K, tmp_path / 'out'
    intrinsics = [str(v) for v in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])]
    assert cli.main(['image', str(tmp_path / 'a.png'), '--out', str(out), '--intrinsics', *intrinsics]) == 0
    report = json.loads((out / 'a_png.json').read_text())
    overlay = cv2.imread(str(out / 'a_png_overlay.png'))
    header = report['header']
    assert overlay.shape == frame.shape == (header['height'], header['width'], 3)
    assert np.array(header['camera']['K']) == pytest.approx(K)
    assert sorted(hand['side'] for hand in report['hands']) == ['left', 'right']
    for index, hand in enumerate(report['hands']):
        vertices, faces = read_ply(out / f'a_png_hand{index}.ply')
        assert vertices == pytest.approx(np.array(hand['vertices']), abs=1e-5)
        corners = vertices[faces]
        volume = np.einsum('fi,fi->f', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
        assert volume > 0, 'wound outwards'
        pose = hand['wrist']['pose']
        in_camera = (
            np.array(hand['keypoints_wrist']) @ quaternion_to_matrix(np.array(pose['orientation'])).T
            + pose['position']
        )
        assert in_camera == pytest.approx(np.array(hand['keypoints']), abs=1e-4)
        assert project(in_camera, K) == pytest.approx(np.array(hand['keypoints_px']), abs=0.5)
        tip = np.round(hand['keypoints_px'][12]).astype(int)
        assert np.abs(overlay[tip[1], tip[0]].astype(int) - frame[tip[1], tip[0]]).max() > 20


def read_ply(path):
    header, body = path.read_bytes().split(b'end_header\n', 1)
    n, m = (int(re.search(rf'element {name} (\d+)'.encode(), header).group(1)) for name in ('vertex', 'face'))
    rows = np.frombuffer(body[12 * n :], [('n', 'u1'), ('v', '<i4', 3)])
    assert len(rows) == m and (rows['n'] == 3).all()
    return np.frombuffer(body[: 12 * n], '<f4').reshape(n, 3), rows['v']


@pytest.fixture
def batch(frame, tmp_path):
    """Two folders as people have them: (folders, {path of a good picture: its (height, width)})."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    for folder in (one, two):
        folder.mkdir()
    good = {}
    names = (one / 'a.jpg', one / 'a.png', one / 'A.JPG', one / 'a-2.png', two / 'a.jpg', two / 'a-2.jpg')
    for number, path in enumerate(names):
        good[str(path)] = (480 - 8 * number, 640)
        picture = frame[8 * number :].copy()
        if number % 2:
            picture[:, :320] = 128  # one hand only, not the first one of the picture before
        cv2.imwrite(str(path), picture)
    odd = os.fsencode(one) + b'/caf\xe9.jpg'  # Latin-1, as from an old archive
    with open(odd, 'wb') as file:
        file.write(jpeg(frame))
    good[os.fsdecode(odd)] = (480, 640)
    (one / '._IMG.jpg').write_bytes(APPLE_DOUBLE)
    (one / 'phone.jpg').write_bytes(HEIC)
    (one / 'cut.jpg').write_bytes(jpeg(frame, exif=b'Exif\0\0thumbnail\xff\xd8\xff\xd9')[:9000])
    (one / 'empty.jpg').write_bytes(b'')
    (one / 'folder.jpg').mkdir()
    (one / 'loop.jpg').symlink_to('loop.jpg')
    return (one, two), good


def test_a_batch_goes_on_and_loses_nothing(batch, tmp_path, capsys):
    (one, two), good = batch
    out = tmp_path / 'out'
    assert cli.main(['image', str(one), str(two), str(tmp_path / 'nowhere.png'), '--out', str(out)]) == 1
    said = capsys.readouterr()
    index = json.loads((out / 'index.json').read_text())
    results = {result['image']: result for result in index['results']}
    assert {path for path, result in results.items() if result['status'] == 'done'} == set(good)
    for path, size in good.items():
        report = json.loads((out / results[path]['json']).read_text())
        assert report['image'] == path and (report['header']['height'], report['header']['width']) == size
        assert cv2.imread(str(out / results[path]['overlay'])).shape[:2] == size
        hands = report['hands']
        assert results[path]['hands'] == len(results[path]['meshes']) == len(hands) > 0
        assert [hand['id'] for hand in hands] == list(range(1, 1 + len(hands)))
        assert {hand['state'] for hand in hands} == {'single_image'}
    files = [name for r in results.values() for name in (r['json'], r['overlay'], *r['meshes']) if name]
    assert len({name.lower() for name in files}) == len(files)
    assert sorted([*files, 'index.json']) == sorted(path.name for path in out.iterdir())
    reasons = {
        '._IMG.jpg': 'AppleDouble',
        'phone.jpg': 'heif-convert',
        'cut.jpg': 'ends before its image data',
        'empty.jpg': 'is empty',
        'folder.jpg': 'is a folder',
        'loop.jpg': 'loop.jpg',
        'nowhere.png': 'no file or folder',
    }
    for name, reason in reasons.items():
        (result,) = [r for path, r in results.items() if path.endswith('/' + name)]
        assert result['status'] == ('skipped' if name.startswith('._') else 'failed')
        assert reason in result['reason'] and 'Fix: ' in result['reason'] and result['reason'] in said.err
    assert (index['done'], index['failed'], index['skipped'], index['pending']) == (len(good), 6, 1, 0)


def test_metadata_files_alone_are_no_failure(frame, tmp_path, capsys):
    (tmp_path / '._a.jpg').write_bytes(APPLE_DOUBLE)
    (tmp_path / 'a.jpg').write_bytes(jpeg(frame))
    words = ['image', str(tmp_path), '--out', str(tmp_path / 'out')]
    assert cli.main(words) == 0
    assert 'skipped' in capsys.readouterr().err
    assert cli.main(words) == 0
    assert 'results of an earlier run' in capsys.readouterr().out


def test_an_interrupted_run_leaves_whole_files_and_an_index(frame, tmp_path, monkeypatch):
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(tmp_path / name), frame)
    replace = os.replace

    def interrupt(source, target):
        if str(target).endswith('b_png.json'):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, 'replace', interrupt)
    out = tmp_path / 'out'
    assert cli.main(['image', str(tmp_path), '--out', str(out)]) == 130
    results = json.loads((out / 'index.json').read_text())['results']
    assert [result['status'] for result in results] == ['done', 'pending']
    assert not [path for path in out.iterdir() if path.name.startswith(('.', 'b_png.json'))]


def test_names_of_results_are_unique_and_keep_to_what_file_systems_allow():
    long = 'ß' * 120
    paths = ['a.jpg', 'x/a.jpg', 'a.jpg-2', 'a_jpg', 'A.JPG', 'index', '.jpg', f'{long}.jpg', f'y/{long}.jpg']
    names = image.result_names(paths)
    assert names[:2] == ['a_jpg', 'a_jpg-2']
    assert len({name.lower() for name in names}) == len(paths) and 'index' not in names
    assert max(len(os.fsencode(name)) for name in names) < 220


def test_a_failed_write_leaves_the_file_before_and_links_stay_links(tmp_path, monkeypatch):
    path, link = tmp_path / 'a.json', tmp_path / 'link.json'
    link.symlink_to(path)
    files.write_json(path, {'a': 1})
    files.write_json(link, {'a': 2})
    assert link.is_symlink() and json.loads(path.read_text()) == {'a': 2}

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(CommandError, match='No space left on device.*Fix:'):
        files.write_json(path, {'a': 3})
    assert json.loads(path.read_text()) == {'a': 2} and len(list(tmp_path.iterdir())) == 2


def test_pictures_are_turned_as_their_exif_tag_says(frame, tmp_path):
    entry = (0x112).to_bytes(2, 'little') + b'\3\0\1\0\0\0' + (6).to_bytes(4, 'little')  # orientation 6
    exif = b'Exif\0\0II*\0' + (8).to_bytes(4, 'little') + b'\1\0' + entry + bytes(4)
    (tmp_path / 'a.jpg').write_bytes(jpeg(frame, exif))
    rgb = files.read_image(tmp_path / 'a.jpg')
    turned = np.rot90(frame, -1)[..., ::-1]
    assert rgb.shape == turned.shape and np.abs(rgb.astype(int) - turned).mean() < 4


@pytest.mark.parametrize('share', [0.005, 0.1, 0.5, 0.999])
def test_a_cut_off_jpeg_is_told_whatever_opencv_makes_of_it(frame, share):
    whole = jpeg(frame, exif=b'Exif\0\0thumbnail\xff\xd8\xff\xda\xff\xd9')
    assert not is_cut_off_jpeg(whole) and not is_cut_off_jpeg(whole + b'a motion picture after it')
    assert is_cut_off_jpeg(whole[: int(share * len(whole))])


@pytest.mark.parametrize(
    'data, says',
    [
        (b'\0\0\0\x20ftypavif' + bytes(40), 'AVIF'),
        (b'\0\0\0\x20ftypqt  ' + bytes(40), 'maskhand video'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', 'git lfs pull'),
        (b'\n<!DOCTYPE html><html>404</html>', 'web page'),
        (b'no image at all', 'not an image that OpenCV decodes'),
    ],
)
def test_what_is_not_a_picture_is_named(data, says, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(data)
    with pytest.raises(files.ImageError, match=says):
        files.read_image(tmp_path / 'a.jpg')
    assert explain(data)[1]
