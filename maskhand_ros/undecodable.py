"""Reasons why a file is not an image, from its first bytes."""

from __future__ import annotations

_FTYP = slice(4, 8)
_BRAND = slice(8, 12)
"""Of an ISO base media file (ISO/IEC 14496-12, 4.3): HEIC, AVIF, MP4, MOV."""
_HEIF_BRANDS = {b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1'}
_AVIF_BRANDS = {b'avif', b'avis'}
_APPLE_DOUBLE = (b'\x00\x05\x16\x07', b'\x00\x05\x16\x00')
"""Magic numbers of AppleDouble and AppleSingle (RFC 1740)."""
_LFS_POINTER = b'version https://git-lfs.github.com/spec/'
"""https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""


def is_apple_double(data: bytes) -> bool:
    """Whether a file is macOS metadata of another file (`._NAME`), not an image."""
    return data.startswith(_APPLE_DOUBLE)


def is_cut_off_jpeg(data: bytes) -> bool:
    """Whether a JPEG ends before its image: no end-of-image marker after the start of the first scan
    (ITU-T T.81, B.1). OpenCV before 5 decodes such a file and fills the rest with grey.

    A thumbnail in an EXIF segment has markers of its own: segments are skipped by their length.
    """
    if not data.startswith(b'\xff\xd8'):
        return False
    place = 2
    while data[place : place + 1] == b'\xff':
        if data[place : place + 2] == b'\xff\xff':  # fill byte
            place += 1
        elif data[place : place + 2] == b'\xff\xda':
            return data.find(b'\xff\xd9', place) < 0
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
    return place >= len(data)


def explain(data: bytes) -> tuple[str, str]:
    """(what an undecodable file is, fix). The first text is a predicate to the file's name."""
    start = data[:256].lstrip().lower()
    brand = data[_BRAND] if data[_FTYP] == b'ftyp' else b''
    if not data:
        return 'is empty', 'copy it again from its source'
    if is_apple_double(data):
        return (
            "is a Mac's metadata file (AppleDouble), not an image",
            'none needed: the image is the file without "._"',
        )
    if brand in _HEIF_BRANDS:
        return 'is a HEIC image (whatever its name), which OpenCV does not decode', (
            'convert it: `heif-convert IN OUT.jpg` (libheif), `magick heic:IN OUT.jpg` (ImageMagick) or '
            '`sips -s format jpeg IN --out OUT.jpg` (Mac)'
        )
    if brand in _AVIF_BRANDS:
        return 'is an AVIF image that this OpenCV does not decode', 'convert it: `avifdec IN OUT.png`'
    if brand:
        return 'is a video (MP4 or MOV), not an image', 'run `maskhand video` on it'
    if data.startswith(_LFS_POINTER):
        return 'is a Git LFS pointer, not the image itself', 'run `git lfs pull` in its repository'
    if start.startswith((b'<!doctype', b'<html', b'<?xml', b'<svg')):
        return 'is a web page or another text, not an image', 'download the image itself'
    if is_cut_off_jpeg(data):
        return 'is a JPEG that ends before its image data does', 'copy or download it again'
    return 'is not an image that OpenCV decodes: damaged, cut off or of another format', (
        'copy it again, or convert it to JPEG or PNG'
    )
