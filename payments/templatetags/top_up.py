from __future__ import annotations

from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.errors import Refusal
from core.ids import uuid7
from core.money import EXPONENTS, amount_text
from payments.forms import TopUpForm
from payments.limits import LIMITS, missing

register = template.Library()


@register.simple_tag
def top_up_form() -> TopUpForm:
    """A fresh form to put money into the wallet."""
    return TopUpForm(initial={"top_up_id": uuid7()})


@register.simple_tag
def top_up_data(currency: str) -> SafeString:
    """What `static/js/buy.js` needs of a form that costs money: the currency's digits, and how its money is brought in."""
    exponent = format_html('data-exponent="{}"', EXPONENTS[currency])
    if currency not in LIMITS:
        return exponent
    return format_html(
        '{} data-top-up-url="{}" data-top-up-min="{}" data-top-up-max="{}"',
        exponent, reverse("payments:start"), *LIMITS[currency],
    )  # fmt: skip


@register.simple_tag
def top_up_url(refusal: Refusal, back: str = "") -> str:
    """Where to add what an InsufficientFunds says is missing, and come back to the path `back`."""
    currency = refusal.data["currency"]
    if currency not in LIMITS:
        return reverse("ledger:wallet")  # play money is not bought
    amount = amount_text(missing(_missing_minor(refusal), currency).amount_minor, currency)
    return f"{reverse('payments:start')}?{urlencode({'amount': amount, 'currency': currency, 'next': back})}"


@register.simple_tag
def top_up_words(refusal: Refusal) -> str:
    """What the link to `top_up_url` says."""
    currency = refusal.data["currency"]
    if currency not in LIMITS:
        return _("See your wallet")
    payments = missing(_missing_minor(refusal), currency).payments
    return (
        _("Add the missing money")
        if payments == 1
        else _("Add the missing money in {payments} payments").format(payments=payments)
    )


def _missing_minor(refusal: Refusal) -> int:
    return int(refusal.data["needed_minor"] - refusal.data["available_minor"])
