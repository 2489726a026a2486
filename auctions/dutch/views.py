"""What a fan does by pressing a button."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from auctions.dutch import services
from auctions.dutch.forms import ClaimForm
from auctions.dutch.hot import ClaimIn, claim_command
from sales.buying import place_from_page
from sales.views import button


@button("sales:room")
def claim(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Claim without scripts, at the price that the page showed or lower; then the receipt."""
    made = place_from_page(
        request, sale_id, ClaimForm(request.POST),
        body=lambda said: ClaimIn(at_most=said["at_most"], quantity=said["quantity"]),
        place=lambda asked: services.place_claim(sale_id, claim_command(asked)),
        again=_("You have already claimed from this page. If you want more, claim again now."),
    )  # fmt: skip
    return made if isinstance(made, HttpResponse) else redirect("dutch:claim", made.id)
