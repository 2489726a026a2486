"""The seal of a sale: a rosette, like those on banknotes, drawn from the hash of its sealed terms.

The same terms give the same seal, on the room's page, the receipt and the proof; one changed letter gives another.
"""

from __future__ import annotations

import math
from functools import lru_cache

from django import template
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

HUES = 6  # as many as static/css/seal.css has inks
_POINTS = 96
_OUTER = 46  # of a box of 100 around the middle; the rest is air


@register.simple_tag
def seal(sha256: str) -> str:
    """An inline picture; decoration for the eye, so it is hidden from readers of text, who get the hash itself."""
    return _drawn(sha256) if sha256 else _BLANK


@register.filter
def short_hash(sha256: str) -> str:
    return f"{sha256[:6]} {sha256[6:12]}"


# A draft's: a place for a seal.
_BLANK = mark_safe(  # a constant
    '<svg class="seal seal--blank" viewBox="-50 -50 100 100" aria-hidden="true" focusable="false">'
    '<circle r="44" pathLength="72"/></svg>'
)


@lru_cache(maxsize=512)
def _drawn(sha256: str) -> SafeString:
    numbers = bytes.fromhex(sha256)
    outer_petals, inner_petals = 5 + numbers[0] % 9, 3 + numbers[4] % 6
    outer = _curve(outer_petals, depth=0.16 + numbers[1] / 1_100, twist=numbers[2], ripple=numbers[3])
    inner = _curve(inner_petals, depth=0.30 + numbers[5] / 900, twist=numbers[6], ripple=numbers[7])
    return mark_safe(  # noqa: S308  # only numbers we worked out
        f'<svg class="seal seal--{numbers[8] % HUES}" viewBox="-50 -50 100 100" aria-hidden="true" focusable="false">'
        f"{_turned(outer, f'seal-{sha256[:10]}-o', copies=6, petals=outer_petals, scale=1)}"
        f"{_turned(inner, f'seal-{sha256[:10]}-i', copies=5, petals=inner_petals, scale=0.56)}"
        "</svg>"
    )


def _curve(petals: int, *, depth: float, twist: int, ripple: int) -> str:
    """One closed line around the middle: a circle with `petals` waves, and finer ones upon those."""
    steps = []
    for point in range(_POINTS):
        angle = 2 * math.pi * point / _POINTS
        wave = math.cos(petals * angle + twist / 40) + 0.35 * math.cos((petals * 2 + 1 + ripple % 3) * angle)
        radius = _OUTER * (1 - depth) + _OUTER * depth * wave / 1.35
        steps.append(f"{radius * math.cos(angle):.1f} {radius * math.sin(angle):.1f}")
    return f"M{'L'.join(steps)}Z"


def _turned(curve: str, name: str, *, copies: int, petals: int, scale: float) -> str:
    """The curve and its copies, spread evenly between one petal and the next."""
    uses = "".join(
        f'<use href="#{name}" transform="rotate({360 / petals / copies * copy:.2f})"/>' for copy in range(1, copies)
    )
    return f'<g transform="scale({scale})"><path id="{name}" d="{curve}"/>{uses}</g>'
