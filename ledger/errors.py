from core.errors import Conflict


class InsufficientFunds(Conflict):
    code = "insufficient_funds"
    detail = "There is not enough money in the wallet for this."


class TransferConflict(Conflict):
    """The same transfer id came with other content: one of the two callers is wrong."""

    code = "transfer_conflict"
    detail = "A different transfer with this id was made before."


class AlreadyResolved(Conflict):
    """A hold is posted or voided at most once."""

    code = "already_resolved"
    detail = "This hold has been captured or released before."
