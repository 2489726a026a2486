"""What the forms of several formats share."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import BooleanField
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from core.money import Money, amount_text
from ledger.forms import AmountField, MoneyForm
from sales.asked import PriceTerm, WholeTerm, asked_columns
from sales.drafting import SaleDraft
from sales.rows import LIMIT_MAX, TermsRow
from sales.selectors import Find

NOW, LATER = "now", "at"


class WholeNumberField(forms.IntegerField):
    """Plain ASCII digits. Django's own field, like Python, also takes "1_0", "10.0" and other scripts' digits."""

    _DIGITS = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, str) and value.strip() and not self._DIGITS.fullmatch(value.strip()):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class PurchaseForm(forms.Form):
    """A purchase from a browser without scripts."""

    key = forms.UUIDField()
    quantity = WholeNumberField(label=_l("How many"), min_value=1, max_value=LIMIT_MAX)


class FindForm(forms.Form):
    """What home is narrowed to, from the address. What it does not know it leaves out: an old link still shows something."""

    WITHIN = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1), "week": dt.timedelta(days=7)}

    q = forms.CharField(max_length=80, required=False)
    format = forms.CharField(max_length=10, required=False)
    most = WholeNumberField(min_value=0, required=False)
    within = forms.ChoiceField(choices=[(name, name) for name in WITHIN], required=False)

    def as_find(self) -> Find:
        self.full_clean()
        said = self.cleaned_data
        return Find(
            q=said.get("q", "").strip().replace("\0", ""), format=said.get("format", ""), most=said.get("most"),
            within=self.WITHIN.get(said.get("within", "")),
        )  # fmt: skip


class RefundForm(MoneyForm):
    """The purchase's refund `number`; its currency is the sale's."""

    number = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    amount = AmountField(label=_l("Amount"), help_text=_l("What is left of the payment, or a part of it."))
    reason = forms.CharField(label=_l("Reason"), max_length=200, required=False, help_text=_l("The fan reads it."))

    def __init__(self, currency: str, data: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__({**data.dict(), "currency": currency} if isinstance(data, QueryDict) else data, **options)
        self.fields["currency"].widget = forms.HiddenInput()


class LocalTimeField(forms.DateTimeField):
    """A browser's date and time, which carries no zone: the form's own zone says which moment it is."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(widget=widget, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], **options)

    def prepare_value(self, value: Any) -> Any:
        return value  # as it was typed

    def to_python(self, value: Any) -> Any:
        with timezone.override(dt.UTC):  # the reader's own zone has nothing to say here
            read = super().to_python(value)
        return read.replace(tzinfo=None) if read else read


def moment_in(local: dt.datetime, zone: str) -> dt.datetime:
    """The moment at which the clocks of that zone show this. Raises ValidationError for one that they skip, or show twice."""
    first, second = (local.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    came_back = first.astimezone(dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    if came_back != local:
        raise ValidationError(
            _("The clocks of {zone} skip this time on that day. Please choose another.").format(zone=zone)
        )
    raise ValidationError(
        _("The clocks of {zone} show this time twice on that day. Please choose another, or another zone.").format(
            zone=zone
        )
    )


def field_for(column: Any) -> forms.Field | None:
    """How a form asks for one of the terms; None for a column that does not say enough about it."""
    if isinstance(column, PriceTerm):
        return AmountField(label=column.label, help_text=column.said, required=not column.null)
    if isinstance(column, WholeTerm):
        return WholeNumberField(
            label=column.label, help_text=column.said, required=not column.null,
            min_value=-(-column.low // column.unit), max_value=column.high // column.unit,
            initial=column.default // column.unit if column.has_default() else None,
        )  # fmt: skip
    label = str(column.verbose_name).capitalize()
    if column.choices:
        return forms.TypedChoiceField(
            label=label,
            choices=column.choices,
            initial=column.default,
            widget=forms.RadioSelect,
            coerce=column.to_python,
        )
    return forms.BooleanField(label=label, required=False) if isinstance(column, BooleanField) else None


class SaleForm(forms.Form):
    """The part of a new sale's form that is the same for all, and a field for each of the format's terms that has none yet."""

    terms_of: ClassVar[type[TermsRow] | None] = None

    # Made when the page is rendered, so that sending the form twice drafts one sale.
    sale_id = forms.UUIDField(widget=forms.HiddenInput)
    title = forms.CharField(
        label=_l("Title"),
        max_length=120,
        help_text=_l("Sealed when you publish."),
        widget=forms.TextInput(attrs={"dir": "auto"}),
    )
    story = forms.CharField(
        label=_l("Story"),
        max_length=5_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "dir": "auto"}),
        help_text=_l("What it is, how it was made, how it ships. Plain text."),
    )
    opens = forms.ChoiceField(
        label=_l("Opens"),
        choices=[(NOW, _l("As soon as it is published")), (LATER, _l("At a time"))],
        initial=NOW,
        widget=forms.RadioSelect,
    )
    opens_at = LocalTimeField(label=_l("Opening time"), required=False)
    closes_at = LocalTimeField(label=_l("Closing time"))
    # The browser says its own on a fresh form.
    zone = forms.ChoiceField(
        label=_l("Time zone of these times"),
        choices=[(name, name.replace("_", " ")) for name in sorted(available_timezones())],
        initial="UTC",
        required=False,
        widget=forms.Select(attrs={"data-zone": ""}),
    )
    replaces = forms.CharField(widget=forms.HiddenInput, required=False, max_length=64)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.columns = {
            getattr(column, "asked_as", "") or column.attname: column
            for column in (asked_columns(self.terms_of) if self.terms_of else [])
        }
        for name, column in self.columns.items():
            if name not in self.fields and (field := field_for(column)):
                self.fields[name] = field

    def clean_zone(self) -> str:
        return self.cleaned_data["zone"] or "UTC"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in ("opens_at", "closes_at"):
            if cleaned.get(name) and "zone" in cleaned:
                try:
                    cleaned[name] = moment_in(cleaned[name], cleaned["zone"])
                except ValidationError as mistake:
                    self.add_error(name, mistake)
        if cleaned.get("opens") == LATER and not cleaned.get("opens_at") and "opens_at" not in self.errors:
            self.add_error("opens_at", _("Say when it opens."))
        return cleaned

    @property
    def own_fields(self) -> list[forms.BoundField]:
        """The fields of the format's own."""
        return [self[name] for name in self.fields if name not in SaleForm.base_fields]

    def as_draft(self, seller_id: UUID, now: dt.datetime) -> dict[str, Any]:
        """The arguments of the format's drafting service: the fields of its own by their columns' names, a Money in minor units.
        Only after `is_valid`."""
        said = {field.name: self.cleaned_data[field.name] for field in self.own_fields}
        draft = self.sale_draft(seller_id, said.pop("currency", "EUR"), now)
        return {"draft": draft, **dict(self._as_term(name, value) for name, value in said.items())}

    def _as_term(self, name: str, value: Any) -> tuple[str, Any]:
        if isinstance(value, Money):
            return f"{name}_minor", value.minor
        column = self.columns.get(name)
        if isinstance(column, PriceTerm):
            return column.attname, None  # left open
        return (column.attname, value * column.unit) if column is not None and column.attname != name else (name, value)

    def sale_draft(self, seller_id: UUID, currency: str, now: dt.datetime) -> SaleDraft:
        """The part of a draft that is the same for every format. Only after `is_valid`."""
        cleaned = self.cleaned_data
        return SaleDraft(
            sale_id=cleaned["sale_id"], seller_id=seller_id, title=cleaned["title"], story=cleaned["story"],
            currency=currency, opens_at=None if cleaned["opens"] == NOW else cleaned["opens_at"],
            closes_at=cleaned["closes_at"], now=now, replaces=cleaned["replaces"],
        )  # fmt: skip

    @classmethod
    def saying(cls, row: TermsRow, zone: str) -> dict[str, Any]:
        """What the form would say for the sale of these terms, its times in that zone."""
        sale = row.sale
        said: dict[str, Any] = {
            "sale_id": sale.id, "title": sale.title, "story": sale.story, "currency": sale.currency, "opens": LATER, "zone": zone,
            "opens_at": sale.opens_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None),
            "closes_at": sale.closes_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None),
        }  # fmt: skip
        for column in asked_columns(type(row)):
            name, value = getattr(column, "asked_as", "") or column.attname, getattr(row, column.attname)
            if isinstance(column, PriceTerm):
                value = "" if value is None else amount_text(value, sale.currency)
            elif isinstance(column, WholeTerm) and value is not None:
                value //= column.unit
            said[name] = value
        return said

    @classmethod
    def asked_again(cls, values: Mapping[str, Any]) -> SaleForm | None:
        """The form as it was sent, unchecked, when it was sent only to be shown again; else None."""
        return None

    def add_refusal(self, field: str, message: str) -> None:
        """Show what the service refused beside the field it is about."""
        field = next((name for name, column in self.columns.items() if column.attname == field), field)
        self.add_error(field if field in self.fields else None, message)
