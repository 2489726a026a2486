"""The English auction as a format of the spine."""

from django.utils.translation import gettext_noop as N_

from auctions.english.forms import EnglishForm
from auctions.english.hot import PLACE_BID
from auctions.english.invariants import CHECKS
from auctions.english.presenters import EnglishPresenter
from auctions.english.selectors import wins
from auctions.english.services import draft_english
from auctions.english.settlement import EnglishRules
from sales.formats import Count, Format, Words

BIDS = Count(N_("bids"), "SELECT coalesce(max(seq), 0) FROM auctions_lot WHERE sale_id = %(sale_id)s")

ENGLISH = Format(
    name="english",
    app="auctions.english",
    words=Words(
        noun=N_("auction"),
        idea=N_("One lot for whoever bids most, at no more than the next best bid makes needed."),
        plural=N_("auctions"),
        things=N_("wins"),
        calling_off=N_("Nobody pays, and what is held goes back to the leader's wallet."),
        called_off=N_("Nobody pays, and all that was held goes back."),
        hint=N_("An auction takes a title, a first bid and bid steps; a reserve stays your secret."),
    ),
    count=BIDS,
    rules=EnglishRules(),
    checks=CHECKS,
    presenter=EnglishPresenter(),
    things=[wins],
    places=[PLACE_BID],
    mine="english:wins",
    form=EnglishForm,
    draft=draft_english,
)
