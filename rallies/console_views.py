"""A seller's own pages for rallies; publishing, closing and calling off are every format's (`sales.console`)."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse

from core import clock
from core.http import user_id
from core.money import Money
from rallies import selectors, services
from sales import console
from sales.proof import pseudonym
from sellers import selectors as sellers


@console.asks_first
@login_required
def remove(request: HttpRequest, handle: str, join_id: UUID) -> HttpResponse:
    """Turn a fan out before the close; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.joins.of_seller(member.seller_id, join_id)
    fan = pseudonym(join.rally_id, join.fan_id)
    return console.ask_first(
        request, join.rally.sale, f"Remove {fan}?",
        lambda: f"{fan} gets everything back that is held, and cannot join this rally again. The crowd is one smaller, so the "
        "price may rise again; near the end the count stays as it is.",
        "Remove the fan", act=lambda: services.remove_fan(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now()),
        done="The fan is out, and has the money back.",
    )  # fmt: skip


@console.asks_first
@login_required
def refund(request: HttpRequest, handle: str, join_id: UUID) -> HttpResponse:
    """Give a fan who paid everything back; first ask."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.joins.of_seller(member.seller_id, join_id)
    sale, fan = join.rally.sale, pseudonym(join.rally_id, join.fan_id)
    outcome = selectors.outcomes_of([sale.id]).get(sale.id)
    paid = Money(outcome.price_minor * join.quantity, sale.currency) if outcome else fan
    return console.ask_first(
        request, sale, f"Refund {paid}?",
        lambda: f"{fan} gets back what was paid, out of your proceeds, and the house gives back its fee. "
        "The final price stays what it is for all others.",
        "Refund", act=lambda: services.refund_join(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now()),
        done="The fan has all of the money back.",
    )  # fmt: skip
