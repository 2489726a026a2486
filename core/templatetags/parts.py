"""Small parts of pages: icons, and figures that are set in large digits."""

from __future__ import annotations

import segno
from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import language

register = template.Library()

FIGURE_DIGITS_MAX = 12  # as many sizes as static/css/figure.css knows


@register.simple_tag
def icon(name: str, more: str = "") -> SafeString:
    """A picture of the sprite (`static/vendor/manifest.json` names them all). Decoration: the words for it stand beside."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        more,
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
def qr(text: str) -> SafeString:
    """A code that a phone's camera reads as `text`, drawn in the page."""
    return SafeString(
        segno.make(text, micro=False).svg_inline(scale=3, border=2, omitsize=True, svgclass="qr", light="#fff")
    )


@register.filter
def digits(figure: object) -> int:
    """How wide a figure is, in characters: the more there are, the smaller they are set."""
    return min(len(str(figure)), FIGURE_DIGITS_MAX)


@register.filter
def split_words(text: str) -> list[str]:
    return text.split()


@register.filter
def signed(number: int) -> str:
    """A change: with its sign, also when it is a plus."""
    sign = "+" if number > 0 else "\N{MINUS SIGN}" if number < 0 else ""
    return f"{sign}{language.number(abs(number))}"


@register.filter
def grouped(number: int) -> str:
    """`1000000` → `1,000,000`."""
    return language.number(number)
