"""A shop's own colour on its pages: a hue and a chroma of the shop's, lightness of the site's (`static/css/tokens.css`)."""

from __future__ import annotations

import zlib

from sellers.models import Seller

CHROMA_MAX = 14  # hundredths: as much as every hue can have at the lightness that text takes
CHROMA = 11


def colour_of(seller: Seller) -> tuple[int, int]:
    """Hue in degrees and chroma in hundredths. A shop that has chosen none has one by its address."""
    hue = zlib.crc32(seller.handle.encode()) % 360 if seller.hue is None else seller.hue
    return hue, CHROMA if seller.chroma is None else seller.chroma


def stylesheet(seller: Seller) -> str:
    hue, chroma = colour_of(seller)
    return f":root {{ --shop-hue: {hue}; --shop-chroma: {chroma / 100:.2f}; }}\n"
