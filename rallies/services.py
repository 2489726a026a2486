"""What fans and sellers ask of a rally. What changes its count is a command of `rules.decide` and goes through its lane."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from core.errors import Invalid
from core.lanes import Lanes
from core.transactions import joins_transaction, retried_transaction
from rallies import loading, rules, telling, values
from rallies.models import Basis, Rally, Tier
from rallies.pricing import PriceTier, check_tiers
from rallies.values import Crowd, JoinValue, LateJoinValue, RallyTerms, State
from rallies.writing import write_decision
from sales import gates
from sales import services as sales
from sales.drafting import SaleDraft, check_worth, draft_once
from sales.errors import IdTaken
from sales.lanes import SaleLane
from sales.telling import tell_fan

LATE_FOR = dt.timedelta(days=7)
# Whoever is counted in the last part of the running time stays counted.
FIRM_SHARE = 20  # a twentieth
FIRM_S_MIN = 10


class RallyLane(SaleLane[values.Command, JoinValue | LateJoinValue]):
    """All commands for one rally that reach this process."""

    name = "rallies.join"
    format = "rally"

    def __init__(self, sale_id: UUID) -> None:
        super().__init__(sale_id)
        self.crowd: Crowd | None = None  # as of the last committed batch, for its answers

    def load_terms(self) -> RallyTerms:
        return loading.load_terms(self.sale_id)

    def load(self, terms: RallyTerms, batch: Sequence[values.Command]) -> State:
        return loading.load_state(terms, batch, self.slot)

    def decide(self, state: State, batch: Sequence[values.Command]) -> values.Decision:
        return rules.decide(state, batch)

    def write(self, state: State, decision: values.Decision) -> None:
        write_decision(state, decision, gate=gates.home_gate(self.slot))

    def is_new(self, command: values.Command, outcome: JoinValue | LateJoinValue) -> bool:
        return isinstance(command, values.JoinRally) and outcome.transfer_id == command.transfer_id

    def committed(self, state: State) -> None:
        before, self.crowd = self.crowd, state.crowd
        if before is None or before.level != self.crowd.level:
            telling.price_moved(self.sale_id, self.crowd.level, before.level if before else 0, now=state.standing.now)


lanes: Lanes[RallyLane] = Lanes(RallyLane)


def new_invite_code() -> str:
    """72 random bits: nobody guesses another's link."""
    return secrets.token_urlsafe(9)


def join_rally(rally_id: UUID, command: values.JoinRally) -> JoinValue:
    """Join. A repeat, with the same key or without, returns the join that is there. Raises what `rules.decide` refuses, or Busy."""
    return _call(rally_id, command)


def leave_rally(*, rally_id: UUID, fan_id: UUID, now: dt.datetime) -> JoinValue:
    """Leave before the close; the hold ends at once. A repeat returns the join as it was left."""
    return _call(rally_id, values.LeaveRally(fan_id, now))


def remove_fan(*, rally_id: UUID, fan_id: UUID, now: dt.datetime) -> JoinValue:
    """The seller turns a fan out before the close. A repeat changes nothing."""
    join = _call(rally_id, values.RemoveFan(fan_id, now))
    tell_fan(
        sale_id=rally_id, fan_id=fan_id, about=f"removed:{join.id}", title=_l("{sale}: the seller removed you"),
        text=_l("Your hold is free. Nothing was charged."), now=now,
    )  # fmt: skip
    return join


def join_late(rally_id: UUID, command: values.JoinLate) -> LateJoinValue:
    """Buy at the final price after the end. A repeat returns the first purchase."""
    late = lanes[rally_id].call(command)
    assert isinstance(late, LateJoinValue), late
    return late


def _call(rally_id: UUID, command: values.Command) -> JoinValue:
    join = lanes[rally_id].call(command)
    assert isinstance(join, JoinValue), join
    return join


# The seller's side.


@joins_transaction
def make_draft(draft: SaleDraft, *, tiers: Sequence[Any], **terms: Any) -> Rally:
    """A draft of a rally, `terms` by the names of its columns; each of `tiers` has a `from_count` and a `price_minor` of one unit.

    A repeat returns it. Raises Invalid, or IdTaken.
    """
    wanted = [PriceTier(tier.from_count, tier.price_minor) for tier in tiers]

    def check(rally: Rally) -> None:
        _check_tiers(rally, wanted)
        _check_repeats(rally, draft)

    rally = draft_once(Rally(**terms), draft, format="rally", check=check, complete=_complete)
    there = [PriceTier(*tier) for tier in rally.tiers.values_list("from_count", "price_minor")]
    if draft.replaces and there != wanted:
        Tier.objects.filter(rally_id=rally.pk).delete()
        there = []
    if not there:
        Tier.objects.bulk_create(
            Tier(rally_id=draft.sale_id, level=level, from_count=tier.from_count, price_minor=tier.price_minor)
            for level, tier in enumerate(wanted)
        )
    elif there != wanted:
        raise IdTaken
    return rally


draft_rally = retried_transaction(replayable=True, name="draft_rally")(make_draft)
open_rally = sales.opens(make_draft, name="open_rally")


def _complete(rally: Rally) -> None:
    rally.seller_invite = new_invite_code()
    rally.firm_s = firm_seconds(rally.sale.closes_at - rally.sale.opens_at)
    if rally.late_joins:
        rally.late_until = rally.sale.closes_at + LATE_FOR


def firm_seconds(running: dt.timedelta) -> int:
    """How long before the end whoever is counted stays counted: a twentieth of the running time, and at least ten seconds."""
    return max(int(running.total_seconds()) // FIRM_SHARE, FIRM_S_MIN)


def _check_tiers(rally: Rally, tiers: Sequence[PriceTier]) -> None:
    if mistake := check_tiers(tiers):
        raise Invalid(mistake, field="tiers")
    check_worth(tiers[0].price_minor, units_an_order=rally.limit_per_fan, units=rally.cap_units, field="tiers")
    if rally.cap_units is not None:
        _check_cap(tiers, rally.basis, rally.cap_units, rally.limit_per_fan)
        if rally.minimum > rally.cap_units:
            raise Invalid(_("The minimum is at least 1, and no more than the cap lets join."), field="minimum")
    elif rally.late_joins:
        raise Invalid(_("Late joins sell what the cap leaves over, so they need a cap."), field="late_joins")


def _check_cap(tiers: Sequence[PriceTier], basis: str, cap_units: int, limit_per_fan: int) -> None:
    """A rally that is full has reached its last tier, so that joins which wait for a price cannot keep out who would pay."""
    fewest = cap_units if basis == Basis.UNITS else -(-cap_units // limit_per_fan)
    if tiers[-1].from_count > fewest:
        if fewest == cap_units:
            raise Invalid(_("The last tier asks for more than the cap lets join."), field="tiers")
        raise Invalid(
            _(
                "With {limit_per_fan} units for each fan the cap may be full with {fewest} fans, and "
                "the last tier asks for more."
            ).format(limit_per_fan=limit_per_fan, fewest=fewest),
            field="tiers",
        )


def _check_repeats(rally: Rally, draft: SaleDraft) -> None:
    every_days = rally.repeats_every_days
    if rally.repeats_zone not in available_timezones():
        raise Invalid(_("This time zone is not known."), field="repeats_zone")
    if every_days is None and rally.repeats_left == 0:
        return
    if every_days is None:
        raise Invalid(_("Say after how many days it is repeated."), field="repeats_every_days")
    if days_later(draft.opens_at or draft.now, every_days, rally.repeats_zone) < draft.closes_at:
        raise Invalid(_("The next rally would open before this one closes."), field="repeats_every_days")


def days_later(at: dt.datetime, days: int, zone: str) -> dt.datetime:
    """The same time of the day so many days later, as the clocks in `zone` show it: a Sunday at eight stays one."""
    return (at.astimezone(ZoneInfo(zone)) + dt.timedelta(days=days)).astimezone(dt.UTC)
