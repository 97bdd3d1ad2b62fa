"""The command line: errors are one line with a fix; pictures, numbers and files agree."""
import pathlib
import re
import subprocess
import sys

import pytest

from maskhand_ros import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize('words, status, says', [
    ([], 2, ''),
    (['imagine'], 2, 'Choose one of: demo, image'),
    (['train', 'horse'], 2, 'Choose one of: data'),
    (['image'], 2, 'required: PICTURE'),
    (['image', 'nowhere.png'], 1, 'no file or folder nowhere.png. Fix:'),
    (['image', 'EMPTY'], 1, 'no pictures in'),
    (['video', 'nowhere.mp4'], 1, 'no file nowhere.mp4. Fix:'),
    (['video', 'TEXT'], 1, 'not a video that OpenCV reads'),
    (['bench', '--size', 'big'], 1, '640x480'),
    (['evaluate', 'TEXT'], 1, 'is not JSON'),
    (['convert-mano', 'nowhere.pkl'], 1, 'mano.is.tue.mpg.de'),
])
def test_mistakes_get_one_line_with_the_fix(words, status, says, tmp_path, capsys):
    (tmp_path / 'text.json').write_text('not json, not a video')
    (tmp_path / 'empty').mkdir()
    words = [{'EMPTY': str(tmp_path / 'empty'), 'TEXT': str(tmp_path / 'text.json')}.get(word, word) for word in words]
    assert cli.main(words) == status
    error = capsys.readouterr().err
    assert says in error and 'Traceback' not in error
    if status == 1:
        assert error.count('\n') == 1


def test_help_of_every_command_that_is_installed(capsys):
    assert cli.main(['--help']) == 0
    listed = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command in listed
    for command in ('image', 'video', 'bench', 'evaluate', 'convert-mano'):
        assert cli.main([command, '--help']) == 0


def test_picture_commands_import_neither_torch_nor_ros():
    code = ("import sys; from maskhand_ros import cli; assert cli.main(['image', '--help']) == 0; "
            "assert cli.main(['evaluate', '--help']) == 0; import maskhand_ros.perception.pipeline; "
            "assert not {'torch', 'rclpy', 'scipy'} & set(sys.modules), sorted(sys.modules)")
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_readme_shows_the_parameters_that_ship():
    text = (ROOT / 'README.md').read_text()
    block = re.search(r'<!-- parameters.*?```yaml\n(.*?)```', text, re.S).group(1)
    assert block == (ROOT / 'config/hand.yaml').read_text()


def test_readme_names_commands_and_files_that_exist():
    text = (ROOT / 'README.md').read_text()
    for command in re.findall(r'^maskhand ([\w-]+)', text, re.M):
        assert command in cli.COMMANDS, command
    for link in re.findall(r'\]\((?!http)([^)]+)\)', text):
        assert (ROOT / link).exists(), link
