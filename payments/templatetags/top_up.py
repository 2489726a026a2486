from __future__ import annotations

from urllib.parse import urlencode

from django import template
from django.urls import reverse

from core.errors import Refusal
from core.ids import uuid7
from core.money import amount_text
from payments.forms import TopUpForm
from payments.services import TOP_UP_MAX_MINOR, TOP_UP_MIN_MINOR

register = template.Library()


@register.simple_tag
def top_up_form() -> TopUpForm:
    """A fresh form to put money into the wallet."""
    return TopUpForm(initial={"top_up_id": uuid7()})


@register.simple_tag
def top_up_url(refusal: Refusal, back: str = "") -> str:
    """Where to add what an InsufficientFunds says is missing, and come back to the path `back`."""
    missing = refusal.data["needed_minor"] - refusal.data["available_minor"]
    amount = min(max(missing, TOP_UP_MIN_MINOR), TOP_UP_MAX_MINOR)
    currency = refusal.data["currency"]
    query = {"amount": amount_text(amount, currency), "currency": currency, "next": back}
    return f"{reverse('payments:start')}?{urlencode(query)}"
