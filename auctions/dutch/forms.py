from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _l

from auctions.forms import PremiumForm
from auctions.models import Dutch, Pays
from core.money import MINOR_MAX
from ledger.forms import MoneyForm
from sales.forms import PurchaseForm, SaleForm


class ClaimForm(PurchaseForm):
    """A claim from a browser without scripts: at the price that the page showed, or lower."""

    at_most = forms.IntegerField(min_value=1, max_value=MINOR_MAX, widget=forms.HiddenInput)


class DutchForm(SaleForm, MoneyForm, PremiumForm):
    terms_of = Dutch

    pays = forms.ChoiceField(
        label=_l("What buyers pay"), choices=Pays.choices, initial=Pays.OWN, widget=forms.RadioSelect
    )
