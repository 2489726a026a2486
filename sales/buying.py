"""A purchase from a page without scripts: the same command as the hot route's, and the room again when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from msgspec import Struct, ValidationError, convert

from accounts import selectors as account_selectors
from core import clock
from core.errors import Busy, Invalid, Refusal
from core.http import user_id
from sales import selectors
from sales.errors import IdempotencyConflict, NotVerified
from sales.placing import Asked, Place
from sales.views import button, render_room


class KeyForm(forms.Form):
    key = forms.UUIDField()


@button("sales:room")
def place_page(request: HttpRequest, sale_id: UUID, place: Place) -> HttpResponse:
    """The page of a place that says how it is called (`Place.page`); then the room again."""
    said = {name: request.POST[name] for name in place.body.__struct_fields__ if name in request.POST}
    made = place_from_page(
        request, sale_id, KeyForm(request.POST), body=lambda cleaned: _body(place, said),
        place=lambda asked: place.lane(sale_id).call(place.command(asked)),
        again=_("This page was sent before, with something else in it. If you want more, begin again "
"now."),
    )  # fmt: skip
    if isinstance(made, HttpResponse):
        return made
    messages.success(request, _("That is done."))
    return redirect("sales:room", sale_id)


def _body(place: Place, said: dict[str, str]) -> Struct:
    try:
        return convert(said, place.body, strict=False)
    except ValidationError as error:
        raise Invalid(str(error)) from error


def place_from_page(
    request: HttpRequest, sale_id: UUID, form: forms.Form, *, body: Callable[[dict[str, Any]], Struct],
    place: Callable[[Asked], Any], again: str = "", shown: Callable[[dict[str, Any]], dict[str, Any]] = lambda cleaned: {},
) -> Any | HttpResponse:  # fmt: skip
    """What `place` gives, or the room with what was refused.

    `form` is a `PurchaseForm`; `body` makes the hot route's body of what it says, and `shown` what the room fills in again. `again`
    is what to say when the page was sent a second time for something else.
    """
    sale = selectors.get_public_sale(sale_id)
    if not form.is_valid():
        return render_room(request, sale, refusal=Invalid(_("Please choose how many, and press the button again.")))
    cleaned = form.cleaned_data
    try:
        if not account_selectors.is_verified(user_id(request)):
            raise NotVerified
        asked = Asked(user_id(request), cleaned["key"], clock.now(), body(cleaned))
        return place(asked)
    except IdempotencyConflict:
        return render_room(request, sale, refusal=Invalid(again))
    except Busy as refusal:
        # Perhaps it went through unheard, so the next try carries the same key.
        return render_room(request, sale, refusal=refusal, key=cleaned["key"], **shown(cleaned))
    except Refusal as refusal:
        return render_room(request, sale, refusal=refusal, **shown(cleaned))
