"""URDF as MuJoCo reads it: without visuals and missing meshes, with mimic joints kept."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

URDF_FIX = 'give a URDF (expanded, no xacro) or an MJCF of the hand; `check_urdf` finds faults of a URDF'


def mujoco_urdf(text: str, folder: Path | None, visuals: bool = False) -> str:
    """The URDF for MuJoCo: meshes by absolute path, those that cannot be found left out; links that are fixed
    to others kept, since fingertips are such links. `visuals`: with them. `folder` of the file; None:
    unknown.
    """
    robot = ElementTree.fromstring(text)
    kinds = ('visual', 'collision')
    for link in robot.iter('link'):
        for part in [child for child in link if child.tag in kinds]:
            if not _resolved(part, folder) or (part.tag == 'visual' and not visuals):
                link.remove(part)
    for other in robot.findall('mujoco'):
        robot.remove(other)
    options = ElementTree.SubElement(ElementTree.SubElement(robot, 'mujoco'), 'compiler')
    options.attrib.update(
        balanceinertia='true',
        boundmass='1e-6',
        boundinertia='1e-9',
        discardvisual='false' if visuals else 'true',
        fusestatic='false',
        strippath='false',
        angle='radian',
    )
    return ElementTree.tostring(robot, encoding='unicode')


def urdf_velocities(text: str) -> dict[str, float]:
    """Maximum speed of each joint that states one, rad/s (m/s for sliding joints)."""
    limits = (
        (joint.get('name', ''), joint.find('limit')) for joint in ElementTree.fromstring(text).iter('joint')
    )
    found = {name: float(limit.get('velocity', 0)) for name, limit in limits if limit is not None}
    return {name: speed for name, speed in found.items() if speed > 0}


def root_link(text: str) -> str:
    """Name of the link that is no other link's child; MuJoCo makes it part of the world."""
    robot = ElementTree.fromstring(text)
    children = {child.get('link') for child in robot.findall('joint/child')}
    return next(
        (name for link in robot.iter('link') if (name := link.get('name', '')) not in children), 'world'
    )


def _resolved(part: ElementTree.Element, folder: Path | None) -> bool:
    """Make the mesh paths inside `part` absolute; returns whether all files are there."""
    for mesh in part.iter('mesh'):
        path = _find(mesh.get('filename', ''), folder)
        if path is None:
            return False
        mesh.set('filename', str(path))
    return True


def _find(name: str, folder: Path | None) -> Path | None:
    """File that a mesh name of a URDF means: file://, package:// (searched in the folders around), a path."""
    if name.startswith('file://'):
        name = name.removeprefix('file://')
    below = Path(name.removeprefix('package://'))
    places = [below] if folder is None else [folder / below, *(up / below for up in folder.parents)]
    if folder is not None and name.startswith('package://'):
        places.append(folder / Path(*below.parts[1:]))
        places += [up / Path(*below.parts[1:]) for up in folder.parents]
    found = next((path.resolve() for path in places if path.is_file()), None)
    readable = found is not None and found.suffix.lower() in ('.stl', '.obj', '.msh')
    return found if readable else None
