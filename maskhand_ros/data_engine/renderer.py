"""Draws meshes through a pinhole camera with moderngl on EGL: skin, nails, sleeves, light, shadow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskhand_ros.data_engine.shaders import FAR, FRAGMENT, NEAR, SHADOW_SIZE, SHADOW_VERTEX, VERTEX

if TYPE_CHECKING:
    import moderngl

    from maskhand_ros.data_engine.meshes import Mesh

Uniforms = Mapping[str, Any]
"""Values of a shader's uniforms by name: numbers and vectors."""


# One process per core draws its own images: more threads in the software renderer would only fight.
os.environ.setdefault('LP_NUM_THREADS', '1')

_NOTHING_WORN = {'worn_range': (9.0, 9.0), 'band_range': (9.0, 9.0), 'mark': 0.0}
_LAYOUT = '3f 3f 3f 3f'
_ATTRIBUTES = ('place', 'normal', 'texture_place', 'marks')


def tiling_noise(size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 4) uint8 noise that tiles: four layers from coarse-and-fine to fine."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    layers = []
    for power in (0.8, 0.8, 0.5, 0.1):
        spectrum = np.fft.fft2(rng.standard_normal((size, size))) / np.maximum(frequency, 1 / size) ** power
        spectrum[0, 0] = 0
        layer = np.fft.ifft2(spectrum).real
        layers.append(np.clip(128 + 50 * layer / layer.std(), 0, 255))
    return np.stack(layers, -1).astype(np.uint8)


def _light_view(direction: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """(4, 4) orthographic view along a light (unit `direction` towards it) that holds a sphere."""
    z = -np.asarray(direction)
    x = np.cross([0.0, 1, 0] if abs(z[1]) < 0.9 else [1.0, 0, 0], z)
    x /= np.linalg.norm(x)
    view = np.eye(4)
    view[:3, :3] = np.stack([x, np.cross(z, x), z]) / radius
    view[:3, 3] = -view[:3, :3] @ centre
    return view


class Renderer:
    """An image of meshes through a pinhole camera. One per process: it owns an OpenGL context.

    Raises RuntimeError with the packages to install if there is no EGL.
    """

    def __init__(self, width: int, height: int, seed: int = 0) -> None:
        import moderngl

        try:
            self._gl = moderngl.create_context(standalone=True, backend='egl')
        except Exception as error:
            raise RuntimeError(
                f'no EGL context to render with ({error}): apt install libegl1 libgl1-mesa-dri'
            ) from error
        self.size = width, height
        self._program = self._gl.program(VERTEX, FRAGMENT)
        self._shadow_program = self._gl.program(SHADOW_VERTEX, '#version 330\nvoid main() {}')
        self._targets: dict[int, moderngl.Framebuffer] = {}
        self._buffers: dict[tuple[int, int, int], tuple] = {}
        self._shadow_map = self._gl.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = '<='
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow_target = self._gl.framebuffer(depth_attachment=self._shadow_map)
        self._noise = self._gl.texture(
            (256, 256), 4, tiling_noise(256, np.random.default_rng(seed)).tobytes()
        )
        self._noise.build_mipmaps()
        self._first = np.empty((0, 0))
        self._program['noise'], self._program['shadow'] = 0, 1
        self._gl.enable(moderngl.DEPTH_TEST)

    def _target(self, scale: int) -> moderngl.Framebuffer:
        if scale not in self._targets:
            size = self.size[0] * scale, self.size[1] * scale
            self._targets[scale] = self._gl.framebuffer(
                [self._gl.texture(size, 4)], self._gl.depth_renderbuffer(size)
            )
        return self._targets[scale]

    def _upload(self, slot: int, mesh: Mesh) -> list[moderngl.VertexArray]:
        """Vertex arrays of a mesh in buffers that are kept for its slot in the scene."""
        key = slot, len(mesh.vertices), len(mesh.faces)
        if key not in self._buffers:
            buffer = self._gl.buffer(reserve=len(mesh.vertices) * 48)
            faces = self._gl.buffer(reserve=mesh.faces.size * 4)
            self._buffers[key] = (
                buffer,
                faces,
                self._gl.vertex_array(self._program, [(buffer, _LAYOUT, *_ATTRIBUTES)], faces),
                self._gl.vertex_array(self._shadow_program, [(buffer, '3f 36x', 'place')], faces),
            )
        buffer, faces, *arrays = self._buffers[key]
        columns = [mesh.vertices, mesh.normals, mesh.texture, mesh.marks]
        buffer.write(np.concatenate(columns, 1).astype(np.float32).tobytes())
        faces.write(mesh.faces.astype(np.int32).tobytes())
        return arrays

    def draw(
        self,
        meshes: Sequence[Mesh],
        K: np.ndarray,
        light: Uniforms,
        supersample: int = 1,
        apart: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Colour (h, w, 3) uint8 with black where nothing is, and coverage (h, w) uint8.

        `meshes` list of Mesh in the camera's frame, `K` (3, 3) px of this image, `light` uniforms (see
        scenes.py). The colour is premultiplied by the coverage. `apart` keeps the depth of the first mesh for
        `first_depth_at`.
        """
        import cv2

        arrays = [self._upload(slot, mesh) for slot, mesh in enumerate(meshes)]
        shadow_of = np.concatenate([mesh.vertices for mesh in meshes])
        centre = shadow_of.mean(0)
        radius = np.linalg.norm(shadow_of - centre, axis=1).max() * 1.02
        to_light = _light_view(light['key'], centre, radius)
        columns = tuple(to_light.T.ravel())
        if light['shade'] > 0:
            self._shadow_program['to_light'] = columns
            self._shadow_target.use()
            self._shadow_target.clear(depth=1.0)
            for _, shadow in arrays:
                shadow.render()
        target = self._target(supersample)
        target.use()
        target.clear(0, 0, 0, 0)
        width, height = self.size
        self._set(
            {
                'lens': (K[0][0], K[1][1], K[0][2], K[1][2]),
                'resolution': (width, height),
                'to_light': columns,
                **light,
            }
        )
        self._noise.use(0)
        self._shadow_map.use(1)
        for mesh, (array, _) in zip(meshes, arrays, strict=True):
            self._set({**_NOTHING_WORN, **mesh.material})
            array.render()
            if apart and mesh is meshes[0]:
                self._first = self._distances(supersample)
        pixels = np.frombuffer(target.read(components=4), np.uint8)
        pixels = pixels.reshape(height * supersample, width * supersample, 4)
        if supersample > 1:
            pixels = cv2.resize(pixels, self.size, interpolation=cv2.INTER_AREA)
        return pixels[..., :3], pixels[..., 3]

    def depth(self, supersample: int = 1) -> np.ndarray:
        """Distance along z (h, w) in metres of the nearest surface in the last image, drawn with
        `supersample`: of one ray through each pixel; FAR where there is none."""
        return self._distances(supersample)[supersample // 2 :: supersample, supersample // 2 :: supersample]

    def depth_at(self, pixels: np.ndarray, supersample: int = 1) -> np.ndarray:
        """The same (N,) at pixels (N, 2), to the fraction of a pixel; FAR outside the image too."""
        return self._at(self._distances(supersample), pixels, supersample)

    def first_depth_at(self, pixels: np.ndarray, supersample: int = 1) -> np.ndarray:
        """The same as depth_at of the first mesh alone, of the last image drawn with `apart`."""
        return self._at(self._first, pixels, supersample)

    @staticmethod
    def _at(distances: np.ndarray, pixels: np.ndarray, supersample: int) -> np.ndarray:
        column, row = np.floor((np.asarray(pixels) + 0.5) * supersample).astype(int).T
        inside = (column >= 0) & (column < distances.shape[1]) & (row >= 0) & (row < distances.shape[0])
        depth = np.full(len(pixels), FAR)
        depth[inside] = distances[row[inside], column[inside]]
        return depth

    def _distances(self, supersample: int) -> np.ndarray:
        width, height = self.size[0] * supersample, self.size[1] * supersample
        buffer = self._target(supersample).read(attachment=-1, components=1, dtype='f4')
        depth = np.frombuffer(buffer, np.float32).reshape(height, width).astype(float)
        return 1 / (1 / NEAR - depth * (1 / NEAR - 1 / FAR))

    def _set(self, uniforms: Uniforms) -> None:
        for name, value in uniforms.items():
            if name in self._program:
                self._program[name].value = value if np.isscalar(value) else tuple(np.asarray(value, float))
