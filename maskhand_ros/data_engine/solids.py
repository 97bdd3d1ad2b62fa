"""Things to hold, made of balls, cylinders and boxes: their surface to draw, and the distance to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskhand_ros.data_engine.scenes import grid_solid

BALL, CYLINDER, BOX = 'ball', 'cylinder', 'box'


@dataclass(frozen=True)
class Part:
    """A ball of radius size[0]; a cylinder along x, half as long as size[0], of radius size[1]; a box with
    half sides `size`. Around `offset` (3,), in metres."""

    shape: str
    size: tuple[float, float, float]
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance (...) of points (..., 3) from the surface, negative inside."""
        points = points - np.array(self.offset)
        if self.shape == BALL:
            return np.linalg.norm(points, axis=-1) - self.size[0]
        if self.shape == CYLINDER:
            radial = np.linalg.norm(points[..., 1:], axis=-1) - self.size[1]
            over = np.stack([np.abs(points[..., 0]) - self.size[0], radial], -1)
        else:
            over = np.abs(points) - np.array(self.size)
        return np.linalg.norm(np.maximum(over, 0), axis=-1) + np.minimum(over.max(-1), 0)

    def surface(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices, unit normals and faces."""
        if self.shape == BOX:
            vertices, normals, faces = _box(np.array(self.size))
        else:
            vertices, normals, faces = grid_solid(*_profile(self))
        return vertices + np.array(self.offset), normals, faces


@dataclass(frozen=True)
class Solid:
    """A thing of parts, turned by `frame` (3, 3) and put at `place` (3,) metres."""

    parts: tuple[Part, ...]
    frame: np.ndarray
    place: np.ndarray

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance (...) of points (..., 3) from the nearest part, negative inside."""
        local = (points - self.place) @ self.frame
        return np.min([part.distance(local) for part in self.parts], axis=0)


def _profile(part: Part) -> tuple[int, int, np.ndarray]:
    """Rings, sides and profile (rings, 2) of a ball or a closed cylinder for `grid_solid`."""
    if part.shape == BALL:
        turn = np.linspace(0, np.pi, 14)
        return 14, 20, part.size[0] * np.stack([-np.cos(turn), np.sin(turn)], 1)
    half, radius, _ = part.size
    along = half * np.array([-1, -1, -0.995, 0.995, 1, 1])
    return 6, 22, np.stack([along, radius * np.array([0, 0.99, 1, 1, 0.99, 0])], 1)


def _box(half: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A box with flat sides: 24 vertices, normals and 12 faces."""
    corners = np.array([(1, a, b) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))], float)
    sides = [np.roll(corners, axis, 1) * sign for axis in range(3) for sign in (1, -1)]
    normals = [np.roll([[sign, 0.0, 0]] * 4, axis, 1) for axis in range(3) for sign in (1, -1)]
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return (
        np.concatenate(sides) * half,
        np.concatenate(normals),
        np.concatenate([faces + 4 * side for side in range(6)]).astype(np.int32),
    )


def random_parts(rng: np.random.Generator) -> tuple[Part, ...]:
    """A ball, bottle, stick, card, block, cup or tool; its long side along x."""
    kind = rng.choice(7, p=(0.14, 0.2, 0.14, 0.12, 0.16, 0.1, 0.14))
    u = rng.uniform
    if kind == 0:
        return (Part(BALL, (u(0.018, 0.042), 0, 0)),)
    if kind == 1:
        radius, half = u(0.016, 0.036), u(0.06, 0.12)
        neck = Part(CYLINDER, (0.02, 0.4 * radius, 0), (half + 0.018, 0, 0))
        return Part(CYLINDER, (half, radius, 0)), neck
    if kind == 2:
        return (Part(CYLINDER, (u(0.06, 0.16), u(0.006, 0.015), 0)),)
    if kind == 3:
        return (Part(BOX, (u(0.05, 0.085), u(0.003, 0.006), u(0.025, 0.042))),)
    if kind == 4:
        return (Part(BOX, (u(0.025, 0.09), u(0.012, 0.03), u(0.012, 0.035))),)
    if kind == 5:
        return (Part(CYLINDER, (u(0.03, 0.055), u(0.03, 0.042), 0)),)
    return _tool(rng)


def _tool(rng: np.random.Generator) -> tuple[Part, ...]:
    """A handle with a head: hammer, screwdriver, brush, lamp."""
    half, radius = rng.uniform(0.05, 0.09), rng.uniform(0.009, 0.017)
    handle = Part(CYLINDER, (half, radius, 0))
    if rng.random() < 0.5:
        head = (rng.uniform(0.01, 0.02), rng.uniform(0.02, 0.05), rng.uniform(0.01, 0.02))
        return handle, Part(BOX, head, (half + head[0], 0, 0))
    blade = Part(CYLINDER, (rng.uniform(0.03, 0.06), 0.35 * radius, 0), (half + 0.03, 0, 0))
    return handle, blade
