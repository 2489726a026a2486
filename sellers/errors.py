from django.utils.translation import gettext_noop as N_

from core.errors import Conflict, NotFound


class HandleTaken(Conflict):
    code = "handle_taken"
    detail = N_("This handle belongs to another shop. Please choose a different one.")


class TooManyShops(Conflict):
    code = "too_many_shops"
    detail = N_("You have as many shops as one person can open. Ask us if you need more.")


class ShopWaits(Conflict):
    code = "shop_waits"
    detail = N_("Staff look at each new shop before it publishes. Go on drafting: you are told when they have.")


class NotWaiting(Conflict):
    code = "not_waiting"
    detail = N_("This shop does not wait for staff any more.")


class ShopIsOff(NotFound):
    code = "shop_is_off"
    detail = N_(
        "Staff have switched this shop off for now. Whatever you have bought here stays yours, and its sales wait."
    )


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
