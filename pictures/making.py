"""A picture made anew in the sizes that pages use. Pure: bytes in, files out.

What comes out holds pixels only: no EXIF with somebody's address, and nothing that was hidden in the file. Vector files are not
read at all: an SVG is a program.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import BinaryIO

from django.utils.translation import gettext_noop as N_
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from core.errors import Invalid

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
BYTES_MAX = 15_000_000
PIXELS_MAX = 24_000_000
SIDE_MIN = 64
WIDTHS = (320, 640, 1280)
QUALITY = {"webp": 80, "avif": 60}
AVIF_SPEED = 8  # of 10: a tenth of the time for a few percent more bytes


@dataclass(frozen=True, slots=True)
class Made:
    """`files` by name: "640.webp"."""

    width: int
    height: int
    widths: tuple[int, ...]
    files: dict[str, bytes]


def check(file: BinaryIO) -> None:
    """By its head alone, without taking it apart. Raises Invalid for what `make` would not take."""
    _opened(file)
    file.seek(0)


def make(file: BinaryIO) -> Made:
    """Raises Invalid for a file that is no picture, is broken, or is too large or too small."""
    picture = _opened(file)
    try:
        upright = ImageOps.exif_transpose(picture)  # as the camera was held, before that is forgotten
        pixels = _in_srgb(upright.convert("RGBA" if _has_alpha(upright) else "RGB"), upright.info.get("icc_profile"))
    except (OSError, SyntaxError, ValueError) as error:
        raise Invalid(N_("This picture is broken."), field="picture") from error
    widths = (
        *(width for width in WIDTHS if width < pixels.width and width < WIDTHS[-1]),
        min(pixels.width, WIDTHS[-1]),
    )
    files: dict[str, bytes] = {}
    for width in widths:
        height = max(1, round(pixels.height * width / pixels.width))
        sized = pixels.resize((width, height), Image.Resampling.LANCZOS)
        files[f"{width}.webp"] = _written(sized, "webp", method=4)
        files[f"{width}.avif"] = _written(sized, "avif", speed=AVIF_SPEED)
    return Made(widths[-1], max(1, round(pixels.height * widths[-1] / pixels.width)), widths, files)


def _opened(file: BinaryIO) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we count ourselves
            picture = Image.open(file, formats=FORMATS)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise Invalid(
            N_("This is not a picture we know. Please use JPEG, PNG, WebP or AVIF."), field="picture"
        ) from error
    if picture.width * picture.height > PIXELS_MAX:
        raise Invalid(N_("This picture has more than 24 million pixels."), field="picture")
    if min(picture.size) < SIDE_MIN:
        raise Invalid(N_("This picture is too small: each side takes 64 pixels at least."), field="picture")
    return picture


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """In the colours that every screen knows: the profile it came with is left out with the rest."""
    picture.info.clear()  # nothing that stands beside the pixels goes on
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        made = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):  # a profile that is broken, or for another kind of picture
        return picture
    assert made is not None  # it is not done in place
    made.info.clear()
    return made


def _has_alpha(picture: Image.Image) -> bool:
    return "A" in picture.getbands() or "transparency" in picture.info


def _written(picture: Image.Image, format: str, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, quality=QUALITY[format], **options)
    return out.getvalue()
