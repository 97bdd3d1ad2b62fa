"""Build for pip: run the CMakeLists.txt that colcon runs, and pack its install tree into the wheel.

ROS 2 comes from the sourced workspace (AMENT_PREFIX_PATH), else from the wheels of ROS_DISTRO.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
NAME = 'maskhand_ros'
WHEEL_DISTROS = ('jazzy', 'kilted')


def build_requirements():
    """Return the pip requirements of the build: the tools, and the ROS 2 wheels unless a ROS is sourced."""
    names = ['build']
    if not os.environ.get('AMENT_PREFIX_PATH'):
        distro = os.environ.get('ROS_DISTRO', WHEEL_DISTROS[0])
        if distro not in WHEEL_DISTROS:
            raise SystemExit(
                f'ROS_DISTRO={distro} has no wheels: source its setup.bash, or set ROS_DISTRO to one of '
                f'{", ".join(WHEEL_DISTROS)}'
            )
        names.append(distro)
    lines = [line for name in names for line in (HERE / f'requirements/{name}.txt').read_text().splitlines()]
    return [line for line in lines if line and not line.startswith('#')]


def ament_prefixes():
    """Return the ament prefixes to build against: the sourced ones, else the one that holds the wheels."""
    if os.environ.get('AMENT_PREFIX_PATH'):
        return os.environ['AMENT_PREFIX_PATH'].split(os.pathsep)
    spec = importlib.util.find_spec('rosidl_cmake')
    if spec is None:
        raise SystemExit(
            'no ROS 2 to build against: source a ROS 2 installation, or run '
            'pip install -r requirements/jazzy.txt first'
        )
    # PREFIX/lib/pythonX.Y/site-packages/rosidl_cmake/__init__.py
    return [str(Path(spec.origin).parents[4])]


def has_tf2_msgs(prefixes):
    """Return whether an ament prefix holds the real tf2_msgs, not ours of an earlier installation."""
    found = [Path(prefix) / 'share/tf2_msgs/package.xml' for prefix in prefixes]
    ours = (HERE / 'vendor/tf2_msgs/package.xml').read_text()
    return any(path.exists() and path.read_text() != ours for path in found)


class BuildWithCMake(build_py):
    """Replace the copying of Python files: CMake generates the messages and installs everything."""

    def run(self):
        base = Path(self.get_finalized_command('build').build_temp).resolve()
        stage = base / 'prefix'
        prefixes = ament_prefixes()
        # CMake remembers where it found things: start afresh when the Python or the ROS 2 is another one.
        environment, note = '\n'.join([sys.executable, *prefixes]), base / 'environment.txt'
        if not note.exists() or note.read_text() != environment:
            shutil.rmtree(base, ignore_errors=True)
            base.mkdir(parents=True)
            note.write_text(environment)
        shutil.rmtree(stage, ignore_errors=True)
        shutil.rmtree(self.build_lib, ignore_errors=True)
        if not has_tf2_msgs(prefixes):
            self.build_project(HERE / 'vendor/tf2_msgs', base / 'tf2_msgs', stage, prefixes)
        self.build_project(HERE, base / NAME, stage, prefixes)
        self.pack(stage)

    def build_project(self, source, build, stage, prefixes):
        """Configure, build and install the CMake project `source` into `stage`."""
        path = os.pathsep.join([str(stage), *prefixes])
        env = dict(os.environ, AMENT_PREFIX_PATH=path, CMAKE_PREFIX_PATH=path)
        for arguments in (
            [
                '-G',
                'Ninja',
                '-S',
                source,
                '-B',
                build,
                '-DCMAKE_BUILD_TYPE=Release',
                '-DBUILD_TESTING=OFF',
                f'-DCMAKE_INSTALL_PREFIX={stage}',
                f'-DPython3_EXECUTABLE={sys.executable}',
                f'-DCMAKE_PROJECT_INCLUDE={HERE / "cmake/wheel_fixups.cmake"}',
            ],
            ['--build', build],
            ['--install', build],
        ):
            subprocess.run(['cmake', *map(str, arguments)], check=True, env=env)

    def pack(self, stage):
        """Hand the install tree to the wheel: Python packages as such, the rest as data files."""
        site = next(stage.rglob(f'{NAME}/__init__.py')).parents[1]
        for package in site.iterdir():
            if not package.name.endswith('.egg-info'):
                shutil.copytree(
                    package,
                    Path(self.build_lib) / package.name,
                    dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns('_*.c', '__pycache__'),
                )
        data = {}
        for file in sorted(stage.rglob('*')):
            folder = file.parent.relative_to(stage)
            # bin/ is left out: pip makes the `maskhand` script itself.
            if file.is_file() and site not in file.parents and folder.parts[0] in ('lib', 'share', 'include'):
                data.setdefault(str(folder), []).append(str(file))
        self.distribution.data_files = sorted(data.items())


class BinaryDistribution(Distribution):
    """A wheel for one Python and platform: the message libraries are compiled outside setuptools' sight."""

    def has_ext_modules(self):
        return True


setup(
    version=ElementTree.parse(HERE / 'package.xml').findtext('version'),
    packages=[NAME],
    setup_requires=build_requirements(),
    cmdclass={'build_py': BuildWithCMake},
    distclass=BinaryDistribution,
)
