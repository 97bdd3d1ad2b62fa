"""Offscreen rendering of a MuJoCo model, without a display: through EGL (also Mesa's software renderer), else
OSMesa."""

from __future__ import annotations

import weakref
from typing import Any

import mujoco
import numpy as np

from maskhand_ros.errors import ModelError

_BACKENDS = 'egl', 'osmesa'


class Offscreen:
    """A renderer of one size. ModelError with the packages to install where there is no EGL and no OSMesa."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self._gl = _context(width, height)
        self._free = weakref.finalize(self, self._gl.free)
        self._gl.make_current()
        self._model, self._rect = model, mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera('view').id
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._pixels = np.empty((height, width, 3), np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._rect.width, self._rect.height

    def draw(self, data: mujoco.MjData) -> np.ndarray:
        """Image (height, width, 3) uint8 RGB of the camera `view`."""
        self._gl.make_current()
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._camera, int(everything), self._scene
        )
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._context)
        return np.flipud(self._pixels).copy()

    def close(self) -> None:
        """Free the context."""
        self._gl.make_current()
        self._context.free()
        self._free()


def _module(name: str) -> Any:
    """MuJoCo's module of a backend; it loads the library when it is imported."""
    if name == 'egl':
        from mujoco import egl

        return egl
    from mujoco import osmesa

    return osmesa


def _context(width: int, height: int) -> Any:
    problems = []
    for name in _BACKENDS:
        try:
            return _module(name).GLContext(width, height)
        except (ImportError, AttributeError, RuntimeError, OSError) as error:
            problems.append(f'{name}: {" ".join(str(error).split())[:100]}')
    raise ModelError(
        f'nothing to render the simulation with ({"; ".join(problems)})',
        'apt install libegl1 libgl1-mesa-dri (renders in software where there is no GPU), or libosmesa6',
    )
