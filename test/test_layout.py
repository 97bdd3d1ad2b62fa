"""Who may import whom, and what never happens at run time: read from the sources, nothing is run."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'maskhand_ros'
NAME = PACKAGE.name
ROS = {
    'rclpy',
    'tf2_msgs',
    'sensor_msgs',
    'geometry_msgs',
    'std_msgs',
    'visualization_msgs',
    'diagnostic_msgs',
    'lifecycle_msgs',
    'builtin_interfaces',
    'ament_index_python',
    f'{NAME}.nodes',
    f'{NAME}.msg',
    f'{NAME}.srv',
}
TORCH = {'torch', f'{NAME}.hand_model.torch_hand', f'{NAME}.model', f'{NAME}.training'}

# what a module is (first match) -> what it must not import, not even inside a function
FORBIDDEN = (
    (
        ('skeleton.py', 'geometry.py'),
        ROS | TORCH | {'onnxruntime', f'{NAME}.hand_model', f'{NAME}.perception'},
    ),
    (('perception/',), ROS | TORCH | {f'{NAME}.commands', f'{NAME}.cli'}),
    (('nodes/',), TORCH),
    # training half: a command that bakes needs the packages that it bakes from
    (
        ('hand_model/torch_', 'hand_model/bake_'),
        ROS | {f'{NAME}.perception', f'{NAME}.model', f'{NAME}.training'},
    ),
    (('hand_model/',), ROS | TORCH | {f'{NAME}.perception'}),
    (('model/',), ROS | {f'{NAME}.training'}),
    (('training/',), ROS),
)
NETWORK = {'requests', 'urllib.request', 'urllib3', 'http.client', 'socket', 'ftplib', 'huggingface_hub'}
UNSAFE = NETWORK | {'pickle', 'cPickle', 'dill', 'joblib', 'shelve', 'marshal'}
UNPICKLERS = {'hand_model/array_pickle.py'}  # restricted, offline, has a test of its own

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py'))


def imports(module):
    """Return (absolute name, line) of all that a module imports; `from a import b` gives a and a.b."""
    found = []
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = [NAME, *Path(module).parts[:-1]]
            base = '.'.join(folder[: len(folder) + 1 - node.level]) if node.level else ''
            base = '.'.join(filter(None, (base, node.module)))
            found += [(base, node.lineno)] + [(f'{base}.{alias.name}', node.lineno) for alias in node.names]
    return found


def hits(module, names):
    """Return 'file:line imports name' for every import of one of `names` or of something inside it."""
    return [
        f'{module}:{line} imports {name}'
        for name, line in imports(module)
        if any(name == bad or name.startswith(bad + '.') for bad in names)
    ]


@pytest.mark.parametrize('rooms, forbidden', FORBIDDEN, ids=[rule[0][0] for rule in FORBIDDEN])
def test_rooms_import_only_what_they_may(rooms, forbidden):
    def rule_of(module):
        return next((rule[0] for rule in FORBIDDEN if module.startswith(rule[0])), None)

    wrong = [hit for module in MODULES if rule_of(module) == rooms for hit in hits(module, forbidden)]
    assert not wrong, '\n'.join(wrong)


def test_a_forbidden_import_would_be_seen():
    assert hits('hand_model/torch_hand.py', {'torch'})


def test_run_time_neither_downloads_nor_unpickles():
    wrong = []
    for module in MODULES:
        if module.startswith(('training/', 'model/')) or module in UNPICKLERS:
            continue
        wrong += hits(module, UNSAFE)
        for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
            if (
                isinstance(node, ast.keyword)
                and node.arg == 'allow_pickle'
                and ast.unparse(node.value) != 'False'
            ):
                wrong.append(f'{module}:{node.value.lineno} allows pickles')
    assert not wrong, '\n'.join(wrong)


def test_messages_build_without_opencv_and_onnxruntime():
    text = (PACKAGE.parent / 'CMakeLists.txt').read_text().lower()
    assert 'opencv' not in text and 'onnx' not in text
