"""Who may import whom, and that Humble can run it: read from the sources, nothing is run."""

import ast
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from sources import MODULES, PACKAGE, ROOT, RUN_TIME

NAME = PACKAGE.name
MANIFEST = ElementTree.parse(ROOT / 'package.xml')
RESTRICTED = {
    **dict.fromkeys(
        (
            'rclpy',
            'tf2_msgs',
            'sensor_msgs',
            'geometry_msgs',
            'std_msgs',
            'visualization_msgs',
            'diagnostic_msgs',
            'lifecycle_msgs',
            'trajectory_msgs',
            'std_srvs',
            'builtin_interfaces',
            'ament_index_python',
            f'{NAME}.msg',
            f'{NAME}.srv',
        ),
        'ros',
    ),
    **dict.fromkeys(('torch', 'lightning_fabric', 'vector_quantize_pytorch', 'safetensors'), 'torch'),
    'onnxruntime': 'onnxruntime',
}
"""Foreign package: its name in ALLOWED. Any other package may be imported everywhere."""

LIBRARY = {'base', 'hand_model', 'perception'}
ALLOWED = {
    # at the root; a module there without a row of its own is 'base' and imports 'base' alone
    '__init__': {'base', 'perception'},
    'camera_arguments': {'base', 'cli_arguments'},
    'cli_arguments': {'base', 'perception'},
    'clip': {'base', 'perception'},
    # run time
    'hand_model.torch_hand': {'base', 'hand_model', 'torch'},
    'hand_model': {'base'},
    'perception': {'base', 'hand_model', 'onnxruntime'},
    'retargeting': {'base'},
    'simulation': {'base', 'retargeting', 'teleoperation'},
    'teleoperation.pipeline_hands': {'base', 'perception', 'retargeting', 'teleoperation'},
    'teleoperation': {'base'},
    'nodes': LIBRARY
    | {'cli_arguments', 'camera_arguments', 'clip', 'ros', 'retargeting', 'simulation', 'teleoperation'},
    'commands.bench': LIBRARY | {'cli_arguments', 'clip', 'nodes', 'evaluation.peer'},
    'commands': LIBRARY
    | {'cli_arguments', 'camera_arguments', 'clip', 'nodes', 'labelling', 'retargeting', 'simulation'}
    | {'teleoperation', 'teleoperation.pipeline_hands'},
    'labelling': LIBRARY | {'camera_arguments', 'cli_arguments', 'nodes'},
    # data, training, evaluation
    'model.config': {'base'},
    'model.equalise': {'base', 'onnxruntime'},
    'model.int8': LIBRARY | {'data_engine', 'model', 'model.equalise', 'onnxruntime'},
    'model': {'base', 'perception', 'hand_model.torch_hand', 'model.config', 'model.int8', 'torch'},
    'datasets': {'base', 'hand_model', 'cli_arguments'},
    'data_engine': LIBRARY | {'cli_arguments', 'datasets', 'model.config', 'torch'},
    'evaluation.peer': LIBRARY | {'evaluation'},
    'evaluation': LIBRARY
    | {'cli_arguments', 'datasets', 'data_engine', 'labelling', 'retargeting', 'teleoperation'}
    | {'evaluation.peer'},
    'training': LIBRARY
    | {'cli_arguments', 'hand_model.torch_hand', 'model', 'model.config', 'torch'}
    | {'data_engine', 'evaluation'},
    'tools': LIBRARY | {'cli_arguments', 'model', 'model.config', 'torch'},
}
"""Package or module of ours: what it may import besides itself, inside functions too.

A module belongs to the first row that names it or a package around it. Nothing imports `cli`; `cli` names
the modules of its commands in a table and imports none of them.
"""

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

WITHOUT_KEY = {'av', 'mcap', 'mink', 'mujoco', 'onnxruntime', 'qpsolvers', 'rosbags'}
"""A choice that is the user's, and what nobody needs who neither records nor replays: the README has them."""


def is_ours(name):
    """Return whether `name` is a module or package of this project."""
    path = PACKAGE.parent / name.replace('.', '/')
    return name.split('.')[0] == NAME and (path.with_suffix('.py').is_file() or path.is_dir())


def imports(module):
    """Return [(absolute name, line)] of what a module imports: modules, or the names in them."""
    found = []
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = [NAME, *Path(module).parts[:-1]]
            base = '.'.join(folder[: len(folder) + 1 - node.level]) if node.level else ''
            base = '.'.join(filter(None, (base, node.module)))
            found += [(f'{base}.{alias.name}', node.lineno) for alias in node.names]
    return found


def hits(module, names):
    """Return 'file:line imports name' for every import of one of `names` or of something inside it."""
    return [
        f'{module}:{line} imports {name}'
        for name, line in imports(module)
        if any(name == bad or name.startswith(bad + '.') for bad in names)
    ]


def row_of(name):
    """Return the row of ALLOWED, or the value of RESTRICTED, that an imported name falls under; None for a
    foreign package that is not restricted."""
    for package, group in RESTRICTED.items():
        if name == package or name.startswith(f'{package}.'):
            return group
    if name.split('.')[0] != NAME:
        return None
    module = (name if is_ours(name) else name.rpartition('.')[0]).removeprefix(NAME).strip('.') or '__init__'
    row = next((row for row in ALLOWED if module == row or module.startswith(f'{row}.')), None)
    return row or (module if (PACKAGE / module).is_dir() or module == 'cli' else 'base')


def name_of(module):
    """Return 'maskhand_ros.hand_model.numpy_hand' for 'hand_model/numpy_hand.py'."""
    return (
        f'{NAME}.{module}'.removesuffix('.py')
        .removesuffix('.__init__')
        .removesuffix('/__init__')
        .replace('/', '.')
    )


def test_packages_import_only_what_the_table_allows():
    wrong = []
    for module in MODULES:
        row = row_of(name_of(module))
        for name, line in imports(module):
            if row_of(name) not in {None, row, *ALLOWED.get(row, {'base'})}:
                wrong.append(f'{module}:{line} imports {name}; {row} may import {ALLOWED.get(row, "base")}')
    assert not wrong, '\n'.join(wrong)


def test_evaluation_runs_without_torch():
    """No module that evaluation imports, directly or through others, imports torch."""
    waiting = [module for module in MODULES if module.startswith(('datasets/', 'evaluation/'))]
    loaded = set()
    while waiting:
        module = waiting.pop()
        loaded.add(module)
        names = [name for name, _ in imports(module)]
        assert 'torch' not in map(row_of, names), f'{module} imports torch'
        paths = {name.removeprefix(f'{NAME}.').replace('.', '/') for name in names if name.startswith(NAME)}
        files = {f'{path}.py' for path in paths} | {f'{path.rpartition("/")[0]}.py' for path in paths}
        waiting += sorted(files & set(MODULES) - loaded - set(waiting))
    assert 'data_engine/poses.py' in loaded


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
    trees = [PACKAGE / module for module in RUN_TIME] + list((ROOT / 'launch').glob('*.py'))
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
