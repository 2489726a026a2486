from core.errors import Conflict


class HandleTaken(Conflict):
    code = "handle_taken"
    detail = "This handle belongs to another shop. Please choose a different one."


class TooManyShops(Conflict):
    code = "too_many_shops"
    detail = "You have as many shops as one person can open. Ask us if you need more."


class LastOwner(Conflict):
    code = "last_owner"
    detail = "A shop needs an owner. Make somebody else one first."
