"""The rally as a format of the spine."""

from django.utils.translation import gettext_noop as N_

from rallies.forms import RallyForm
from rallies.hot import JOIN
from rallies.invariants import CHECKS
from rallies.presenters import RallyPresenter
from rallies.selectors import joins, late_joins
from rallies.services import draft_rally
from rallies.settlement import RallyRules
from sales.formats import Count, Format, Words

JOINERS = Count(N_("joiners"), "SELECT coalesce(sum(joiners), 0) FROM rallies_bucket WHERE rally_id = %(sale_id)s")

RALLY = Format(
    name="rally",
    app="rallies",
    words=Words(
        noun=N_("rally"),
        idea=N_("The price falls for all as more join, and all pay what it came to."),
        plural=N_("rallies"),
        things=N_("joins"),
        calling_off=N_("Nobody pays, and what is held goes back to the wallets."),
        called_off=N_("Nobody pays, and all that was held goes back."),
    ),
    count=JOINERS,
    rules=RallyRules(),
    checks=CHECKS,
    presenter=RallyPresenter(),
    things=[joins, late_joins],
    places=[JOIN],
    mine="rallies:joins",
    form=RallyForm,
    draft=draft_rally,
)
