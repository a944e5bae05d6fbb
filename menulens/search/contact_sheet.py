"""A page that shows photos beside the ones most like them: one HTML file with everything inside it.

The pictures are small display copies, turned upright and stripped of their metadata (a phone writes where it was). The
page runs no script and loads nothing: its Content-Security-Policy says so to the browser.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, UnidentifiedImageError

from menulens.core.upright import upright

TEMPLATES = Path(__file__).parent / "templates"
MAX_PIXELS = 50_000_000
SIDE = 220


class PictureError(Exception):
    """A photo of which no display copy can be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One photo on the sheet.

    Attributes
    ----------
    picture
        What :func:`display_copy` returned; None shows ``problem`` in its place.
    right
        Whether the category is known to be right: True and False get a mark, None none.
    """

    title: str
    picture: str | None
    category: str | None = None
    confidence: float | None = None
    score: float | None = None
    right: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """A query photo and the photos found for it, the best first."""

    query: Cell
    hits: tuple[Cell, ...]
    note: str = ""


def display_copy(data: bytes, side: int = SIDE, max_pixels: int = MAX_PIXELS) -> str:
    """Return a small upright copy of a photo as a ``data:`` URI, without the metadata of the original.

    Raises
    ------
    PictureError
        If the bytes are no picture, break off, or claim more pixels than allowed (checked before decoding).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that the cap below is stricter on
            plain = _plain_copy(data, side, max_pixels)
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError("no picture") from None
    except Image.DecompressionBombError as error:
        raise PictureError(str(error)) from None
    except Exception as error:  # readers of broken bytes fail in many ways
        raise PictureError(f"not readable: {error}") from None
    target = BytesIO()
    plain.save(target, "JPEG", quality=78, optimize=True, progressive=True)
    return "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode("ascii")


def _plain_copy(data: bytes, side: int, max_pixels: int) -> Image.Image:
    """Return the copy's pixels, RGB and upright, on an image that carries no EXIF, no profile and no comment."""
    image = Image.open(BytesIO(data), formats=("JPEG", "PNG", "WEBP", "GIF"))
    if image.width * image.height > max_pixels:
        raise PictureError(f"{image.width} x {image.height} pixels; at most {max_pixels:,} are shown")
    image.draft("RGB", (side * 2, side * 2))
    image.load()
    shown = upright(image, image.info.get("exif"))
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    if shown.mode in ("RGBA", "LA", "P", "PA"):
        layer = shown.convert("RGBA")
        shown = Image.new("RGB", layer.size, "white")
        shown.paste(layer, mask=layer.getchannel("A"))
    plain = Image.new("RGB", shown.size)
    plain.paste(shown.convert("RGB"))
    return plain


def contact_sheet(title: str, strips: Sequence[Strip], facts: Sequence[tuple[str, str]] = (), note: str = "") -> str:
    """Return the page as HTML; every text in it is escaped.

    Parameters
    ----------
    facts
        Name and value, shown under the title: the model, the number of photos searched.
    """
    template = environment().get_template("contact_sheet.html.jinja")
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return template.render(title=title, strips=strips, facts=facts, note=note, made=made)


@cache
def environment() -> Environment:
    """Return the template environment: escapes everything, and stops at a name that is not defined."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
