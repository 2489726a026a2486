from __future__ import annotations

from django import forms

from ledger.forms import AmountField, MoneyForm
from payments.limits import limits_in_words


class TopUpForm(MoneyForm):
    # Made when the page is rendered, so that sending the form twice starts one payment.
    top_up_id = forms.UUIDField(widget=forms.HiddenInput)
    amount = AmountField(label="Amount", help_text=f"{limits_in_words()} at a time, written like 25 or 25.50.")
    # Where the fan came from, to go back there with the money.
    next = forms.CharField(required=False, widget=forms.HiddenInput)
