from __future__ import annotations

from django import forms

from drops.models import Drop
from ledger.forms import MoneyForm
from sales.forms import PurchaseForm, SaleForm


class BuyForm(PurchaseForm):
    hold = forms.BooleanField(required=False)


class DropForm(SaleForm, MoneyForm):
    terms_of = Drop
