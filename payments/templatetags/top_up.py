from __future__ import annotations

from django import template

from core.ids import uuid7
from payments.forms import TopUpForm

register = template.Library()


@register.simple_tag
def top_up_form() -> TopUpForm:
    """A fresh form to put money into the wallet."""
    return TopUpForm(initial={"top_up_id": uuid7()})
