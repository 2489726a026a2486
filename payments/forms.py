from __future__ import annotations

from django import forms
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ledger.forms import AmountField, MoneyForm
from payments.limits import limits_in_words


class TopUpForm(MoneyForm):
    # Made when the page is rendered, so that sending the form twice starts one payment.
    top_up_id = forms.UUIDField(widget=forms.HiddenInput)
    amount = AmountField(
        label=_("Amount"),
        help_text=format_lazy(
            _("{limits_in_words} at a time, written like 25 or 25.50."), limits_in_words=lazy(limits_in_words, str)()
        ),
    )
    # Where the fan came from, to go back there with the money.
    next = forms.CharField(required=False, widget=forms.HiddenInput)
