"""What can be read off where a lot of an English auction stands, pure: what pages show, and what the rules go by."""

from __future__ import annotations

from auctions.charges import Hold, with_premium
from auctions.english.steps import step_at
from auctions.english.values import OPEN, EnglishTerms, LotState

ASK_AGAIN_FROM = 10  # times the next bid: more than that is often a slip of the hand, and nothing can be taken back


def opening(terms: EnglishTerms) -> LotState:
    return LotState(ends_at=terms.closes_at)


def min_next(terms: EnglishTerms, state: LotState) -> int:
    """The least that a fan who does not lead has to bid now."""
    return state.price_minor + step_at(terms.steps, state.price_minor) if state.seq else terms.start_minor


def reserve_met(terms: EnglishTerms, state: LotState) -> bool:
    """Whether the best maximum is enough for the seller; of no reserve and of one of 0 it always is."""
    return terms.reserve_minor is None or state.leader_max_minor >= terms.reserve_minor


def buy_now_offered(terms: EnglishTerms, state: LotState) -> bool:
    """As long as nobody has bid, or the reserve is not met; and never at or under a price that bids have reached."""
    if terms.buy_now_minor is None or state.state != OPEN or state.price_minor >= terms.buy_now_minor:
        return False
    return not state.seq or not reserve_met(terms, state)


def asks_again(next_minor: int, max_minor: int) -> bool:
    """Whether the form should ask before it sends this maximum, when the next bid is `next_minor`."""
    return max_minor > ASK_AGAIN_FROM * next_minor


def hold_of(terms: EnglishTerms, state: LotState) -> Hold | None:
    """All the money that is held for the lot: the leader's, for the whole maximum, while it is open."""
    if state.leader is None or state.state != OPEN:
        return None
    return Hold(state.leader, with_premium(state.leader_max_minor, terms.premium_bps))
