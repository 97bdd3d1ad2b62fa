"""Who may import whom, and that Humble can run it: read from the sources, nothing is run."""

import ast
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'maskhand_ros'
NAME = PACKAGE.name
MANIFEST = ElementTree.parse(ROOT / 'package.xml')
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
        ('skeleton.py', 'geometry.py', 'option.py', 'options.py'),
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
HUMBLE_PYTHON = 3, 10
NEWER_MODULES = {
    'tomllib',
    'asyncio.TaskGroup',
    'asyncio.timeout',
    'datetime.UTC',
    'itertools.batched',
    'enum.StrEnum',
}
NEWER_MODULES |= {
    f'typing.{name}'
    for name in (
        'Self',
        'Never',
        'assert_never',
        'assert_type',
        'override',
        'LiteralString',
        'Unpack',
        'reveal_type',
    )
}
RCLPY_OF_HUMBLE = {
    *(
        'init',
        'ok',
        'shutdown',
        'try_shutdown',
        'spin',
        'spin_once',
        'spin_until_future_complete',
        'create_node',
    ),
    *('Context', 'exceptions', 'executors', 'parameter', 'signals', 'utilities'),
}
"""Of the names in `rclpy` itself, those that Humble's 3.3 has."""

KEYS = {'cv2': 'python3-opencv', 'numpy': 'python3-numpy', 'yaml': 'python3-yaml'}
"""rosdep keys of packages that are imported by another name."""

WITHOUT_KEY = {'av', 'mcap', 'onnxruntime', 'rosbags'}
"""A choice that is the user's, and what nobody needs who neither records nor replays: the README has them."""

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


def test_messages_build_without_opencv_and_onnxruntime():
    text = (ROOT / 'CMakeLists.txt').read_text().lower()
    assert 'opencv' not in text and 'onnx' not in text


def test_humble_can_run_it():
    """Syntax, modules of the standard library and names of rclpy; the real Humble is asked in CI alone."""
    wrong = []
    for module in MODULES:
        text = (PACKAGE / module).read_text()
        tree = ast.parse(text, module, feature_version=HUMBLE_PYTHON)
        wrong += hits(module, NEWER_MODULES)
        for node in ast.walk(tree):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ''
            if name in NEWER_MODULES or (
                name.startswith('rclpy.') and name.count('.') == 1 and name[6:] not in RCLPY_OF_HUMBLE
            ):
                wrong.append(f'{module}:{node.lineno} uses {name}')
    assert not wrong, '\n'.join(wrong)
    with pytest.raises(SyntaxError):  # or nothing above could fail
        ast.parse('try:\n    pass\nexcept* OSError:\n    pass', feature_version=HUMBLE_PYTHON)


def test_what_is_imported_at_run_time_is_declared():
    """In package.xml, for rosdep; what has no key there is named in the README. Imports of training are
    extras of pip."""
    modules = [m for m in MODULES if not m.startswith(('training/', 'model/')) and '/torch_' not in m]
    modules = [m for m in modules if '/bake_' not in m]
    trees = [PACKAGE / module for module in modules] + list((ROOT / 'launch').glob('*.py'))
    used = set()
    for path in trees:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                used.add(node.module.split('.')[0])
    declared = {e.text for e in MANIFEST.getroot() if e.tag in ('depend', 'exec_depend')}
    ours = {KEYS.get(name, name) for name in used - set(sys.stdlib_module_names) - {NAME}}
    assert ours - declared == WITHOUT_KEY
    assert all(name in (ROOT / 'README.md').read_text() for name in WITHOUT_KEY)


def test_versions_agree():
    """pip takes the version from package.xml; the weights may be of an older release."""
    released = re.findall(r'^## (\d+\.\d+\.\d+)$', (ROOT / 'CHANGELOG.md').read_text(), re.M)
    assert MANIFEST.findtext('version') == released[0]
    assert json.loads((PACKAGE / 'weights/model.json').read_text())['version'] in released


def test_rviz_listens_to_what_the_node_publishes():
    yaml = pytest.importorskip('yaml')
    published = dict(
        reversed(pair)
        for pair in re.findall(r"_publisher\((\w+), '~/(\w+)'", (PACKAGE / 'nodes/outputs.py').read_text())
    )
    view = yaml.safe_load((ROOT / 'config/hand.rviz').read_text())
    shown = {
        display['Topic']['Value']: display['Class'].rpartition('/')[2]
        for display in view['Visualization Manager']['Displays']
        if 'Topic' in display
    }
    # relative: in the namespace of the node, which the launch file gives rviz2 too
    assert shown == {f'hand_node/{name}': published[name] for name in ('markers', 'keypoints', 'overlay')}
