"""Overlay of hands on an image: shaded mesh, skeleton coloured by finger (hidden keypoints hollow), label."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from maskhand_ros.geometry import Camera
from maskhand_ros.perception.types import PREDICTED, Hand
from maskhand_ros.skeleton import KEYPOINT_EDGES, LEFT, RIGHT

FINGER_COLOURS = np.array([[255, 99, 72], [255, 190, 11], [46, 196, 108], [58, 134, 255], [177, 88, 255]])
"""(5, 3) RGB of thumb, index, middle, ring, little."""

MESH_COLOURS = {RIGHT: (110, 168, 254), LEFT: (250, 166, 97)}
"""RGB of the mesh of each side."""

_HIDDEN = 0.5
"""Visibility below which a keypoint is drawn hollow."""
_LIGHT = np.array([-0.45, -0.65, -0.61])
_SUBPIXEL_BITS = 4
_DARK = (24, 24, 27)
"""RGB of the inside of hollow keypoints and of the ground of labels."""


def draw_hands(
    rgb: np.ndarray,
    hands: list[Hand],
    camera: Camera | None = None,
    faces: np.ndarray | None = None,
    mirrored: bool = False,
    labels: bool = True,
) -> np.ndarray:
    """Copy of the image `rgb` (H, W, 3) uint8 with the `hands` drawn.

    `camera`: Camera of the image; None: Camera.default. `faces`: (F, 3) triangles of a right hand, their
    winding is reversed for left hands; None: no mesh. `mirrored`: the image is a mirror image
    (`mirrored_input`). `labels`: id, side and confidence as text beside each hand.
    """
    # Hands are in the real camera's frame, the image is mirrored. Mirroring reverses the winding.
    if mirrored:
        hands, faces = [_in_mirror(hand) for hand in hands], None if faces is None else faces[:, ::-1]
    canvas = np.array(rgb, copy=True, order='C')
    camera = camera or Camera.default(rgb.shape[1], rgb.shape[0])
    for hand in sorted(hands, key=_distance, reverse=True):  # near hands cover far ones
        if faces is not None and hand.vertices is not None:
            triangles = faces if hand.side == RIGHT else faces[:, ::-1]
            draw_mesh(
                canvas,
                vertices_in_camera(hand, camera),
                triangles,
                camera,
                MESH_COLOURS[hand.side],
            )
        _draw_skeleton(canvas, hand)
    for hand in hands if labels else ():
        _draw_label(canvas, hand)
    return canvas


def _in_mirror(hand: Hand) -> Hand:
    """The Hand mirrored at the camera's plane x = 0; its pixel fields refer to the mirrored image already."""
    mirror = np.diag([-1.0, 1.0, 1.0])
    position = None if hand.wrist_position is None else mirror @ hand.wrist_position
    return dataclasses.replace(hand, wrist_position=position, wrist_rotation=mirror @ hand.wrist_rotation)


def vertices_in_camera(hand: Hand, camera: Camera) -> np.ndarray:
    """Mesh vertices (V, 3) in the camera frame; without a scale, where they fit `keypoints_px`."""
    position = hand.wrist_position
    if position is None:
        position = _translation_that_fits(
            hand.keypoints_wrist @ hand.wrist_rotation.T, hand.keypoints_px, camera
        )
    return hand.vertices @ hand.wrist_rotation.T + position


def _distance(hand: Hand) -> float:
    return 0.0 if hand.wrist_position is None else float(hand.wrist_position[2])


def _translation_that_fits(points: np.ndarray, pixels: np.ndarray, camera: Camera) -> np.ndarray:
    """Translation (3,) that brings points (N, 3) nearest to the rays of pixels (N, 2), least squares."""
    rays = camera.nearest_rays(pixels)[:, :2]
    # u (Z + tz) = X + tx and v (Z + tz) = Y + ty for every point
    rows = np.zeros((len(rays), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1
    rows[:, :, 2] = -rays
    goal = rays * points[:, 2:] - points[:, :2]
    return np.linalg.lstsq(rows.reshape(-1, 3), goal.reshape(-1), rcond=None)[0]


def draw_mesh(
    canvas: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    camera: Camera,
    colour: tuple[int, int, int],
    opacity: float = 0.6,
) -> None:
    """Draws a mesh into `canvas`: vertices (V, 3) in the camera frame, faces (F, 3) wound outwards.

    Triangles that face the camera are drawn from far to near, then blended with the image.
    """
    if vertices[:, 2].min() < 0.01:
        return  # behind the camera or too close to it
    pixels = camera.project(vertices)
    height, width = canvas.shape[:2]
    left, top = np.maximum(np.floor(pixels.min(0)) - 1, 0).astype(int)
    right, bottom = np.minimum(np.ceil(pixels.max(0)) + 2, [width, height]).astype(int)
    if right <= left or bottom <= top:
        return
    corners = vertices[faces]  # (F, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    centres = corners.mean(1)
    visible = np.flatnonzero((normals * centres).sum(1) < 0)
    visible = visible[np.argsort(-centres[visible, 2])]
    # Smooth shading by the mean normal of the corners: a light at the camera, and one from the upper left.
    smooth = _unit(_vertex_normals(faces, normals, len(vertices)))[faces[visible]].mean(1)
    facing = np.clip(-(smooth * _unit(centres[visible])).sum(1), 0, 1)
    shade = 0.3 + 0.4 * facing + 0.4 * np.clip(smooth @ _LIGHT, 0, 1)
    colours = np.clip(shade[:, None] * colour + 12, 0, 255).tolist()
    triangles = np.round((pixels[faces[visible]] - [left, top]) * 2**_SUBPIXEL_BITS).astype(np.int32)
    part = canvas[top:bottom, left:right]
    paint, mask = part.copy(), np.zeros(part.shape[:2], np.uint8)
    fill = cv2.fillConvexPoly
    for triangle, tone in zip(triangles, colours, strict=True):
        fill(paint, triangle, tone, cv2.LINE_8, _SUBPIXEL_BITS)
        fill(mask, triangle, 1, cv2.LINE_8, _SUBPIXEL_BITS)
    blended = cv2.addWeighted(paint, opacity, part, 1 - opacity, 0)
    cv2.copyTo(blended, mask, part)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _vertex_normals(faces: np.ndarray, normals: np.ndarray, count: int) -> np.ndarray:
    """Sums (count, 3) of the face normals (F, 3), area-weighted, at the corners of faces (F, 3)."""
    return np.stack(
        [np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), count) for axis in range(3)], 1
    )


def _thickness(hand: Hand) -> int:
    """Line width in pixels for the hand's size in the image."""
    return max(1, int(round(np.ptp(hand.keypoints_px, axis=0).max() / 90)))


def _draw_skeleton(canvas: np.ndarray, hand: Hand) -> None:
    if not np.all(np.isfinite(hand.keypoints_px)):
        return
    points = np.round(np.clip(hand.keypoints_px, -4096, 4096) * 2**_SUBPIXEL_BITS).astype(int)
    width = _thickness(hand)
    for edge, (a, b) in enumerate(KEYPOINT_EDGES):
        cv2.line(
            canvas,
            tuple(points[a].tolist()),
            tuple(points[b].tolist()),
            FINGER_COLOURS[edge // 4].tolist(),
            width,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )
    visibility = np.ones(21) if hand.keypoint_visibility is None else hand.keypoint_visibility
    radius = int((width + 1) * 2**_SUBPIXEL_BITS)
    for k, point in enumerate(points):
        colour = (255, 255, 255) if k == 0 else FINGER_COLOURS[(k - 1) // 4].tolist()
        centre, hollow = tuple(point.tolist()), visibility[k] < _HIDDEN
        cv2.circle(canvas, centre, radius, _DARK if hollow else colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        if hollow:
            cv2.circle(canvas, centre, radius, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_label(canvas: np.ndarray, hand: Hand) -> None:
    """Draws id, side and confidence (or "predicted") above the hand, inside the image."""
    sure = 'predicted' if hand.state == PREDICTED else f'{hand.confidence:.2f}'
    text = f'{hand.id} {hand.side} {sure}'
    scale = max(0.4, canvas.shape[0] / 1000)
    (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x, y = hand.keypoints_px.min(0) - [0, 6]
    x = int(np.clip(np.nan_to_num(x), 0, max(canvas.shape[1] - w - 4, 0)))
    y = int(np.clip(np.nan_to_num(y), h + 6, max(canvas.shape[0] - base, h + 6)))
    cv2.rectangle(canvas, (x, y - h - 6), (x + w + 4, y + base - 2), _DARK, -1)
    cv2.putText(
        canvas, text, (x + 2, y - 2), cv2.FONT_HERSHEY_SIMPLEX, scale, MESH_COLOURS[hand.side], 1, cv2.LINE_AA
    )
