"""The promises of SECURITY.md: no download, no unpickling, no other program, only listed weights.

The sources are read, and each rule is shown to catch a planted violation.
"""

import ast
import json
import os
import re
import subprocess
import sys

import model_json
import pytest
from sources import PACKAGE, RUN_TIME

from maskhand_ros.errors import ModelError
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.weights import REQUIRED_FILES

NETWORK = {'aiohttp', 'ftplib', 'http', 'httpx', 'huggingface_hub', 'requests', 'smtplib', 'socket', 'urllib'}
NETWORK |= {'urllib3', 'xmlrpc'}
UNPICKLERS = {'cPickle', 'cloudpickle', 'dill', 'joblib', 'marshal', 'pickle', 'shelve', 'torch'}
PROGRAMS = {'asyncio', 'multiprocessing', 'pty', 'subprocess'}
FORBIDDEN_MODULES = NETWORK | UNPICKLERS | PROGRAMS
"""Modules that open connections, run what a file says, or start programs."""

FORBIDDEN_CALLS = {'__import__', 'compile', 'eval', 'exec'}
FORBIDDEN_OS = re.compile(r'os\.(system|popen|exec\w*|spawn\w*|posix_spawn\w*|fork\w*)$')
DYNAMIC_IMPORT = {'importlib', 'pkgutil', 'runpy'}

ALLOWED = {
    ('hand_model/array_pickle.py', 'pickle'),  # arrays only, offline, with a test of its own
    ('nodes/processes.py', 'subprocess'),  # starts this package's own nodes for the demo and the bench
    ('cli.py', 'importlib'),  # the commands' modules, by a fixed table
    ('video_reader.py', 'importlib'),  # whether PyAV is installed; imports nothing
    ('__init__.py', 'pkgutil'),  # the generated messages beside a source tree
}


def violations(name: str, source: str) -> list[str]:
    """'file:line what' for each place of a module's `source` that breaks a promise."""
    tree, found = ast.parse(source), []
    for node in ast.walk(tree):
        used = []
        if isinstance(node, ast.Import):
            used = [alias.name.split('.')[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            used = [(node.module or '').split('.')[0]]
        elif isinstance(node, ast.Attribute) and FORBIDDEN_OS.match(ast.unparse(node)):
            used = [ast.unparse(node)]
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN_CALLS:
            used = [node.id]
        elif isinstance(node, ast.keyword) and node.arg == 'allow_pickle':
            used = [] if ast.unparse(node.value) == 'False' else ['allow_pickle']
        for what in used:
            harmless = what not in FORBIDDEN_MODULES | DYNAMIC_IMPORT | FORBIDDEN_CALLS | {'allow_pickle'}
            if (harmless and not what.startswith('os.')) or (name, what) in ALLOWED:
                continue
            found.append(f'{name}:{getattr(node, "lineno", "?")} {what}')
    return found


def test_run_time_neither_downloads_nor_unpickles_nor_starts_programs():
    wrong = [each for name in RUN_TIME for each in violations(name, (PACKAGE / name).read_text())]
    assert not wrong, '\n'.join(wrong)


def test_onnx_runtime_reports_its_use_to_nobody():
    """From its import on it has a thread that does, unless the environment says no; then there is none."""
    code = (
        "import numpy, os; threads = lambda: len(os.listdir('/proc/self/task')); before = threads(); "
        'import maskhand_ros.perception.device; assert threads() == before, threads()'
    )
    environment = {name: value for name, value in os.environ.items() if name != 'ORT_DISABLE_TELEMETRY'}
    subprocess.run([sys.executable, '-c', code], check=True, env=environment)


@pytest.mark.parametrize(
    'planted',
    [
        'import subprocess; subprocess.run(["curl", "-O", "https://example.org/weights.onnx"])',
        'import urllib.request; urllib.request.urlretrieve("https://example.org/a", "a")',
        'from urllib import request',
        'import socket',
        'import os; os.system("wget https://example.org/a")',
        'import os; os.execvp("curl", ["curl"])',
        '__import__("pickle").load(open("a", "rb"))',
        'import importlib; importlib.import_module("pickle")',
        'def f():\n    import pickle',
        'import numpy; numpy.load("a.npz", allow_pickle=True)',
        'exec(open("weights.py").read())',
        'import torch; torch.load("a.pt")',
    ],
)
def test_a_planted_violation_is_found(planted):
    name = 'perception/weights.py'
    source = (PACKAGE / name).read_text()
    assert not violations(name, source)
    assert violations(name, f'{source}\n{planted}\n')


def refusal(folder):
    with pytest.raises(ModelError) as raised:
        HandPipeline(PipelineConfig(weights_dir=str(folder)))
    return str(raised.value)


@pytest.mark.parametrize('name', REQUIRED_FILES)
def test_a_weight_file_that_is_not_listed_or_not_the_listed_one_is_refused(weights, name):
    not_required = {'CARD.md', 'model.json', 'tokenizer_encoder.onnx', 'landmarks_int8.onnx'}
    assert {path.name for path in weights.iterdir()} - not_required == set(REQUIRED_FILES)
    digest = json.loads((weights / 'model.json').read_text())['files'][name]
    model_json.edit(weights, lambda description: description['files'].pop(name))
    assert f'lists no SHA-256 for {name}' in refusal(weights)
    model_json.edit(weights, lambda description: description['files'].update({name: digest}))
    whole = (weights / name).read_bytes()
    (weights / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert f'{name} is not the file that model.json lists' in refusal(weights)


def test_a_file_beside_the_weights_that_is_not_listed_is_refused(weights):
    """ONNX Runtime loads external data that a listed ONNX file refers to, whatever is in it."""
    (weights / 'context.onnx.data').write_bytes(b'\0' * 16)
    assert 'context.onnx.data is not listed in model.json' in refusal(weights)
