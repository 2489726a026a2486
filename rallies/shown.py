"""A join as pages and the API show it: with what it comes to, for its fan, the fan's friends and its seller."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts import selectors as account_selectors
from core.money import Money
from rallies import selectors
from rallies.models import Join, JoinState, LateJoin
from rallies.pricing import PriceTier
from rallies.sums import JoinSums, sums_of
from sales import presenters as sale_presenters
from sales.bought import BoughtRow
from sales.models import UNENDED_STATES, Sale, SaleState
from sales.pseudonyms import pseudonym


@dataclass(slots=True, kw_only=True)
class JoinRow(BoughtRow):
    """A join with what it comes to, and what its seller may do about it."""

    seller_actions = "rallies/_seller_actions.html"

    sums: JoinSums
    end: str  # why nothing was taken

    @property
    def held_first(self) -> Money:
        return self.sums.ceiling * self.record.quantity

    @property
    def may_remove(self) -> bool:
        return self.record.state == JoinState.JOINED and self.sale.state in UNENDED_STATES

    @property
    def limit(self) -> Money | None:
        limit = self.record.only_at_or_below_minor
        return None if limit is None else Money(limit, self.sale.currency)


class LateRow(BoughtRow):
    """A purchase at the final price after the end."""

    state = "paid"

    @property
    def words(self) -> str:
        return _("Bought after the end")


def join_row(join: Join, sale: Sale, tiers: Sequence[PriceTier], frame: Mapping[str, Any]) -> JoinRow:
    """`frame` says where the rally stands, as `standings` does. Buttons offer what `rules.decide` would allow."""
    sums = sums_of(
        tiers, sale.currency, quantity=join.quantity, level=join.level, state=join.state, crowd_level=frame["level"]
    )
    nothing = Money(0, sale.currency)
    return JoinRow(
        record=join, sale=sale, at=join.joined_at, price=Money(frame["price_minor"], sale.currency), held=sums.held,
        paid=sums.paid or nothing, gives_back=nothing, sums=sums, end=_why_nothing_was_taken(join, sale, frame),
    )  # fmt: skip


def _why_nothing_was_taken(join: Join, sale: Sale, frame: Mapping[str, Any]) -> str:
    if join.state == JoinState.LEFT:
        return _("You left before the end, so nothing was taken.")
    if join.state == JoinState.REMOVED:
        return _("The seller took you out of this rally, so nothing was taken.")
    if join.state != JoinState.RELEASED:
        return ""
    if sale.state == SaleState.CANCELLED:
        return _("The seller called the rally off, so nobody pays.")
    if frame["did_run"] is None:
        return ""  # the newest frame is still on its way
    if not frame["did_run"]:
        return _("Fewer came together than it needed, so nobody pays.")
    limit = Money(join.only_at_or_below_minor or 0, sale.currency)
    return _("It ended at {amount}, above your limit of {limit}, so you do not pay.").format(
        amount=Money(frame["price_minor"], sale.currency), limit=limit
    )


def join_rows(joins: Sequence[Join], frames: Mapping[UUID, Mapping[str, Any]] | None = None) -> list[JoinRow]:
    """Rows of joins in many rallies, each read with its sale. Without `frames`, where each rally stands is as viewers see it."""
    rally_ids = {join.rally_id for join in joins}
    tiers, frames = selectors.tiers_by_rally(rally_ids), frames or standings(rally_ids)
    return [join_row(join, join.rally.sale, tiers[join.rally_id], frames[join.rally_id]) for join in joins]


def standings(rally_ids: Collection[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Each rally's "level", "price_minor" and "did_run": as it ended, from the row that fixed it, or as viewers see it now."""
    ended = {rally_id: vars(outcome) for rally_id, outcome in selectors.outcomes_of(rally_ids).items()}
    return {**sale_presenters.newest_frames(rally_id for rally_id in rally_ids if rally_id not in ended), **ended}


def late_rows(late: Sequence[LateJoin]) -> list[LateRow]:
    outcomes = selectors.outcomes_of([join.rally_id for join in late])
    return [_late_row(join, outcomes[join.rally_id].price_minor) for join in late]


def _late_row(late: LateJoin, price_minor: int) -> LateRow:
    sale = late.rally.sale
    price, nothing = Money(price_minor, sale.currency), Money(0, sale.currency)
    return LateRow(
        record=late,
        sale=sale,
        at=late.joined_at,
        price=price,
        held=nothing,
        paid=price * late.quantity,
        gives_back=nothing,
    )


def names_between_friends(sale_id: UUID, fan_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The first of the names that fans gave themselves: who invited somebody, or was invited, knows whom. Else a pseudonym."""
    fan_ids = list(fan_ids)
    chosen = account_selectors.display_names(fan_ids)
    return {fan_id: (chosen.get(fan_id, "").split() or [pseudonym(sale_id, fan_id)])[0] for fan_id in fan_ids}


def brought_by(sale_id: UUID, fan_id: UUID) -> list[dict[str, Any]]:
    """Who came through the fan's invite link, by the names that the fan may see."""
    joins = selectors.invited_by(sale_id, fan_id)
    names = names_between_friends(sale_id, [join.fan_id for join in joins])
    return [{"name": names[join.fan_id], "quantity": join.quantity} for join in joins]
