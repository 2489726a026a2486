"""The port to those who move real money. A provider takes a top-up and later says, in its own way, what became of it.

Shaped after hosted checkouts (Stripe's is one): `checkout_url` starts a payment under the top-up's id as the idempotency key
and says where to send the fan; the outcome arrives as a signed message that `read_event` checks and translates. Nothing is
called from inside a database transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from payments.errors import NoProvider
from payments.models import TopUp
from payments.names import SIMULATED


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """What a provider says about a top-up, once its signature was checked."""

    top_up_id: UUID
    is_paid: bool
    amount_minor: int
    currency: str
    provider_ref: str


class Provider(Protocol):
    name: str

    def checkout_url(self, top_up: TopUp) -> str:
        """Start the payment, or find the one started under this id; where the fan pays."""

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> PaymentEvent | None:
        """The event in a webhook's raw body, or None for kinds that do not matter. Raises NotAllowed on a bad signature."""


class Simulated:
    """Stands in for a provider where no real money may move: a page of ours asks whether to "pay"."""

    name = SIMULATED

    def checkout_url(self, top_up: TopUp) -> str:
        return reverse("payments:simulated", args=[top_up.id])

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> PaymentEvent | None:
        return None  # its page tells the service directly: there is nobody outside to sign a message

    def decided(self, top_up: TopUp, *, is_paid: bool) -> PaymentEvent:
        """The event for what the fan chose on the simulated page. Raises NoProvider in production, whatever was begun before."""
        if settings.PRODUCTION:
            raise NoProvider
        return PaymentEvent(top_up.id, is_paid, top_up.amount_minor, top_up.currency, f"simulated-{top_up.id}")


_providers: dict[str, Provider] = {Simulated.name: Simulated()}


def current() -> Provider:
    """The provider that new top-ups go to. Raises NoProvider."""
    provider = _providers.get(settings.PAYMENT_PROVIDER)
    if provider is None or (settings.PRODUCTION and provider.name == SIMULATED):
        raise NoProvider
    return provider
