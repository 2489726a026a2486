from __future__ import annotations

import datetime as dt
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from core.money import Money
from drops.models import LIMIT_MAX, UNITS_MAX
from drops.services import CANCEL_S_MAX, HOLD_S_MAX
from ledger.forms import CURRENCIES, AmountField, MoneyForm

NOW, LATER = "now", "at"


class WholeNumberField(forms.IntegerField):
    """Plain ASCII digits. Django's own field, like Python, also takes "1_0", "10.0" and other scripts' digits."""

    _DIGITS = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, str) and value.strip() and not self._DIGITS.fullmatch(value.strip()):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class UtcField(forms.DateTimeField):
    """A browser's date and time, which carries no zone: read as UTC, and said so beside it."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local", "data-utc": ""}, format="%Y-%m-%dT%H:%M")
        super().__init__(widget=widget, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], **options)


class BuyForm(forms.Form):
    """The purchase of a browser without scripts."""

    key = forms.UUIDField()
    quantity = WholeNumberField(min_value=1, max_value=LIMIT_MAX)
    hold = forms.BooleanField(required=False)


class DropForm(MoneyForm):
    amount_field = "price"

    # Made when the page is rendered, so that sending the form twice drafts one drop.
    sale_id = forms.UUIDField(widget=forms.HiddenInput)
    title = forms.CharField(max_length=120, help_text="Sealed when you publish.")
    story = forms.CharField(
        max_length=5_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="What it is, how it was made, how it ships. Plain text.",
    )
    price = AmountField(label="Price of one unit", help_text="Like 24 or 24.50.")
    currency = forms.ChoiceField(choices=CURRENCIES, initial="EUR")
    units_total = WholeNumberField(label="Units", min_value=1, max_value=UNITS_MAX)
    limit_per_fan = WholeNumberField(
        label="Limit per fan", required=False, min_value=1, max_value=LIMIT_MAX, help_text="Empty: no limit."
    )
    hold_minutes = WholeNumberField(
        label="Hold, minutes",
        initial=0,
        min_value=0,
        max_value=HOLD_S_MAX // 60,
        help_text="How long a fan may keep units before paying. 0: no holds.",
    )
    give_back_minutes = WholeNumberField(
        label="Give back, minutes",
        initial=0,
        min_value=0,
        max_value=CANCEL_S_MAX // 60,
        help_text="How long after paying a fan may return them for all of the money. 0: never.",
    )
    opens = forms.ChoiceField(
        label="Opens",
        choices=[(NOW, "As soon as it is published"), (LATER, "At a time")],
        initial=NOW,
        widget=forms.RadioSelect,
    )
    opens_at = UtcField(label="Opening time (UTC)", required=False)
    closes_at = UtcField(label="Closing time (UTC)")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("opens") == LATER and not cleaned.get("opens_at") and "opens_at" not in self.errors:
            self.add_error("opens_at", "Say when it opens.")
        return cleaned

    def as_draft(self, now: dt.datetime) -> dict[str, Any]:
        """The arguments of `services.draft_drop`. Only after `is_valid`."""
        cleaned = self.cleaned_data
        price: Money = cleaned["price"]
        return {
            "sale_id": cleaned["sale_id"],
            "title": cleaned["title"],
            "story": cleaned["story"],
            "currency": price.currency,
            "price_minor": price.minor,
            "units_total": cleaned["units_total"],
            "limit_per_fan": cleaned["limit_per_fan"],
            "hold_s": cleaned["hold_minutes"] * 60,
            "cancel_s": cleaned["give_back_minutes"] * 60,
            "opens_at": now if cleaned["opens"] == NOW else cleaned["opens_at"],
            "closes_at": cleaned["closes_at"],
            "now": now,
        }

    def add_refusal(self, field: str, message: str) -> None:
        """Show what the service refused beside the field it is about."""
        named = {"price_minor": "price", "hold_s": "hold_minutes", "cancel_s": "give_back_minutes"}.get(field, field)
        self.add_error(named if named in self.fields else None, message)
