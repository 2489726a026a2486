from django.utils.translation import gettext_noop as N_

from core.errors import Busy, Conflict, NotAllowed, NotAuthenticated


class NotOpen(Conflict):
    code = "not_open"
    detail = N_("This sale is not open.")


class IdempotencyConflict(Conflict):
    code = "idempotency_conflict"
    detail = N_("This Idempotency-Key was used for a different request before.")


class IdTaken(Conflict):
    code = "id_taken"
    detail = N_("This id belongs to something else. Please make a new one.")


class NotEditable(Conflict):
    code = "not_editable"
    detail = N_("A published sale's terms are sealed. You can cancel it and make a new one.")


class WrongState(Conflict):
    code = "wrong_state"
    detail = N_("The sale's state does not allow this.")


class NotVerified(NotAllowed):
    code = "not_verified"
    detail = N_("Please confirm your e-mail address before you buy.")


class BadBuyToken(NotAuthenticated):
    code = "bad_token"
    detail = N_("Your permission to buy has run out. Please reload the page.")


class Frozen(Conflict):
    code = "frozen"
    detail = N_("This sale is paused by staff. Nothing is lost: holds stay, and every deadline moves on.")


class CalledOff(NotOpen):
    code = "called_off"
    detail = N_("This sale was called off. Whatever you had paid or held goes back to your wallet.")


class CannotRefund(Conflict):
    code = "cannot_refund"
    detail = N_("This cannot be refunded now.")


class RefundChanged(Conflict):
    code = "refund_changed"
    detail = N_("This refund was made already, with another amount.")


class BeingChecked(Busy):
    code = "being_checked"
    detail = N_("The checks of this sale run for the first time just now. Please look again in a moment.")


class DraftChanged(Conflict):
    code = "draft_changed"
    detail = N_("Somebody else has changed this draft meanwhile. Look at what it says now, and change it again.")


class TooManyDrafts(Conflict):
    code = "too_many_drafts"
    detail = N_("This shop has 200 drafts. Publish some, or throw them away.")
