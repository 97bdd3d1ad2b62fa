"""MJCF whose meshes and textures are elsewhere."""

from __future__ import annotations

from pathlib import Path

import mujoco


def remove_missing_meshes(spec: mujoco.MjSpec, folder: Path | None) -> None:
    """Remove meshes whose file is not below `folder` (None: unknown, all with a file), with their geoms, and
    textures with the materials. Bodies that lose their mass get a small one."""
    meshes = folder / spec.meshdir if folder else None
    missing = [mesh for mesh in spec.meshes if mesh.file and not (meshes and (meshes / mesh.file).is_file())]
    if not missing:
        return
    names = {mesh.name or Path(mesh.file).stem for mesh in missing}
    for geom in [geom for geom in spec.geoms if geom.meshname in names]:
        spec.delete(geom)
    for geom in spec.geoms:
        geom.material = ''
    for element in [*missing, *spec.materials, *spec.textures]:
        spec.delete(element)
    spec.compiler.boundmass, spec.compiler.boundinertia = 1e-6, 1e-9
