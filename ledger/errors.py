from django.utils.translation import gettext_noop as N_

from core.errors import Conflict


class InsufficientFunds(Conflict):
    code = "insufficient_funds"
    detail = N_("There is not enough money in the wallet for this.")


class TransferConflict(Conflict):
    """The same transfer id came with other content: one of the two callers is wrong."""

    code = "transfer_conflict"
    detail = N_("A different transfer with this id was made before.")


class AlreadyResolved(Conflict):
    """A hold is posted or voided at most once."""

    code = "already_resolved"
    detail = N_("This hold has been captured or released before.")
