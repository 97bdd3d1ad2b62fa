"""Columns of a clip's Parquet file: name, type, shape, unit and frame of each.

A column `observation.hands.*` has two entries a row, left hand then right; an absent hand is null. The names
`observation.hands.kp2d`, `.kp3d` and `observation.intrinsics` are those of public data sets of hand actions
in the LeRobot format.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1
"""Raised when a column changes its meaning or is removed."""

HANDS = 'observation.hands.'
"""Prefix of the columns with an entry for the left and one for the right hand."""

OTHER_HANDS = 'observation.other_hands'
"""Column with a list of records, with the fields of HAND_COLUMNS: hands beside the two of the row."""

METADATA_KEY = b'maskhand'
"""Key of the JSON text in the metadata of the Parquet schema."""

CAMERA_FRAME = 'camera optical frame: x right, y down, z forward (REP 103)'
WRIST_FRAME = 'wrist: x to the fingers, z out of the back of the hand, y = z cross x'
IMAGE_FRAME = 'image as received: u right, v down, (0, 0) in the centre of the top left pixel'


@dataclass(frozen=True)
class Column:
    """One column, or one field of a hand. `shape`: of the value of one frame (of one hand); () for a
    scalar. `type`: an Arrow type of its elements. `frame`: of its coordinates, '' where it has none."""

    name: str
    type: str
    shape: tuple[int, ...]
    unit: str
    frame: str
    about: str


FRAME_COLUMNS = (
    Column('frame_index', 'int64', (), '', '', 'number of the frame in the clip, from 0'),
    Column('timestamp', 'float64', (), 's', '', 'frame_index / nominal frame rate'),
    Column('source_time', 'float64', (), 's', '', 'presentation time (pts) or stamp since the first frame'),
    Column('observation.intrinsics', 'float64', (3, 3), 'px', '', 'camera matrix; null where it is unknown'),
)
"""Columns with one value a frame."""

HAND_COLUMNS = (
    Column('track_id', 'int32', (), '', '', 'number of the hand in the clip'),
    Column('side', 'string', (), '', '', "'left' or 'right'"),
    Column('handedness_probability', 'float32', (), '', '', 'probability that the side is correct'),
    Column('presence', 'float32', (), '', '', 'probability that this is a hand'),
    Column(
        'confidence',
        'float32',
        (),
        '',
        '',
        'probability that the mean keypoint error from the wrist is below 20 mm',
    ),
    Column('observed', 'bool', (), '', '', 'false where the hand was filled in from other frames'),
    Column('operator', 'bool', (), '', '', "whether it is the operator's hand of its side"),
    Column(
        'scale_source',
        'string',
        (),
        '',
        '',
        "source of the scale: 'none' (no camera matrix), 'population', 'parameter', 'learned', 'depth'",
    ),
    Column('kp2d', 'float32', (21, 2), 'px', IMAGE_FRAME, 'keypoints'),
    Column('kp3d', 'float32', (21, 3), 'm', CAMERA_FRAME, 'keypoints; null where the scale is unknown'),
    Column('kp3d_wrist', 'float32', (21, 3), 'm', WRIST_FRAME, 'keypoints'),
    Column(
        'kp_stddev',
        'float32',
        (21, 2),
        'm',
        'viewing ray',
        'standard deviation relative to the wrist: of each axis across the ray, and along it',
    ),
    Column(
        'kp_visibility',
        'float32',
        (21,),
        '',
        '',
        'probability that a keypoint can be seen: neither hidden nor outside the image; null where the hand '
        'was filled in and where the landmark network does not say',
    ),
    Column(
        'wrist_position', 'float32', (3,), 'm', CAMERA_FRAME, 'of the wrist; null where the scale is unknown'
    ),
    Column('wrist_orientation', 'float32', (4,), '', CAMERA_FRAME, 'quaternion x, y, z, w of the wrist'),
    Column(
        'wrist_covariance',
        'float32',
        (6, 6),
        'm^2, m rad, rad^2',
        CAMERA_FRAME,
        'of position and of rotation about the fixed axes; null where the scale is unknown',
    ),
    Column(
        'global_orient',
        'float32',
        (3,),
        'rad',
        CAMERA_FRAME,
        "axis-angle of the hand model's root (axes of the hand model, MANO convention)",
    ),
    Column(
        'hand_pose',
        'float32',
        (45,),
        'rad',
        'parent joint',
        'axis-angle of 15 finger joints in MANO order, relative to their parents',
    ),
    Column('betas', 'float32', (10,), '', '', "shape coefficients of the hand model that 'hand_model' names"),
    Column('size', 'float32', (), '', '', 'scale factor of the hand model'),
)
"""Fields of a hand: columns `observation.hands.NAME`, and fields of OTHER_HANDS."""
