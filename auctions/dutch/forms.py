from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _l

from auctions.models import Dutch, Pays, Premium
from core.money import MINOR_MAX, MoneyError, parse_money
from ledger.forms import MoneyForm
from sales.forms import PurchaseForm, SaleForm


class ClaimForm(PurchaseForm):
    """A claim from a browser without scripts: at the price that the page showed, or lower."""

    at_most = forms.IntegerField(min_value=1, max_value=MINOR_MAX, widget=forms.HiddenInput)


class DutchForm(SaleForm, MoneyForm):
    terms_of = Dutch
    amount_field = "start"

    premium_bps = forms.TypedChoiceField(
        label=_l("Buyer's premium"), choices=Premium.choices, initial=Premium.NONE, coerce=int,
        help_text=_l("What the winner pays on top of the price, for the house."),
    )  # fmt: skip
    pays = forms.ChoiceField(
        label=_l("What buyers pay"), choices=Pays.choices, initial=Pays.OWN, widget=forms.RadioSelect
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        for name in ("floor", "step"):
            text, currency = cleaned.get(name), cleaned.get("currency")
            if text and currency:
                try:
                    cleaned[name] = parse_money(text, currency)
                except MoneyError as mistake:
                    self.add_error(name, str(mistake))
        return cleaned
