"""What `import maskhand_ros` offers: the Python API on first use, and the version of package.xml."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import maskhand_ros
from maskhand_ros import Camera, Frame, HandPipeline, PipelineConfig

ROOT = Path(__file__).resolve().parents[1]
VERSION = ElementTree.parse(ROOT / 'package.xml').findtext('version')


def run(code: str, **where: Any) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own; `where`: cwd and env of subprocess.run."""
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, **where)


def test_the_names_are_those_of_their_modules():
    from maskhand_ros.geometry import Camera as camera
    from maskhand_ros.perception import pipeline, types

    assert (Camera, Frame) == (camera, types.Frame)
    assert (HandPipeline, PipelineConfig) == (pipeline.HandPipeline, pipeline.PipelineConfig)
    assert all(hasattr(maskhand_ros, name) for name in maskhand_ros.__all__)
    with pytest.raises(AttributeError, match="module 'maskhand_ros' has no attribute 'Kamera'"):
        maskhand_ros.Kamera  # noqa: B018


@pytest.mark.parametrize('module', ['maskhand_ros', 'maskhand_ros.msg'])
def test_the_messages_load_neither_opencv_nor_onnxruntime(module):
    if module == 'maskhand_ros.msg':
        pytest.importorskip('rclpy', reason='needs ROS 2')
    heavy = "{'cv2', 'onnxruntime', 'torch', 'rclpy'}"
    done = run(f'import sys, {module}; print(sorted({heavy} & set(sys.modules)))')
    assert done.stdout == '[]\n', done.stderr


def test_a_camera_needs_no_onnxruntime():
    code = "import sys; sys.modules['onnxruntime'] = None; from maskhand_ros import Camera, PipelineConfig"
    assert run(code).returncode == 0


def test_version_is_that_of_package_xml():
    assert maskhand_ros.__version__ == VERSION
    try:
        installed = importlib.metadata.distribution('maskhand-ros')
    except importlib.metadata.PackageNotFoundError:
        return  # installed by colcon, or not at all
    if Path(installed.locate_file('maskhand_ros/__init__.py')) == Path(maskhand_ros.__file__):
        assert installed.version == VERSION


def test_version_of_an_installation_is_its_own(tmp_path):
    package = tmp_path / 'lib/python3/site-packages/maskhand_ros'
    package.mkdir(parents=True)
    for name in ('__init__.py', 'version.py'):
        shutil.copy(Path(maskhand_ros.__file__).parent / name, package)
    other = '<package><name>other</name><version>1.0.0</version></package>'
    (package.parent / 'package.xml').write_text(other)
    code = 'import maskhand_ros; print(maskhand_ros.__version__)'
    where = {'cwd': tmp_path, 'env': {**os.environ, 'PYTHONPATH': str(package.parent)}}
    missing = run(code, **where)
    assert missing.returncode and 'Fix: install the package again' in missing.stderr
    manifest = tmp_path / 'share/maskhand_ros/package.xml'
    manifest.parent.mkdir(parents=True)
    manifest.write_text('<package><name>maskhand_ros</name><version>9.8.7</version></package>')
    assert run(code, **where).stdout == '9.8.7\n'
