from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from core.money import SOLD_CURRENCIES, MoneyError, parse_money

CURRENCIES = [(currency, currency) for currency in SOLD_CURRENCIES]


class AmountField(forms.CharField):
    """An amount as a person writes it. Stays text until the form knows the currency: see `clean_amount`."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "maxlength": 16})
        super().__init__(max_length=16, widget=widget, **options)


class MoneyForm(forms.Form):
    """A form with an amount and its currency. After `is_valid`, `cleaned_data[amount_field]` is a Money."""

    amount_field = "amount"

    currency = forms.ChoiceField(label=_("Currency"), choices=CURRENCIES, initial="EUR")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        text, currency = cleaned.get(self.amount_field), cleaned.get("currency")
        if text and currency:
            try:
                cleaned[self.amount_field] = parse_money(text, currency)
            except MoneyError as error:
                self.add_error(self.amount_field, ValidationError(str(error)))
        return cleaned
