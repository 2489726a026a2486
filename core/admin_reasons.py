"""Actions of Django admin that ask for a reason first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from core import clock
from core.errors import Refusal
from core.http import user_id
from core.language import Said

REASON_MAX = 200


FANS_READ_IT = _("Everybody can read it: on the sale's proof, and its fans in their messages.")
STAFF_READ_IT = _("Only staff can read it.")


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=REASON_MAX)


def asks_reason(
    description: Said, do: Callable[..., Any], *, read_by: Said = FANS_READ_IT
) -> Callable[..., HttpResponse | None]:
    """An admin action that does `do(id, staff_id=, reason=, now=)` for each chosen row, once staff have said why."""

    @admin.action(description=description, permissions=["operate"])
    def act(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        form = ReasonForm(request.POST if "reason" in request.POST else None)
        form.fields["reason"].help_text = read_by
        if not form.is_valid():
            context = {
                **model_admin.admin_site.each_context(request),
                "title": description,
                "form": form,
                "rows": rows,
                "action": act.__name__,
                "checkbox": ACTION_CHECKBOX_NAME,
                "opts": model_admin.model._meta,
            }
            return TemplateResponse(request, "admin/reason.html", context)
        for row in rows:
            _do_one(request, row, do, form.cleaned_data["reason"])
        return None

    with translation.override(settings.LANGUAGE_CODE):  # the name is sent by forms: the same in every language
        name = str(description)
    act.__name__ = name.lower().replace(" ", "_").replace(",", "")
    return act


def _do_one(request: HttpRequest, row: Any, do: Callable[..., Any], reason: str) -> None:
    staff_id: UUID = user_id(request)
    try:
        do(row.pk, staff_id=staff_id, reason=reason, now=clock.now())
    except Refusal as refusal:
        messages.error(request, f"{row}: {refusal.said}")
    else:
        messages.success(request, _("{row}: done.").format(row=row))
