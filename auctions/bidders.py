"""Who may bid, pure. The facts come with the command: nothing is looked up here."""

from __future__ import annotations

from msgspec import Struct

from auctions.errors import OwnLot, Suspended
from ledger.errors import InsufficientFunds


class Bidder(Struct, frozen=True, gc=False):
    """What one transaction's snapshot shows of a fan who bids."""

    is_linked: (
        bool  # the seller, a member of the shop, or somebody with a payment instrument or a passkey device of theirs
    )
    is_suspended: bool
    available_minor: int  # in the wallet, not counting what is held


def check_may_bid(bidder: Bidder) -> None:
    if bidder.is_linked:
        raise OwnLot
    if bidder.is_suspended:
        raise Suspended


def check_can_pay(bidder: Bidder, *, own_hold_minor: int, needed_minor: int, currency: str) -> None:
    """Raise InsufficientFunds unless the wallet could hold `needed_minor`, once its own hold for the same lot is released."""
    available_minor = bidder.available_minor + own_hold_minor
    if available_minor < needed_minor:
        raise InsufficientFunds(available_minor=available_minor, needed_minor=needed_minor, currency=currency)
