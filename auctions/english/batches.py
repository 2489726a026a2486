"""Many commands on one lot at once, and a lot's log played again, pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec.structs import replace

from auctions.bidders import Bidder
from auctions.charges import Capture, Hold
from auctions.english.lot import hold_of, opening
from auctions.english.rules import decide
from auctions.english.values import BOUGHT, AcceptedBid, Bid, BuyNow, Command, Decision, EnglishTerms, LotState
from core.errors import Refusal
from core.money import MINOR_MAX
from sales.deciding import add


@dataclass(frozen=True, slots=True)
class BatchDecision:
    """The lot after all commands, one outcome for each in the order they were given in, and what is to be written for them
    together. Money moves as in `Decision`: who led only within the batch has neither a hold nor its release.
    """

    state: LotState
    outcomes: list[Decision | Refusal]
    bids: list[AcceptedBid]  # by seq
    release: Hold | None = None
    hold: Hold | None = None
    capture: Capture | None = None


def decide_batch(terms: EnglishTerms, state: LotState, commands: Sequence[Command]) -> BatchDecision:
    """Take the commands in the order they were received. What each fan has available is as before the batch."""
    before = state
    outcomes: dict[int, Decision | Refusal] = {}
    decided: list[Decision] = []
    moved: dict[UUID, int] = {}  # fan → change of what is available
    for place in sorted(range(len(commands)), key=lambda place: (commands[place].received_at, commands[place].id)):
        try:
            decision = decide(terms, state, _with_moved(commands[place], moved))
        except Refusal as refusal:
            outcomes[place] = refusal
            continue
        outcomes[place] = decision
        decided.append(decision)
        state = decision.state
        if decision.release is not None:
            add(moved, decision.release.fan_id, decision.release.amount_minor)
        if decision.hold is not None:
            add(moved, decision.hold.fan_id, -decision.hold.amount_minor)
    capture = next((decision.capture for decision in decided if decision.capture is not None), None)
    was, now = hold_of(terms, before), capture.hold if capture is not None else hold_of(terms, state)
    return BatchDecision(
        state,
        [outcomes[place] for place in range(len(commands))],
        [decision.bid for decision in decided if decision.bid is not None],
        release=was if was != now else None,
        hold=now if was != now else None,
        capture=capture,
    )


def _with_moved(command: Command, moved: dict[UUID, int]) -> Command:
    if not isinstance(command, Bid | BuyNow) or command.fan_id not in moved:
        return command
    bidder = command.bidder
    return replace(command, bidder=replace(bidder, available_minor=bidder.available_minor + moved[command.fan_id]))


# Whoever is in the log was let in when they bid, and could pay.
_LET_IN = Bidder(is_linked=False, is_suspended=False, available_minor=MINOR_MAX)


def replay(terms: EnglishTerms, log: Sequence[AcceptedBid]) -> tuple[LotState, list[AcceptedBid]]:
    """The lot and its log as they follow from who bid what when, by seq. Raises a Refusal when a bid cannot have been accepted."""
    state, again = opening(terms), []
    for line in log:
        decision = decide(terms, state, _asked(line))
        assert decision.bid is not None
        state = decision.state
        again.append(decision.bid)
    return state, again


def _asked(line: AcceptedBid) -> Bid | BuyNow:
    if line.answer == BOUGHT:
        return BuyNow(line.id, line.fan_id, line.received_at, _LET_IN)
    return Bid(line.id, line.fan_id, line.received_at, _LET_IN, line.max_minor)
