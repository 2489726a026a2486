from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _l

from auctions.models import Premium


class PremiumForm(forms.Form):
    """The part of a new auction's form that is the same for all kinds."""

    premium_bps = forms.TypedChoiceField(
        label=_l("Buyer's premium"), choices=Premium.choices, initial=Premium.NONE, coerce=int,
        help_text=_l("What the winner pays on top of the price, for the house."),
    )  # fmt: skip
