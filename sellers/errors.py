from django.utils.translation import gettext_noop as N_

from core.errors import Conflict


class HandleTaken(Conflict):
    code = "handle_taken"
    detail = N_("This handle belongs to another shop. Please choose a different one.")


class TooManyShops(Conflict):
    code = "too_many_shops"
    detail = N_("You have as many shops as one person can open. Ask us if you need more.")


class LastOwner(Conflict):
    code = "last_owner"
    detail = N_("A shop needs an owner. Make somebody else one first.")


class InvitationOver(Conflict):
    code = "invitation_over"
    detail = N_("This invitation was used, taken back or has run out. Ask for a new one.")


class OtherAddress(Conflict):
    code = "other_address"
    detail = N_("This invitation is for another e-mail address. Log in with that one, and confirm it.")


class TooManyInvitations(Conflict):
    code = "too_many_invitations"
    detail = N_("There are 50 open invitations. Take some back first.")


class TooManyKeys(Conflict):
    code = "too_many_keys"
    detail = N_("This shop has 20 keys. Revoke some first.")
