"""Whatever is given for an option on the command line or in Python is taken as it is, or refused with the
name, the range and the unit. The ranges stand here a second time."""

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskhand_ros import cli
from maskhand_ros.clip import CLIP
from maskhand_ros.errors import ModelError
from maskhand_ros.option import OptionError
from maskhand_ros.options import OPTIONS
from maskhand_ros.perception import pipeline
from maskhand_ros.perception.config import PipelineConfig
from maskhand_ros.teleoperation.options import TELEOP_OPTIONS

RANGES = {
    'max_hands': (int, 1, 8, 'hands'),
    'threads': (int, 1, 64, 'threads'),
    'iterations': (int, 1, 64, 'steps'),
    'detection_threshold': (float, 0, 1, 'a probability'),
    'presence_threshold': (float, 0, 1, 'a probability'),
    'search_budget': (float, 0, 1, 'seconds'),
    'hand_length': (float, 0, 0.3, 'metres'),
    'hypotheses': (int, 0, 64, 'poses'),
    'temperature': (float, 0.05, 5, ''),
    'top_k': (int, 0, 65536, 'tokens'),
}
CHOICES = {
    'device': ('cpu', 'cuda', 'tensorrt'),
    'keypoint_set': ('mano', 'anatomical', 'mediapipe'),
    'smoothing': ('adaptive', 'off'),
}
SAMPLING = 'hypotheses', 'temperature', 'top_k'
"""Not among the arguments of bench."""
OWN = {
    ('bench', '--frames'): (int, 1, 1_000_000, 'frames'),
    ('bench', '--rate'): (float, 0.1, 1000, 'Hz'),
    ('video', '--max-frames'): (int, 0, float('inf'), ''),
    ('evaluate-stereo', '--every'): (int, 1, float('inf'), ''),
    ('benchmark', '--limit'): (int, 1, float('inf'), ''),
    ('train data', '--samples'): (int, 1, float('inf'), ''),
    ('train data', '--mix'): (float, 0, 1, ''),
}
"""Numbers that are of one command alone."""
REQUIRED = {
    'video': [str(CLIP)],
    'evaluate-stereo': ['folder'],
    'benchmark': ['freihand', '--root', '.'],
    'train data': ['--out', 'folder'],
}
EDGES = (
    *('nan', '-nan', 'inf', '-inf', '', ' ', '-0', '-1', '0', '0.0', '1', '1.0', '1e400', '0x1', '1,5', '17'),
    *('17 cm', '0.17', '0.3', '0.30000001', '8', '9', '64', '65', 'None', 'true', 'cpu', 'CPU', 'off', 'on'),
    *('mediapipe', 'adaptive', '9' * 400, '-' + '9' * 5000),
)
TEXTS = st.one_of(
    st.sampled_from(EDGES),
    st.integers(-100, 100).map(str),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=20),
)
RUN = settings(max_examples=1000, derandomize=True, database=None, deadline=None)


def run(*words):
    """(exit status, what was written to the error stream)."""
    with contextlib.redirect_stderr(io.StringIO()) as error, contextlib.redirect_stdout(io.StringIO()):
        return cli.main(list(words)), error.getvalue()


def value_of(text, kind, low, high):
    """The number that a text stands for, or None where it is none within the range."""
    try:
        value = kind(text)
    except (ValueError, OverflowError):
        return None
    return value if low <= value <= high else None


def assert_refused(status, error, name, low, high, unit):
    assert status == 2 and error.count('\n') == 1 and len(error) < 400, error
    for word in (name, f'{low:g}', 'more' if high == float('inf') else f'{high:.6g}', unit):
        assert word in error.replace('1000000', '1e+06'), error


@pytest.mark.parametrize('command', ('image', 'video', 'bench'))
def test_pipeline_options_of_any_text(command, tmp_path, monkeypatch):
    picture = tmp_path / 'empty.png'
    picture.touch()
    inputs = {'image': [str(picture)], 'video': [str(CLIP)], 'bench': []}[command]
    inputs += [] if command == 'bench' else ['--out', str(tmp_path)]
    names = [name for name in (*RANGES, *CHOICES) if command != 'bench' or name not in SAMPLING]
    built = []

    def build(config):
        built.append(config)
        raise ModelError('the pipeline is built', 'end here')

    monkeypatch.setattr(pipeline, 'HandPipeline', build)
    taken = refused = 0

    @RUN
    @given(st.sampled_from(names), TEXTS)
    def check(name, text):
        nonlocal taken, refused
        built.clear()
        status, error = run(command, *inputs, f'--{name.replace("_", "-")}={text}')
        if name in CHOICES:
            expected = text if text in CHOICES[name] else None
        else:
            expected = value_of(text, *RANGES[name][:3])
        if expected is not None:
            assert status == 1 and error.endswith('the pipeline is built. Fix: end here\n')
            assert getattr(built[0], name) == expected
            taken += 1
            return
        refused += 1
        assert not built
        if name in RANGES:
            assert_refused(status, error, name, *RANGES[name][1:])
        else:
            assert status == 2 and error.count('\n') == 1
            assert name in error and ', '.join(CHOICES[name]) in error

    check()
    assert taken > 20 and refused > 100


@pytest.mark.parametrize('command, option', OWN, ids=lambda word: word.strip('-').replace(' ', '-'))
def test_other_numbers_of_any_text(command, option, monkeypatch):
    kind, low, high, unit = OWN[command, option]
    words = command.split()
    table = cli.COMMANDS if len(words) == 1 else cli.TRAIN_COMMANDS
    module = pytest.importorskip(table[words[-1]][1])
    parsed = []
    monkeypatch.setattr(module, 'run', parsed.append)

    @RUN
    @given(TEXTS)
    def check(text):
        parsed.clear()
        status, error = run(*words, *REQUIRED.get(command, ()), f'{option}={text}')
        expected = value_of(text, kind, low, high)
        if expected is None:
            assert_refused(status, error, option, low, high, unit)
        else:
            assert status == 0 and getattr(parsed[0], option[2:].replace('-', '_')) == expected

    check()


SIDES = st.integers(-1, 40_000)


@RUN
@given(st.one_of(st.builds('{}x{}'.format, SIDES, SIDES), TEXTS))
def test_size_of_any_text(text):
    from maskhand_ros.commands import bench

    width, _, height = text.lower().partition('x')
    good = width.isascii() and height.isascii() and width.isdigit() and height.isdigit()
    good = good and min(int(width), int(height)) >= 64 and int(width) * int(height) <= 4096 * 4096
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, 'run', lambda args: 3)
        status, error = run('bench', f'--size={text}')
    if good and max(int(width), int(height)) <= 32_767:
        assert status == 3
    else:
        assert status == 2 and error.count('\n') == 1 and 'pixels' in error and '640x480' in error


VALUES = st.one_of(
    st.sampled_from((10**400, -(10**400), 'cpu', 'off', 0, 1, 2.0)),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.fractions(),
    st.decimals(),
    st.complex_numbers(),
    st.text(max_size=20),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=3),
    st.lists(st.floats(-11, 11), min_size=6, max_size=6),
    st.lists(st.text(max_size=3), max_size=3),
)


ALL = {**OPTIONS, **TELEOP_OPTIONS}


@RUN
@given(st.sampled_from(sorted(ALL)), VALUES)
def test_any_value_in_python(name, value):
    """Of the type of the default and within the range, or refused; no other error."""
    option = ALL[name]
    try:
        checked = option.check(value)
    except OptionError as error:
        assert name in str(error) and option.range_text in str(error) and len(str(error)) < 300
        return
    assert type(checked) is type(option.default)
    if isinstance(checked, tuple):
        assert {type(item) for item in checked} == {type(option.default[0])} and list(checked) == list(value)
        assert option.limits is None or (len(checked) == 6 and -10 <= min(checked) and max(checked) <= 10)
        return
    assert checked == value if isinstance(value, str) else checked == float(value)
    assert option.limits is None or option.limits[0] <= checked <= option.limits[1]
    assert not option.choices or checked in option.choices


@pytest.mark.parametrize(
    'name, value, says',
    [
        (
            'hand_length',
            17.0,
            'hand_length is 17.0; it must be 0 to 0.3 m. Did you mean 0.17? hand_length is in metres',
        ),
        ('hand_length', 185, 'Did you mean 0.185?'),
        ('hand_length', '0.17', 'Did you mean 0.17?'),
        ('hand_length', -1, 'hand_length is -1; it must be 0 to 0.3 m. hand_length is in metres'),
        ('hand_length', float('nan'), 'it must be 0 to 0.3 m'),
        ('predict', 200, 'Did you mean 0.2? predict is in seconds'),
        ('detection_threshold', 50, 'Did you mean 0.5?'),
        ('max_hands', 0, 'max_hands is 0; it must be a whole number, 1 to 8 hands'),
        ('threads', 2.0, 'Did you mean 2?'),
        ('threads', True, 'a whole number, 1 to 64 threads'),
        ('device', 'CUDA', 'one of: cpu, cuda, tensorrt. Did you mean cuda?'),
        ('device', 'gpu', 'one of: cpu, cuda, tensorrt'),
        ('smoothing', 'on', 'one of: adaptive, off'),
        ('smoothing', False, "Did you mean 'off', with quotes"),
        ('mirrored_input', 1, 'true or false'),
        ('weights_dir', None, 'a text, empty for the default'),
    ],
)
def test_a_config_names_the_range_the_unit_and_a_guess(name, value, says):
    with pytest.raises(ValueError) as error:
        PipelineConfig(**{name: value})
    assert says in str(error.value)
    assert 'cpu?' not in str(error.value), 'the CPU is never a guess for a device'


def test_whole_numbers_and_paths_are_taken(tmp_path):
    config = PipelineConfig(hand_length=0, weights_dir=tmp_path)
    assert (type(config.hand_length), config.weights_dir) == (float, str(tmp_path))
