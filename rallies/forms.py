from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from core.money import MINOR_MAX, MoneyError, amount_text, parse_money
from ledger.forms import CURRENCIES, AmountField
from rallies.models import (
    CAP_MAX,
    INVITE_LENGTH_MAX,
    INVITE_PATTERN,
    Audience,
    Basis,
    Rally,
)
from rallies.pricing import TIERS_MAX, PriceTier, check_tiers
from sales.forms import PurchaseForm, WholeNumberField
from sales.wizard import WizardForm


def read_invite(request: HttpRequest) -> str:
    """The code of the link that the fan came by, or "" when there is none that could be one."""
    code = request.POST.get("invite") or request.GET.get("invite") or ""
    is_one = len(code) <= INVITE_LENGTH_MAX and re.fullmatch(INVITE_PATTERN, code, re.ASCII)
    return code if is_one else ""


class JoinForm(PurchaseForm):
    # Minor units: one of the tiers' prices, which the page offers. Empty: any price.
    only_at_or_below = forms.RegexField(r"^[1-9][0-9]{0,12}$", required=False)

    def clean_only_at_or_below(self) -> int | None:
        text = self.cleaned_data["only_at_or_below"]
        return min(int(text), MINOR_MAX) if text else None


class RallyForm(WizardForm):
    """Each line is a tier, "from so many, so much"."""

    terms_of = Rally
    line = "tier"
    lines_max = TIERS_MAX

    currency = forms.ChoiceField(label=_l("Currency"), choices=CURRENCIES, initial="EUR")
    basis = forms.ChoiceField(
        label=_l("The price falls with"),
        choices=[(Basis.JOINERS, _l("the number of people")), (Basis.UNITS, _l("the number of units they want"))],
        initial=Basis.JOINERS,
        widget=forms.RadioSelect,
    )
    audience = forms.ChoiceField(
        label=_l("Who may join"), choices=Audience.choices, initial=Audience.EVERYONE, widget=forms.RadioSelect
    )
    late_joins = forms.BooleanField(
        label=_l("Sell what the cap leaves over at the final price afterwards"), required=False
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.tier_mistake = ""
        self.tiers: list[PriceTier] = []

    def line_fields(self, row: int) -> dict[str, forms.Field]:
        price = AmountField(label=_("Tier {row}, price of a unit").format(row=row + 1), required=False)
        if not row:
            return {"price": price}  # the first tier always starts with the first one who comes
        count = WholeNumberField(
            label=_("Tier {row}, from").format(row=row + 1), required=False, min_value=1, max_value=CAP_MAX
        )
        return {"count": count, "price": price}

    @property
    def tier_rows(self) -> list[tuple[int, Any, Any]]:
        """(number, the field for how many or None in the first line, the field for the price)."""
        return [
            (row, self[f"tier_count_{row}"] if row else None, self[f"tier_price_{row}"])
            for row in range(self.row_count)
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        for row in range(self.row_count):
            self._clean_row(row, cleaned)
        days = "repeats_every_days"
        if cleaned.get("repeats_left") and not cleaned.get(days) and days not in self.errors:
            self.add_error(days, _("Say after how many days."))
        return cleaned

    def _clean_row(self, row: int, cleaned: Mapping[str, Any]) -> None:
        count = cleaned.get(f"tier_count_{row}") if row else 1
        text = cleaned.get(f"tier_price_{row}")
        if not text and (count is None or not row):
            return
        if not text:
            self.add_error(f"tier_price_{row}", _("Say what a unit costs from here on."))
        elif count is None:
            if f"tier_count_{row}" not in self.errors:
                self.add_error(f"tier_count_{row}", _("Say from how many on."))
        elif "currency" in cleaned:
            try:
                self.tiers.append(PriceTier(count, parse_money(text, cleaned["currency"]).minor))
            except MoneyError as error:
                self.add_error(f"tier_price_{row}", str(error))

    def as_draft(self, seller_id: UUID, now: dt.datetime) -> dict[str, Any]:
        # The same time of the day is what the clocks show by which its times were typed.
        said = super().as_draft(seller_id, now) | {"tiers": self.tiers, "repeats_zone": self.cleaned_data["zone"]}
        # Without repeats the days say nothing.
        return said if said["repeats_left"] else said | {"repeats_every_days": None}

    @classmethod
    def saying(cls, row: Any, zone: str) -> dict[str, Any]:
        said, tiers = super().saying(row, zone), list(row.tiers.all())
        for number, tier in enumerate(tiers):
            price = amount_text(tier.price_minor, row.sale.currency)
            said |= {f"tier_count_{number}": tier.from_count, f"tier_price_{number}": price}
        return said | {"rows": max(len(tiers), cls.lines_first)}

    def add_refusal(self, field: str, message: str) -> None:
        if field == "tiers":
            self.tier_mistake = message
        super().add_refusal(field, message)

    def tiers_so_far(self) -> tuple[list[PriceTier], str]:
        """The tiers that the form says while it is being filled in, and its currency: up to the first that does not fit."""
        values = self.data or self.initial
        currency = str(values.get("currency") or "")
        currency = currency if currency in dict(CURRENCIES) else "EUR"
        tiers: list[PriceTier] = []
        for row in range(self.row_count):
            count = "1" if not row else str(values.get(f"tier_count_{row}") or "").strip()
            text = str(values.get(f"tier_price_{row}") or "").strip()
            if not (re.fullmatch(r"[1-9][0-9]{0,7}", count, re.ASCII) and text):
                continue
            try:
                more = [*tiers, PriceTier(int(count), parse_money(text, currency).minor)]
            except MoneyError:
                break
            if check_tiers(more):
                break
            tiers = more
        return tiers, currency
