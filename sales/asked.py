"""The terms that a seller fills in, written once, as columns. Their bounds are also those of the form (`sales.forms`), of the API
(`sales.schemas`) and of the drafting services."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext as _

from core.errors import Invalid
from core.language import Said, number
from core.money import MINOR_MAX
from sales.rows import TermsRow


class WholeTerm(models.IntegerField):
    """A whole number from `low` to `high`, both included; with `null` it may be left open.

    `label` and `help_text` are the form's. It may ask under another name and in a larger unit: `asked_as` minutes, of 60 seconds.
    A migration sees a plain integer.
    """

    def __init__(
        self, label: Said = "", *, low: int = 1, high: int = 0, asked_as: str = "", unit: int = 1, help_text: Said = "",
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.label, self.said = label, help_text
        self.low, self.high, self.asked_as, self.unit = low, high, asked_as, unit

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.IntegerField", args, options


class PriceTerm(models.BigIntegerField):
    """Minor units of the sale's currency, more than nothing. The form asks for an amount, under the name without `_minor`."""

    low, high = 1, MINOR_MAX

    def __init__(self, label: Said = "", *, help_text: Said = "", **options: Any) -> None:
        super().__init__(**options)
        self.label, self.said = label, help_text

    @property
    def asked_as(self) -> str:
        return self.attname.removesuffix("_minor")

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.BigIntegerField", args, options


def asked_columns(model: type[TermsRow]) -> list[Any]:  # fields, whose stubs say little of these
    """The columns that a seller fills in, in their order."""
    made_here = ("sale_id", "fee_bps", *model.MADE_HERE)
    return [column for column in model._meta.concrete_fields if column.attname not in made_here]


def check_terms(row: TermsRow) -> None:
    """Raises Invalid for the first of the terms that is outside its bounds."""
    for column in asked_columns(type(row)):
        value = getattr(row, column.attname)
        if isinstance(column, WholeTerm | PriceTerm):
            if not (column.null if value is None else column.low <= value <= column.high):
                words = _("{what}: {low} to {high}, or none.") if column.null else _("{what}: {low} to {high}.")
                what, low, high = column.label or column.attname, number(column.low), number(column.high)
                raise Invalid(words.format(what=what, low=low, high=high), field=column.attname)
        elif column.choices and value not in dict(column.flatchoices):
            raise Invalid(_("This is none of the choices."), field=column.attname)
