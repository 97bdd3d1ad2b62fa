"""Makes the README's images: `python docs/make_figures.py` (needs the package, no ROS).

axes.png: the frames, drawn on the hand model. hands.webp: the bundled clip through the whole pipeline, every
third frame.
"""

import pathlib

import cv2
import numpy as np

from maskhand_ros.geometry import Camera, mirror_rotation, wrist_frame
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.perception.overlay import MESH_COLOURS, draw_hands, draw_mesh
from maskhand_ros.skeleton import LEFT, RIGHT

DOCS = pathlib.Path(__file__).resolve().parent
AXIS_COLOURS = ((214, 40, 40), (36, 143, 60), (40, 80, 214))
INK = (40, 40, 46)
CAMERA = Camera(np.array([[900.0, 0, 480], [0, 900, 210], [0, 0, 1]]), 960, 420)


def axes_image():
    """Both hands with their wrist frames, seen by the camera whose optical frame is drawn in the corner."""
    canvas = np.full((CAMERA.height, CAMERA.width, 3), 250, np.uint8)
    model = HandModel.load()
    # Fingers up, back of the hand to the camera, then leant back so that all three axes can be seen.
    upright = np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]])
    lean = cv2.Rodrigues(np.array([-0.55, 0, 0]))[0] @ cv2.Rodrigues(np.array([0, -0.45, 0]))[0]
    pose = np.tile(np.eye(3), (1, 15, 1, 1))
    for side, place in ((LEFT, [-0.07, 0.1, 0.62]), (RIGHT, [0.2, 0.1, 0.62])):
        rotation = lean @ upright
        hand = model(np.zeros((1, 10)), rotation[None], pose)
        flip = [1, 1, 1] if side == RIGHT else [-1, 1, 1]
        rotation = rotation if side == RIGHT else mirror_rotation(rotation)
        faces = model.faces if side == RIGHT else model.faces_left
        draw_mesh(canvas, hand.vertices[0] * flip + place, faces, CAMERA, MESH_COLOURS[side], 1.0)
        frame = wrist_frame(rotation, side)
        draw_axes(canvas, np.array(place), frame, 0.085)
        foot = CAMERA.project(np.array(place))[0] + [0, 45]
        label(canvas, f'{side}_hand/wrist', foot, INK, centred=True)
    draw_axes(canvas, np.array([-0.29, -0.08, 0.62]), np.eye(3), 0.06, look=np.array([0.35, -0.35, 1]))
    label(
        canvas, 'camera (optical frame)', CAMERA.project(np.array([-0.29, -0.08, 0.62]))[0] + [-20, 122], INK
    )
    for row, line in enumerate(
        (
            'wrist frame:',
            'x to the fingers',
            'z out of the back',
            'y = z cross x:',
            ' thumb side (right)',
            ' little finger (left)',
        )
    ):
        label(canvas, line, (22, 272 + 24 * row), INK)
    return canvas


def draw_axes(canvas, origin, frame, length, look=None):
    """Arrows along the columns of `frame` from `origin` (3,); `look` (3,) stands in for a hidden z."""
    start = CAMERA.project(origin)[0]
    for axis, colour in enumerate(AXIS_COLOURS):
        direction = frame[:, axis] if look is None or axis < 2 else look / np.linalg.norm(look)
        end = CAMERA.project(origin + length * direction)[0]
        cv2.arrowedLine(canvas, point(start), point(end), colour, 3, cv2.LINE_AA, tipLength=0.18)
        away = (end - start) / max(np.linalg.norm(end - start), 1)
        label(canvas, 'xyz'[axis], end + 14 * away + [-5, 5], colour, 0.65, 2)


def label(canvas, text, place, colour, scale=0.55, weight=1, centred=False):
    width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, weight)[0][0]
    place = np.asarray(place) - [width / 2 if centred else 0, 0]
    cv2.putText(canvas, text, point(place), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, weight, cv2.LINE_AA)


def point(xy):
    return tuple(int(round(v)) for v in xy)


def clip_overlays():
    """Yields each frame of the bundled clip with the pipeline's hands drawn into it."""
    from maskhand_ros.clip import read_clip
    from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
    from maskhand_ros.perception.types import Frame

    clip, pipeline = read_clip(), HandPipeline(PipelineConfig())
    for number, rgb in enumerate(clip.frames()):
        camera = Camera(clip.K, rgb.shape[1], rgb.shape[0])
        hands = pipeline.process(Frame(rgb=rgb, stamp_ns=int(number / clip.rate * 1e9), camera=camera))
        yield draw_hands(rgb, hands, camera, pipeline.hand_model.faces)


def write_animation(path, images, period_ms):
    """An animated WebP of (H, W, 3) uint8 RGB images at three quarters of their size, `period_ms` each."""
    animation = cv2.Animation()
    animation.frames = [
        cv2.cvtColor(
            cv2.resize(each, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGRA
        )
        for each in images
    ]
    animation.durations = [period_ms] * len(images)
    cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, 60])


if __name__ == '__main__':
    cv2.imwrite(str(DOCS / 'axes.png'), cv2.cvtColor(axes_image(), cv2.COLOR_RGB2BGR))
    write_animation(DOCS / 'hands.webp', list(clip_overlays())[::3], 100)
