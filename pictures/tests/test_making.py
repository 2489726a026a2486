"""Pictures made anew: sizes, what is left out, what is refused."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from core.errors import Invalid
from pictures import making
from tests.tools.shop import picture_file


def written(picture: Image.Image, format: str = "JPEG", **options: object) -> io.BytesIO:
    out = io.BytesIO()
    picture.save(out, format, **options)
    out.seek(0)
    return out


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    ("width", "widths"), [(2000, (320, 640, 1280)), (1280, (320, 640, 1280)), (700, (320, 640, 700)), (300, (300,))]
)
def test_sizes_are_never_larger_than_the_picture(width: int, widths: tuple[int, ...]) -> None:
    made = making.make(picture_file(width, 500).file)
    assert made.widths == widths
    assert set(made.files) == {f"{each}.{kind}" for each in widths for kind in ("webp", "avif")}
    for name, content in made.files.items():
        assert opened(content).format == name.split(".")[1].upper()
        assert opened(content).width == int(name.split(".")[0])
    assert (made.width, made.height) == (widths[-1], round(500 * widths[-1] / width))


def test_it_stands_upright_and_says_nothing_of_where_it_was_taken() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    file = written(Image.new("RGB", (400, 200), "red"), exif=exif)
    assert opened(file.getvalue()).getexif()  # as it came
    made = making.make(file)
    assert (made.width, made.height) == (200, 400)
    for content in made.files.values():
        assert not opened(content).getexif()
        assert b"A camera" not in content


def test_nothing_that_stands_beside_the_pixels_goes_on() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format, options in (
        ("JPEG", {"icc_profile": profile, "comment": b"hidden words", "xmp": b"<x>hidden words</x>"}),
        ("WEBP", {"icc_profile": profile, "xmp": b"<x>hidden words</x>"}),
        ("AVIF", {"xmp": b"<x>hidden words</x>"}),
        ("JPEG", {"icc_profile": b"no profile at all"}),
    ):
        made = making.make(written(Image.new("RGB", (400, 200), "red"), format, **options))
        for content in made.files.values():
            assert b"hidden words" not in content
            assert not opened(content).info.keys() & {"icc_profile", "exif", "xmp", "comment"}


def test_what_can_be_seen_through_stays_so() -> None:
    made = making.make(written(Image.new("RGBA", (300, 300), (0, 0, 0, 0)), "PNG"))
    assert opened(made.files["300.webp"]).convert("RGBA").getpixel((5, 5))[3] == 0


def bomb() -> bytes:
    """A PNG of a few bytes that says it has a billion pixels."""
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", b"GIF89a" + bytes(40), bomb(),
        written(Image.new("RGB", (20, 400))).getvalue(),
    ],
    ids=["empty", "text", "svg", "gif", "bomb", "tiny"],
)  # fmt: skip
def test_what_is_no_picture_of_ours_is_refused_by_its_head(content: bytes) -> None:
    with pytest.raises(Invalid):
        making.check(io.BytesIO(content))
    with pytest.raises(Invalid):
        making.make(io.BytesIO(content))


def test_a_picture_that_breaks_off_is_refused() -> None:
    whole = written(Image.effect_noise((800, 800), 90).convert("RGB")).getvalue()
    with pytest.raises(Invalid, match="broken"):
        making.make(io.BytesIO(whole[: len(whole) // 2]))
