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
    """A form with amounts and their currency. After `is_valid` each is a Money in `cleaned_data`, one that was left open None."""

    currency = forms.ChoiceField(label=_("Currency"), choices=CURRENCIES, initial="EUR")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        currency = cleaned.get("currency")
        for name, field in self.fields.items():
            if not isinstance(field, AmountField) or name not in cleaned:
                continue
            text, cleaned[name] = cleaned[name], None
            if text and currency:
                try:
                    cleaned[name] = parse_money(text, currency)
                except MoneyError as error:
                    self.add_error(name, ValidationError(str(error)))
        return cleaned
