"""The form of a new sale with lines that its buttons add and remove: price tiers, kinds of tickets, outcomes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms

from sales.forms import SaleForm


class WizardForm(SaleForm):
    """Has `rows` lines, each with the fields `{line}_{name}_{row}`; a line left empty says nothing.

    Its buttons `add_{line}`, `remove_{line}` and `preview`, and a script that presses them, ask for the same form again.
    """

    line: ClassVar[str]
    lines_max: ClassVar[int]
    lines_first = 4  # on a fresh form

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, initial: Mapping[str, Any], rows: int | None = None
    ) -> None:
        super().__init__(data, initial=dict(initial))
        self.row_count = rows or self._count(data or initial)
        self.initial["rows"] = self.row_count
        self.fields["rows"] = forms.IntegerField(
            widget=forms.HiddenInput, min_value=1, max_value=self.lines_max, required=False
        )
        for row in range(self.row_count):
            for name, field in self.line_fields(row).items():
                self.fields[f"{self.line}_{name}_{row}"] = field

    def line_fields(self, row: int) -> dict[str, forms.Field]:
        """Optional for the browser, as a line may stay empty."""
        raise NotImplementedError

    @property
    def own_fields(self) -> list[forms.BoundField]:
        """Without the lines, which a format reads as a whole."""
        return [field for field in super().own_fields if field.name != "rows" and not self._is_of_line(field.name)]

    def _is_of_line(self, name: str) -> bool:
        return bool(re.fullmatch(rf"{self.line}_[a-z]+_[0-9]+", name))

    @property
    def may_add(self) -> bool:
        return self.row_count < self.lines_max

    @classmethod
    def asked_again(cls, values: Mapping[str, Any]) -> WizardForm | None:
        count = cls._count(values)
        row = values.get(f"remove_{cls.line}", "")
        if f"add_{cls.line}" in values:
            return cls(initial=values, rows=min(count + 1, cls.lines_max))
        if row.isdecimal() and 0 < int(row) < count:  # the first stays
            return cls(initial=cls._without(values, int(row), count), rows=count - 1)
        return cls(initial=values) if "preview" in values or row.isdecimal() else None

    @classmethod
    def _without(cls, values: Mapping[str, Any], row: int, count: int) -> dict[str, Any]:
        """Each line after that one moves up."""
        kept = dict(values)
        for name in [name for name in values if re.fullmatch(rf"{cls.line}_[a-z]+_[0-9]+", name)]:
            stem, _, at = name.rpartition("_")
            if row <= int(at) < count:
                kept[name] = values.get(f"{stem}_{int(at) + 1}", "")
        return kept

    @classmethod
    def _count(cls, values: Mapping[str, Any]) -> int:
        text = str(values.get("rows") or "")
        is_count = re.fullmatch(r"[1-9][0-9]?", text, re.ASCII)
        return min(int(text), cls.lines_max) if is_count else cls.lines_first
