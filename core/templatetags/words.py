"""Words that the program holds in English, in the reader's language."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext

register = template.Library()


@register.filter
def said(text: object) -> str:
    """What is marked where it stands (`N_`), translated where it is shown."""
    return gettext(str(text)) if text else ""
