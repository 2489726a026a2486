"""Moments on pages: in the reader's zone as far as it is known, else in UTC until a script has run."""

from __future__ import annotations

import datetime as dt

from django import template
from django.utils.html import format_html
from django.utils.timesince import timeuntil

from core import language

register = template.Library()


@register.simple_tag
def moment(at: dt.datetime) -> str:
    return format_html(
        '<time datetime="{}" data-moment>{}</time>',
        at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        language.moment(at),
    )


@register.filter
def day(at: dt.date) -> str:
    return language.day(at)


@register.simple_tag
def countdown(at: dt.datetime, now: dt.datetime) -> str:
    """How long until `at`: in words, which a script turns into a clock."""
    left = timeuntil(at, now, depth=1)
    return format_html('<time datetime="{}" data-countdown>{}</time>', at.isoformat(timespec="milliseconds"), left)


@register.filter
def duration(seconds: int) -> str:
    """Whole seconds in the largest units that fit: `90` → `1 min 30 s`."""
    units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")]
    parts = []
    for size, name in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts) or "0 s"
