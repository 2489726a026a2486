from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from core import clock
from core.errors import Invalid
from core.http import user_id
from core.ids import uuid7
from core.money import Money
from payments import providers, services
from payments.errors import TooManyTopUps, TopUpNotFound
from payments.forms import TopUpForm
from payments.models import TopUp, TopUpState


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def start(request: HttpRequest) -> HttpResponse:
    """Ask how much, then send the fan to the provider."""
    if request.method != "POST":
        wanted = {name: request.GET[name] for name in ("amount", "currency", "next") if name in request.GET}
        return render(request, "payments/start.html", {"form": TopUpForm(initial={"top_up_id": uuid7(), **wanted})})
    form = TopUpForm(request.POST)
    if form.is_valid():
        try:
            top_up = services.start_top_up(
                top_up_id=form.cleaned_data["top_up_id"],
                user_id=user_id(request),
                amount=form.cleaned_data["amount"],
                now=clock.now(),
                return_to=_safe_path(request, form.cleaned_data["next"]),
            )
        except (Invalid, TooManyTopUps) as refusal:
            form.add_error(str(refusal.data.get("field", "amount")), refusal.said)
        else:
            return redirect(providers.current().checkout_url(top_up))
    return render(request, "payments/start.html", {"form": form}, status=422)


def _safe_path(request: HttpRequest, path: str) -> str:
    """`path` if it leads to a page of this site, else the wallet."""
    is_ours = url_has_allowed_host_and_scheme(path, {request.get_host()}, require_https=request.is_secure())
    return path if is_ours else reverse("ledger:wallet")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def simulated(request: HttpRequest, top_up_id: UUID) -> HttpResponse:
    """Stands in for a provider's own page: the fan says whether the payment goes through."""
    top_up = services.get_top_up_of_user(user_id(request), top_up_id)
    if settings.PRODUCTION or top_up.provider != providers.Simulated.name:
        raise TopUpNotFound
    if request.method == "POST" and top_up.state == TopUpState.STARTED:
        is_paid = request.POST.get("answer") == "pay"
        event = providers.Simulated().decided(top_up, is_paid=is_paid)
        return _done(request, services.complete_top_up(event=event, now=clock.now()))
    if request.method == "POST":
        return _done(request, top_up)  # pressed twice
    amount = Money(top_up.amount_minor, top_up.currency)
    return render(request, "payments/simulated.html", {"top_up": top_up, "amount": amount})


def _done(request: HttpRequest, top_up: TopUp) -> HttpResponse:
    amount = Money(top_up.amount_minor, top_up.currency)
    if top_up.state == TopUpState.PAID:
        messages.success(request, _("{amount} is in your wallet.").format(amount=amount))
    else:
        messages.info(request, _("The payment was declined; nothing was added to your wallet."))
    return redirect(top_up.return_to or reverse("ledger:wallet"))
