"""Image streams that only an image_transport plugin decodes: their names, and the command that republishes
them as sensor_msgs/Image."""

from __future__ import annotations

TYPES = {
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket': 'ffmpeg',
    'foxglove_msgs/msg/CompressedVideo': 'foxglove',
    'theora_image_transport/msg/Packet': 'theora',
}
"""Message type -> image_transport plugin."""

_WORDS = {
    'compresseddepth': 'compressedDepth',
    'theora': 'theora',
    'zstd': 'zstd',
    'avif': 'avif',
    **dict.fromkeys(('ffmpeg', 'h264', 'h.264', 'h265', 'h.265', 'hevc', 'av1', 'vp8', 'vp9'), 'ffmpeg'),
}
"""Part of CompressedImage.format in small letters -> image_transport plugin."""

_STARTS = {b'\0\0\0\1': 'ffmpeg', b'\0\0\1': 'ffmpeg', b'OggS': 'theora', b'\x28\xb5\x2f\xfd': 'zstd'}
"""First bytes (H.264 and H.265 in the byte stream of their Annex B, Ogg, Zstandard) -> plugin."""


def transport_of(format: str, data: bytes) -> str | None:
    """The image_transport plugin for a CompressedImage that is no image file, if its format or its first
    bytes tell."""
    named = (transport for word, transport in _WORDS.items() if word in format.lower())
    begun = (transport for start, transport in _STARTS.items() if data.startswith(start))
    return next(named, None) or next(begun, None)


def republish(transport: str, topic: str = 'TOPIC') -> str:
    """Remedy for a stream on `topic`: the command of image_transport that republishes it (ROS 2 Jazzy and
    later; Humble takes the transports as arguments)."""
    return (
        f'Republish it as Image: ros2 run image_transport republish --ros-args -p in_transport:={transport} '
        f'-p out_transport:=raw -r in/{transport}:={topic} -r out:=/republished (Humble: republish '
        f'{transport} raw --ros-args -r ...), with compressed: false and image remapped to it'
    )
