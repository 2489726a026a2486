"""What a lot's winner pays and who has it, pure. Whole minor units; shares are rounded down, the premium's and the fee's apart."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from msgspec import Struct

from core.money import share_bps

# A hold lives on after the last possible end, until it is settled or staff have looked at it.
HOLD_OUTLIVES_END = dt.timedelta(days=7)


def with_premium(price_minor: int, premium_bps: int) -> int:
    """What has to be held so that this price and the buyer's premium on it can be paid."""
    return price_minor + share_bps(price_minor, premium_bps)


def most_with_premium(total_minor: int, premium_bps: int) -> int:
    """The highest price that with its premium, rounded down, is at most `total_minor`."""
    # price + price * bps // 10,000 <= total, exactly when price * (10,000 + bps) < (total + 1) * 10,000.
    return ((total_minor + 1) * 10_000 - 1) // (10_000 + premium_bps)


class Charge(Struct, frozen=True, gc=False):
    """A price, the buyer's premium on top of it, and the fee that the seller gives out of it."""

    price_minor: int
    premium_minor: int
    fee_minor: int

    @classmethod
    def of(cls, price_minor: int, *, premium_bps: int, fee_bps: int) -> Charge:
        return cls(price_minor, share_bps(price_minor, premium_bps), share_bps(price_minor, fee_bps))

    @property
    def paid_minor(self) -> int:
        return self.price_minor + self.premium_minor

    @property
    def seller_minor(self) -> int:
        return self.price_minor - self.fee_minor

    @property
    def house_minor(self) -> int:
        return self.premium_minor + self.fee_minor


class Hold(Struct, frozen=True, gc=False):
    """Money of a fan that is set aside, premium included."""

    fan_id: UUID
    amount_minor: int


class Capture(Struct, frozen=True, gc=False):
    """The end of a hold: its fan is charged, and has the rest back."""

    hold: Hold
    charge: Charge

    @property
    def released_minor(self) -> int:
        return self.hold.amount_minor - self.charge.paid_minor
