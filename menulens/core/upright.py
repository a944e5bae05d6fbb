"""Turn a picture as its photo was held, as browsers do.

Pillow's own ``exif_transpose`` fails on odd EXIF, for it writes back what is left of it; and it looks in XMP too, where
browsers do not.
"""

from __future__ import annotations

from typing import Final

from PIL import ExifTags, Image

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(picture: Image.Image, exif: object) -> Image.Image:
    """Return a picture turned upright; the picture itself if nothing is to turn.

    Parameters
    ----------
    exif
        ``info.get("exif")`` of the photo, once its pixels are loaded: a PNG may tell it after them. What is missing or
        broken turns nothing.
    """
    turn = _TURNS.get(_orientation(exif))
    return picture if turn is None else picture.transpose(turn)


def _orientation(exif: object) -> int:
    """Return how the photo was held, 1 to 8; 1 if what says so is missing or broken."""
    if not isinstance(exif, bytes):
        return 1
    entries = Image.Exif()
    try:
        entries.load(exif)
        value = entries.get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF reader fails in many ways on broken data, which is no reason to reject a photo
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
