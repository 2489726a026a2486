"""A seller's own pages for rallies; publishing, closing and calling off are every format's (`sales.console`)."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from core import clock
from core.http import user_id
from rallies import selectors, services
from sales import console
from sales.pseudonyms import pseudonym
from sellers import selectors as seller_selectors


@console.asks_first
@login_required
def remove(request: HttpRequest, handle: str, join_id: UUID) -> HttpResponse:
    """Turn a fan out before the close; first ask."""
    member = seller_selectors.get_editor(user_id(request), handle)
    join = selectors.joins.of_seller(member.seller_id, join_id)
    fan = pseudonym(join.rally_id, join.fan_id)
    return console.ask_first(
        request, join.rally.sale, _("Remove {fan}?").format(fan=fan),
        lambda: _("{fan} gets everything back that is held, and cannot join this rally again. The crowd "
"is one smaller, so the price may rise again; near the end the count stays as it is.").format(fan=fan),
        _("Remove the fan"), act=lambda: services.remove_fan(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now()),
        done=_("The fan is out, and has the money back."),
    )  # fmt: skip
