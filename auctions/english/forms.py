from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _l

from auctions.english.services import minor_steps
from auctions.english.steps import STEPS_TEXT_MAX, read_steps
from auctions.forms import PremiumForm
from auctions.models import English
from core.errors import Invalid
from core.money import MINOR_MAX, amount_text
from ledger.forms import AmountField, MoneyForm
from sales.forms import SaleForm

# Grows with the price, and says something in every currency.
USUAL_STEPS = "0:1, 50:2, 100:5, 500:10, 1000:25, 5000:100"


class BidForm(forms.Form):
    """A bid from a browser without scripts, in the sale's currency. Empty with the buttons for the next bid and to buy now."""

    key = forms.UUIDField()
    max = AmountField(required=False)
    next_minor = forms.IntegerField(required=False, min_value=1, max_value=MINOR_MAX)  # what the button said
    buy_now = forms.BooleanField(required=False)
    sure = forms.CharField(required=False, max_length=16)  # the maximum that the page asked about again


class EnglishForm(SaleForm, MoneyForm, PremiumForm):
    terms_of = English

    steps = forms.CharField(
        label=_l("Bid steps"), max_length=STEPS_TEXT_MAX, initial=USUAL_STEPS,
        help_text=_l("How much higher the next bid has to be, from which price on: “0:1, 50:2” is 1 at first, and 2 from 50 on."),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        currency = cleaned.get("currency")
        if cleaned.get("steps") and currency:
            try:
                cleaned["steps"] = minor_steps(cleaned["steps"], currency)
            except Invalid as mistake:
                self.add_error("steps", mistake.said)
        return cleaned

    @classmethod
    def saying(cls, row: Any, zone: str) -> dict[str, Any]:
        said, currency = super().saying(row, zone), row.sale.currency
        rows = [
            f"{amount_text(step.from_minor, currency)}:{amount_text(step.step_minor, currency)}"
            for step in read_steps(row.steps)
        ]
        return said | {"steps": ", ".join(rows)}
