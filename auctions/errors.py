from django.utils.translation import gettext_noop as N_

from core.errors import Conflict, Invalid, NotAllowed, NotFound


class OwnLot(NotAllowed):
    code = "own_lot"
    detail = N_("The seller, and whoever is linked to the seller, cannot bid here.")


class Suspended(NotAllowed):
    code = "suspended"
    detail = N_("This account may not bid now.")


class BidTooLow(Conflict):
    """`min_next_minor`: what a bid has to be now."""

    code = "bid_too_low"
    detail = N_("This bid is below the next one that counts.")


class BidNotHigher(Conflict):
    """`max_minor`: the leader's own maximum, which nobody else may see."""

    code = "bid_not_higher"
    detail = N_("You lead already. A new maximum has to be above your last one.")


class BidTooHigh(Invalid):
    """`max_minor`: the most that can be bid, a unit."""

    code = "bid_too_high"
    detail = N_("This bid is more than one payment can be.")


class BuyNowNotOffered(Conflict):
    code = "buy_now_not_offered"
    detail = N_("This lot cannot be bought at once now.")


class Sold(Conflict):
    """Of several units: `units_left`, fewer than were asked for."""

    code = "sold"
    detail = N_("This lot is sold.")


class StillOpen(Conflict):
    """`ends_at`: when the lot can be closed, as it stands now."""

    code = "still_open"
    detail = N_("This lot still takes bids.")


class PriceNotReached(Conflict):
    """`price_minor` now, and `reaches_at`: when the price will be low enough; None: never."""

    code = "price_not_reached"
    detail = N_("The price has not fallen that low yet.")


class MoreThanSupply(Invalid):
    """`supply`: how many units there are."""

    code = "more_than_supply"
    detail = N_("You asked for more units than there are.")


class WinNotFound(NotFound):
    detail = N_("This win does not exist.")


class ClaimNotFound(NotFound):
    detail = N_("This claim does not exist.")
