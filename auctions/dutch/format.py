"""The falling price as a format of the spine."""

from django.utils.translation import gettext_noop as N_

from auctions.dutch.forms import DutchForm
from auctions.dutch.hot import PLACE_CLAIM
from auctions.dutch.invariants import CHECKS
from auctions.dutch.presenters import DutchPresenter
from auctions.dutch.selectors import claims
from auctions.dutch.services import draft_dutch
from auctions.dutch.settlement import DutchRules
from sales.formats import Count, Format, Words

UNITS_LEFT = Count(
    N_("units left"), "SELECT coalesce(sum(units_left), 0) FROM auctions_dutchbucket WHERE sale_id = %(sale_id)s"
)

DUTCH = Format(
    name="dutch",
    app="auctions.dutch",
    words=Words(
        noun=N_("falling price"),
        idea=N_("The price falls by itself until somebody takes it."),
        plural=N_("falling prices"),
        things=N_("claims"),
        calling_off=N_("Nobody pays, and what is held goes back to the wallets."),
        called_off=N_("Nobody pays, and all that was held goes back."),
        hint=N_("A falling price takes a first price, a lowest one, and how fast it falls."),
    ),
    count=UNITS_LEFT,
    rules=DutchRules(),
    checks=CHECKS,
    presenter=DutchPresenter(),
    things=[claims],
    places=[PLACE_CLAIM],
    mine="dutch:claims",
    form=DutchForm,
    draft=draft_dutch,
)
