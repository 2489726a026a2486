from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django import forms

from drops.models import CANCEL_S_MAX, HOLD_S_MAX, UNITS_MAX
from ledger.forms import AmountField, MoneyForm
from sales.forms import PurchaseForm, SaleForm, WholeNumberField
from sales.rows import LIMIT_MAX


class BuyForm(PurchaseForm):
    hold = forms.BooleanField(required=False)


class DropForm(SaleForm, MoneyForm):
    amount_field = "price"

    price = AmountField(label="Price of one unit", help_text="Like 24 or 24.50.")
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

    named = {"price_minor": "price", "hold_s": "hold_minutes", "cancel_s": "give_back_minutes"}

    def as_draft(self, seller_id: UUID, now: dt.datetime) -> dict[str, Any]:
        said = super().as_draft(seller_id, now)
        said["hold_s"] = said.pop("hold_minutes") * 60
        said["cancel_s"] = said.pop("give_back_minutes") * 60
        return said
